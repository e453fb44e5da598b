/* SPDX-License-Identifier: ISC */
/*
 * sts.h - the MTA-STS policies of other domains: found, fetched, kept (RFC 8461 sections 3 to 5)
 *
 * A policy that was fetched once holds until its max_age is over, whatever fails meanwhile; it is kept in a file, so that a
 * restart forgets nothing. It is fetched anew when the DNS names another id, and once a day. Everything runs on one loop.
 */
#ifndef SEND_STS_H
#define SEND_STS_H

#include "check/mta_sts.h"
#include "conf/live.h"
#include "event/log.h"
#include "net/resolver.h"

struct sts;

struct sts_options {
    const char
        *folder; /* where policies are kept (borrowed), made when missing; NULL: in memory alone */
    bool is_only_read; /* nothing is put there */
    struct live_holder *live;
    struct resolver *resolver;
    struct event_log *log; /* or NULL */
};

/* On the loop that will ask. */
struct sts *sts_make(const struct sts_options *options);
void sts_free(struct sts *s); /* NULL is allowed */

enum sts_state {
    STS_ABSENT, /* the domain has none, as far as we know */
    STS_FOUND,
    STS_UNFETCHED, /* it says that it has one, which cannot be fetched and was not known before */
    STS_UNTRUSTED, /* the same, for the certificate of its web server */
    STS_INVALID    /* what was fetched is no policy */
};

struct sts_answer {
    enum sts_state state;
    struct mta_sts_policy policy; /* of FOUND */
    struct str text;              /* as it was fetched */
    struct str id;
    bool is_cached;     /* was known before */
    bool is_unreadable; /* of ABSENT: one is kept that cannot be read now, so nothing can be said */
    int64_t fetched_s;  /* real time */
    struct str trouble; /* why it could not be fetched (anew), or empty */
};

enum { STS_DOMAINS_MAX = 2000, STS_FETCHES_MAX = 16 }; /* policies in memory; fetched at a time */

/*
 * The policy of a domain (A-labels, lower case). The answer lives in the arena, which needs 1 MiB of room. Until deadline_ms
 * of loop_now_ms the DNS is asked; a policy that has to be fetched may take a minute more. Suspends the task.
 */
void sts_find(struct sts *s, struct str domain, int64_t deadline_ms, struct arena *arena,
              struct sts_answer *out);

/*
 * Fetches the policies that are kept and due anew, so that those seldom used do not run out (section 3.3), and removes
 * those whose time is over. Suspends the task.
 */
void sts_refresh(struct sts *s);

#endif
