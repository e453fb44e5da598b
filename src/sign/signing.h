/* SPDX-License-Identifier: ISC */
/*
 * signing.h - a message of ours gets the signatures of its author's domain (RFC 6376 5)
 *
 * The domain that signs is that of the From field's first address, when it is ours and has keys: so the signatures are
 * aligned with the author (DMARC). Our own notices are signed by the nearest domain of ours at or above their author's
 * as well, as they come from the host's name.
 *
 * A login does not get the signature of another customer's domain: it signs for its own domain and for addresses that
 * it may send as.
 */
#ifndef SIGN_SIGNING_H
#define SIGN_SIGNING_H

#include "base/buf.h"
#include "base/fault.h"
#include "sign/key_ring.h"

/* What a message is signed with, and for whom. Texts are borrowed for the call. */
struct signing_order {
    struct key_ring *ring;
    struct str
        account; /* "local@domain" of who hands it in; empty: a program of this machine, or we */
    bool is_notice;
    int64_t now_s;
};

struct signing;

/*
 * Begins with the message's header section as it will leave (copied), behind skip octets that are no part of it.
 * *out is NULL when the message goes unsigned: with FINE because no domain of ours is its author's. Else the fault says
 * why it cannot be signed: 451 4.7.5 no key could be used, 550 5.7.1 its author is none of the account's, 554 5.6.0 the
 * section cannot be signed. Suspends.
 */
struct fault signing_begin(const struct signing_order *order, size_t skip, struct str section,
                           struct signing **out);

/* The next octets of all that was announced: what is skipped, the section, the body; cut anywhere. Any thread. */
void signing_add(struct signing *s, struct str piece);

/* The message has ended: appends the DKIM-Signature fields. 451 4.7.5 when that fails, out unchanged. Suspends. */
struct fault signing_finish(struct signing *s, struct buf *out);

void signing_free(struct signing *s); /* NULL is allowed */

/*
 * The octets of the signatures of ours in front of a stored message, 0 when it has none: nothing but what we put on top
 * stands above our trace field, and a notice of ours begins with no other field of that name.
 */
size_t signing_size(struct str message);

#endif
