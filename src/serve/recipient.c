/* SPDX-License-Identifier: ISC */
/*
 * recipient.c - whether there is anybody to take mail for an address
 */
#include "serve/recipient.h"

struct fault recipient_judge(const struct conf *conf, const struct address *a, bool may_relay,
                             bool is_ours, const struct fault *said)
{
    if (said->kind != FAULT_LATER && conf_is_report_address(conf, a->local, a->domain))
        return FINE;
    if (said->kind == FAULT_NEVER)
        return fault_make(550, FAULT_STATUS(5, 1, 1), "no such user here");
    if (said->kind || is_ours || may_relay || conf_is_relay_domain(conf, a->domain))
        return *said;
    return fault_make(550, FAULT_STATUS(5, 7, 1), "relaying denied");
}
