/* SPDX-License-Identifier: ISC */
/*
 * forward.h - the sender that the next hop gets for mail that we forward (check/srs.h)
 */
#ifndef SEND_FORWARD_H
#define SEND_FORWARD_H

#include "send/internal.h"

enum { FORWARD_SENDER_MAX = 256 };

/* Whether the recipient's mail is forwarded, with a sender of ours. */
static inline bool forward_is_wanted(const struct queue_rcpt *r)
{
    return r->notify & QUEUE_NOTIFY_FORWARDED;
}

/*
 * The rewritten sender of a job's message, in room, and an event that tells of it; the sender as it is when there is no
 * secret, or no room in an address.
 */
struct str forward_sender(const struct job *j, const struct conf *conf,
                          char room[FORWARD_SENDER_MAX]);

#endif
