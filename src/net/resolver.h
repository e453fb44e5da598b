/* SPDX-License-Identifier: ISC */
/*
 * resolver.h - DNS questions asked by tasks (libunbound: asynchronous, validating, caching)
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/ip.h"

#include <stdint.h>

struct resolver;

/* A zone whose own servers are asked. */
struct resolver_stub {
    const char *zone;
    struct ip_endpoint server;
};

struct resolver_options {
    const struct ip_endpoint
        *servers; /* forward everything to these; none: those of /etc/resolv.conf,
                                          unless root_hints or a stub for "." are there */
    size_t server_count;
    const struct resolver_stub *stubs;
    size_t stub_count;
    const char *root_hints;   /* file with the root's servers, from which on is asked; or NULL */
    const char *trust_anchor; /* file with DS or DNSKEY of the root; NULL: no validation */
    size_t cache_bytes;       /* for answers, here and in the library; 0: the library's default */
    size_t edns_size_bytes;   /* the largest answer by UDP; 0: the library's default */
    bool
        is_everything_asked; /* also what is kept from the DNS (RFC 6303, 6761) unless there is a stub for it */
};

enum resolver_status { RESOLVER_FOUND, RESOLVER_NO_DATA, RESOLVER_NO_NAME };

enum {
    RESOLVER_A = 1,
    RESOLVER_NS = 2,
    RESOLVER_CNAME = 5,
    RESOLVER_MX = 15,
    RESOLVER_TXT = 16,
    RESOLVER_PTR = 12,
    RESOLVER_AAAA = 28,
    RESOLVER_SRV = 33,
    RESOLVER_TLSA = 52
};

/* Records of an answer that are given: one from a stranger may have thousands, each with a name that
 * the wire may have only once. An answer needs 512 KiB of its arena at most. */
enum { RESOLVER_RECORDS_MAX = 1000 };

struct resolver_answer {
    enum resolver_status status;
    bool is_secure; /* proven by DNSSEC, also for NO_DATA and NO_NAME */
    uint32_t ttl_s;
    struct str *data; /* the records' data in wire form (proto/dns.h), CNAMEs followed */
    size_t count;     /* at most RESOLVER_RECORDS_MAX */
    struct str
        canonical; /* the name that CNAMEs lead to; empty when there are none or it is not known */
};

/* Starts on the calling thread's loop. The fault (451 4.3.5) names what cannot be used. */
struct fault resolver_start(const struct resolver_options *options, struct resolver **out);

/* No lookup may be waiting. */
void resolver_stop(struct resolver *r);

/*
 * Asks for the records of that type (RESOLVER_*) at name (C string, A-labels). The answer lives in
 * the arena. Faults: 451 4.4.3 when the servers fail, do not answer in time or the answer is bogus or too large;
 * 421 4.3.2 when cancelled. Any task of any loop may ask.
 */
struct fault resolver_lookup(struct resolver *r, struct arena *arena, const char *name,
                             uint16_t type, int64_t deadline_ms, struct resolver_answer *out);

/*
 * Asks for the root's name servers: 451 4.4.3 when there is no proven answer, because nobody answers, or somebody on the
 * way does not pass signatures on. With a trust anchor of the root this is what all other answers need.
 */
struct fault resolver_prove(struct resolver *r, int64_t deadline_ms);

#endif
