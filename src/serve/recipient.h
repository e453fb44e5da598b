/* SPDX-License-Identifier: ISC */
/*
 * recipient.h - whether there is anybody to take mail for an address
 */
#ifndef SERVE_RECIPIENT_H
#define SERVE_RECIPIENT_H

#include "conf/conf.h"
#include "mail/address.h"

/*
 * By what the directory has said of the address: FINE, also for one that reports are read from; its own fault when it
 * could not; 550 5.1.1 for nobody, 550 5.7.1 for a domain of others that may not be relayed to.
 */
struct fault recipient_judge(const struct conf *conf, const struct address *a, bool may_relay,
                             bool is_ours, const struct fault *said);

#endif
