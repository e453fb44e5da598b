/* SPDX-License-Identifier: ISC */
/*
 * greylist.h - whether a sender whom nobody knows has to come again (greylisting, RFC 6647)
 *
 * Client network, sender and recipient together are a triplet. One that is new is put off; when it comes again after the
 * delay, and within the window, it passes, and goes on to pass as long as it comes once in a lifetime. A network that
 * has passed often enough needs no triplets any more.
 */
#ifndef CHECK_GREYLIST_H
#define CHECK_GREYLIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"

struct greylist_terms {
    int64_t delay_ms;    /* that a new triplet has to wait */
    int64_t window_ms;   /* from its first try, in which it has to come again */
    int64_t lifetime_ms; /* without a visit after which triplets and networks are forgotten */
    int64_t allow_after; /* passes that make a network known; 0: none does */
};

/* What is remembered of a triplet or a network; zeroed: nothing. */
struct greylist_memory {
    int64_t first_ms; /* Unix ms of the first try */
    int64_t last_ms;  /* of the last pass; 0: it never passed */
    int64_t passes;
};

struct greylist_verdict {
    bool may_pass;
    bool is_known_network; /* why it may */
    int64_t wait_ms;       /* when it may not: how long until it may */
    const char *reason;    /* in words */
    /* What is to be remembered from now on. */
    struct greylist_memory triplet, network;
};

/* The network of a client that counts as one: a /24 of IPv4, a /64 of IPv6. */
struct ip_network greylist_network_of(const struct ip_address *ip);

/* What becomes of a try at that time (Unix ms). A clock that has gone back makes a triplet new. */
void greylist_decide(const struct greylist_terms *terms, const struct greylist_memory *triplet,
                     const struct greylist_memory *network, int64_t now_ms,
                     struct greylist_verdict *out);

/* Whether the memory can be forgotten. */
bool greylist_is_over(const struct greylist_terms *terms, const struct greylist_memory *m,
                      int64_t now_ms);

#endif
