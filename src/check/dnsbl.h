/* SPDX-License-Identifier: ISC */
/*
 * dnsbl.h - lists of addresses and domains in the DNS (RFC 5782)
 *
 * A list answers a question about an address, or a domain, with addresses in 127/8 when it has it; which ones mean what
 * is the list's own. Answers outside of 127/8 come from a list that is gone, and those in 127.255.255/24 are how public
 * lists say that the question is not answered; neither lists anything.
 */
#ifndef CHECK_DNSBL_H
#define CHECK_DNSBL_H

#include "check/ask.h"
#include "check/dnsbl_site.h"

enum {
    DNSBL_NAME_MAX = 256,
    DNSBL_TEXT_MAX = 100 /* octets of a list's own words that are quoted */
};

enum dnsbl_status {
    DNSBL_CLEAR,
    DNSBL_LISTED,
    DNSBL_FAILED,  /* the DNS failed, or no question is left */
    DNSBL_REFUSED, /* 127.255.255/24: the list does not answer us */
    DNSBL_STRANGE  /* an answer outside of 127/8 */
};

/* What one site says. */
struct dnsbl_finding {
    const struct dnsbl_site *site;
    enum dnsbl_status status;
    struct ip_address code; /* the answer that it is about, unless CLEAR or FAILED */
};

struct dnsbl_verdict {
    struct dnsbl_finding finding[DNSBL_SITES_MAX];
    size_t count;
    int64_t weight;                     /* of all that have it */
    const struct dnsbl_finding *reason; /* the one that weighs most, above zero; NULL: none */
};

/* The name under which lists have an address, without the zone: "7.2.0.192", or 32 half bytes. */
struct str dnsbl_reverse(const struct ip_address *ip, char room[DNSBL_NAME_MAX]);

/*
 * Asks each list about the name (of dnsbl_reverse, or a domain as A-labels), once however many sites it has.
 * The verdict borrows the sites, of which there are at most DNSBL_SITES_MAX.
 */
void dnsbl_check(const struct dnsbl_site *sites, size_t count, struct str name, struct asker *a,
                 struct dnsbl_verdict *out);

/* What the list says of it (TXT), made printable and without quotes, cut; empty when it says nothing. */
struct str dnsbl_explain(const struct dnsbl_site *site, struct str name, struct asker *a,
                         char room[DNSBL_TEXT_MAX]);

#endif
