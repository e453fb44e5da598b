/* SPDX-License-Identifier: ISC */
/*
 * recipient.h - whether there is anybody to take mail for an address
 */
#ifndef SERVE_RECIPIENT_H
#define SERVE_RECIPIENT_H

#include "check/srs.h"
#include "conf/conf.h"
#include "mail/address.h"

/*
 * By what the directory has said of the address: FINE, also for one that reports are read from; its own fault when it
 * could not; 550 5.1.1 for nobody, 550 5.7.1 for a domain of others that may not be relayed to.
 */
struct fault recipient_judge(const struct conf *conf, const struct address *a, bool may_relay,
                             bool is_ours, const struct fault *said);

/* What decides about mail to a rewritten sender (check/srs.h). */
struct recipient_bounce {
    const struct conf *conf;
    const struct srs_secrets *secrets;
    bool is_ours;    /* the directory has the address's domain */
    bool has_sender; /* it is no bounce: the sender is not the null path */
    int64_t now_s;
};

/*
 * Puts the address that a rewritten sender of ours stands for in its place, in the arena; *is_bounce tells that. Others are
 * left as they are. 550 5.1.1 for one that we have not made or whose days are over, 550 5.7.1 when it is no bounce.
 */
struct fault recipient_reverse(const struct recipient_bounce *b, struct arena *arena,
                               struct address *a, bool *is_bounce);

#endif
