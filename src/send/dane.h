/* SPDX-License-Identifier: ISC */
/*
 * dane.h - what the DNS says, provably, of a mail exchanger's certificate (RFC 7672 section 2)
 */
#ifndef SEND_DANE_H
#define SEND_DANE_H

#include "net/resolver.h"
#include "proto/dns.h"

enum dane_state {
    DANE_ABSENT, /* provably no records, or the host's zone is not signed: DANE has no say */
    DANE_USABLE, /* the server has to match one of the records */
    DANE_UNUSABLE, /* records, none of which SMTP can use: TLS, without authentication (section 2.2) */
    DANE_FAILED    /* the look-up failed or was bogus: the host is not to be used (section 2.1.2) */
};

struct dane {
    enum dane_state state;
    struct str base; /* the TLSA base domain (section 2.2.2) */
    struct dns_tlsa *record;
    size_t count;
    uint32_t ttl_s;     /* of what is known */
    struct fault fault; /* of DANE_FAILED */
};

enum { DANE_RECORDS_MAX = 16 }; /* of a host; those behind are not looked at */

/*
 * Looks up a mail exchanger whose name is known securely, for that port: its addresses first, and only when these are
 * secure, or a CNAME at the name is, the TLSA records of the name behind the CNAMEs, else of the name itself. All lives in
 * the arena, which needs 1 MiB of room. Suspends the task.
 */
void dane_find(struct resolver *resolver, struct arena *arena, struct str host, uint16_t port,
               int64_t deadline_ms, struct dane *out);

/* Whether a record names a certificate authority (DANE-TA), so that names count. */
bool dane_has_authority(const struct dane *d);

#endif
