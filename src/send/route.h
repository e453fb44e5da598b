/* SPDX-License-Identifier: ISC */
/*
 * route.h - where mail for a domain goes, by today's configuration and DNS (RFC 5321 section 5.1)
 *
 * In this order: a domain of ours goes to the mailboxes; a transport for the domain; the smarthost, which takes all
 * the rest where there is one; an address literal; the domain's MX hosts. Nothing of it is ever stored with a message.
 */
#ifndef SEND_ROUTE_H
#define SEND_ROUTE_H

#include <stdatomic.h>

#include "conf/live.h"
#include "directory/cache.h"
#include "net/endpoint.h"
#include "net/resolver.h"
#include "send/dane.h"
#include "send/sts.h"

struct route_host {
    struct str name; /* A-labels or an address */
    uint16_t preference;
    struct dane dane; /* of hosts that are known securely */
};

/* What a message asks of the way it goes: it has a route of its own kind. */
enum route_wish {
    ROUTE_USUAL,
    ROUTE_TLS_REQUIRED, /* authenticated TLS with REQUIRETLS (RFC 8689 section 4.2) */
    ROUTE_TLS_OPTIONAL, /* TLS-Required: No, the recipient's policies have no say (section 4.3) */
    ROUTE_WISHES
};

/* Shared by the dispatcher and connections on all loops; never changes once found. */
struct route {
    struct arena arena;
    atomic_uint references;
    struct live_holder *holder;
    struct live *live;       /* the snapshot it was made from */
    struct fault fault;      /* not FINE: there is no way now (LATER) or none at all (NEVER) */
    struct str site;         /* names the set of hosts: limits are kept for it */
    struct route_host *host; /* by preference, the best first */
    size_t host_count;
    const char *path; /* of a Unix socket, instead of hosts; else NULL */
    uint16_t port;
    bool is_local; /* our own mailboxes */
    bool is_lmtp;
    int tls; /* enum conf_peer_tls, where no policy says more */
    enum route_wish wish;
    struct str domain;               /* in A-labels, of MX routes */
    bool is_secure;                  /* the hosts are known by DNSSEC */
    struct sts_answer sts;           /* of MX routes; what it says holds for hosts without DANE */
    const struct conf_next_hop *hop; /* NULL for MX routes; lives in the snapshot */
    int64_t expires_ms;              /* of loop_now_ms: look again then */
};

struct route_context {
    struct live_holder *live;
    struct directory_cache *directory;
    struct resolver *resolver;
    struct sts *sts;     /* NULL: no MTA-STS */
    int64_t deadline_ms; /* of all lookups together, of loop_now_ms; 0: what sending allows them */
};

/* Finds the route of a domain (lower case; literals with brackets), to be dropped with route_drop.
 * Suspends the task; where a policy has to be fetched, for up to a minute more. */
struct route *route_find(const struct route_context *x, struct str domain, enum route_wish wish);
struct route *route_keep(struct route *r);
void route_drop(struct route *r); /* NULL is allowed */

enum { ROUTE_ADDRESSES_MAX = 16 };

/*
 * The addresses to try for a route, best first: equal preferences in random order, for each host
 * IPv6 and IPv4 as the DNS has them. name[i] is the host of address[i]. The fault is about the
 * hosts when no address was found: LATER when one could still come, else 550 5.4.4. Suspends.
 */
struct route_addresses {
    struct endpoint address[ROUTE_ADDRESSES_MAX];
    struct str name[ROUTE_ADDRESSES_MAX]; /* in the route or "" */
    size_t count;
};
struct fault route_addresses(const struct route_context *x, const struct route *r,
                             struct route_addresses *out);

/* The same for one host of the route. */
struct fault route_host_addresses(const struct route_context *x, const struct route *r, size_t host,
                                  struct route_addresses *out);

#endif
