/* SPDX-License-Identifier: ISC */
/*
 * recipient.c - whether there is anybody to take mail for an address
 */
#include "serve/recipient.h"

#include "mail/idna.h"

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

struct fault recipient_reverse(const struct recipient_bounce *b, struct arena *arena,
                               struct address *a, bool *is_bounce)
{
    struct buf local = buf_make(SRS_LOCAL_MAX);
    struct address original;
    struct str domain;
    *is_bounce = false;
    bool is_here = b->is_ours || idna_equal(a->domain, conf_srs_domain(b->conf)) ||
                   idna_equal(a->domain, b->conf->hostname);
    if (a->kind != ADDRESS_DOMAIN || !is_here || b->secrets->count == 0 ||
        !srs_is_rewritten(a->local))
        return FINE;
    if (b->has_sender)
        return fault_make(550, FAULT_STATUS(5, 7, 1), "this address takes bounces alone");
    enum srs_result r = srs_reverse(b->secrets, a->local, srs_day(b->now_s), &local, &domain);
    struct address found = {.kind = ADDRESS_DOMAIN, .local = buf_str(&local), .domain = domain};
    struct str text = r == SRS_GOOD ? address_text(arena, &found) : STR_NONE;
    bool is_good = r == SRS_GOOD && address_parse(arena, text, ADDRESS_ALLOW_UTF8, &original);
    buf_free(&local);
    if (r == SRS_EXPIRED)
        return fault_make(550, FAULT_STATUS(5, 1, 1), "the days of this bounce address are over");
    if (!is_good)
        return fault_make(550, FAULT_STATUS(5, 1, 1), "this bounce address is none of ours");
    *a = original;
    *is_bounce = true;
    return FINE;
}
