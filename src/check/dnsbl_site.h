/* SPDX-License-Identifier: ISC */
/*
 * dnsbl_site.h - a list in the DNS, and which of its answers count (RFC 5782)
 */
#ifndef CHECK_DNSBL_SITE_H
#define CHECK_DNSBL_SITE_H

#include "base/ip.h"

enum { DNSBL_SITES_MAX = 16 /* of one rule */, DNSBL_WEIGHT_MAX = 1000 };

/*
 * A list and what of its answers counts, as written "ZONE[=CODES|&MASK][*WEIGHT]": "zen.example", "zen.example*2",
 * "zen.example=127.0.0.[2..4;9]*3", "white.example=127.0.[0..255].[1..3]*-2", "bits.example&0.0.0.6".
 */
struct dnsbl_site {
    struct str written, zone; /* slices of what was read */
    int64_t weight;           /* 1 unless written; below zero for those who vouch */
    uint32_t mask;            /* an answer with one of these bits counts; 0: by the octets */
    uint64_t octet[4][4];     /* sets of what each octet may be */
};

/* Reads a site. False when it is malformed, has a weight of 0 or a zone that the DNS cannot have. */
bool dnsbl_site_parse(struct str text, struct dnsbl_site *out);

/* Whether the answer of the list counts for the site: those that list nothing (check/dnsbl.h) never do. */
bool dnsbl_site_matches(const struct dnsbl_site *site, const struct ip_address *answer);

/* Whether an answer is one of a list at all, in 127/8; and whether it is one that says that the list does not answer. */
bool dnsbl_is_code(const struct ip_address *answer);
bool dnsbl_is_error(const struct ip_address *answer);

#endif
