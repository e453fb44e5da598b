/* SPDX-License-Identifier: ISC */
/*
 * iprev.h - the name of a client by the DNS, confirmed by its owner (RFC 8601 section 3)
 *
 * Whoever owns an address says what its names are, so only the owner of a name can confirm it: the name must have the
 * address among its own. At most ten names are asked about, as RFC 7208 section 4.6.4 has it for ptr.
 */
#ifndef CHECK_IPREV_H
#define CHECK_IPREV_H

#include "check/ask.h"

enum { IPREV_NAMES_MAX = 10, IPREV_REVERSE_MAX = 80 };

enum iprev_result {
    IPREV_PASS,
    IPREV_FAIL,      /* it has names, and none of them has the address (section 2.7.3) */
    IPREV_TEMPERROR, /* the DNS failed, and might have said otherwise */
    IPREV_PERMERROR  /* it has no name, or no name of it has any address */
};

struct iprev_verdict {
    enum iprev_result result;
    bool has_names;    /* the address has names, confirmed or not */
    struct str name;   /* PASS: the confirmed one, in the asker's arena; else empty */
    struct str reason; /* in words, printable, constant */
};

/* "pass", "fail" and so on. */
const char *iprev_result_name(enum iprev_result result);

/* The name whose PTR records name the address ("1.2.0.192.in-addr.arpa"), written into room. */
struct str iprev_reverse_name(const struct ip_address *ip, char room[IPREV_REVERSE_MAX]);

/* Asks for the names of the address (PTR). */
void iprev_ask_names(const struct ip_address *ip, struct asker *a, struct ask_answer *out);

/* Asks for the addresses of the name; *has_address: the one is among them. */
enum ask_status iprev_confirm(const struct ip_address *ip, struct str name, struct asker *a,
                              bool *has_address);

/*
 * The whole check: names are tried in their order until one is confirmed. One that cannot be a host's (letters, digits,
 * hyphens, underscores) never is. Costs at most eleven questions.
 */
void iprev_check(const struct ip_address *ip, struct asker *a, struct iprev_verdict *out);

#endif
