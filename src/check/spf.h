/* SPDX-License-Identifier: ISC */
/*
 * spf.h - whether a client may use a domain as its sender (SPF, RFC 7208)
 *
 * Where the RFC leaves a choice: void lookups are those of a, mx (hosts, too), exists and ptr, but not those for names
 * that the client's own reverse zone gives, which would let it turn a fail into a permerror (4.6.4, 11.1); they are counted
 * by question, so that each host of mx without an address of the client's kind is one, as pyspf counts them; names that
 * the DNS cannot have match nothing and cost nothing (4.8); the hosts of mx are asked by preference, and a match ends
 * the mechanism (5.4); %{p} is not counted as a term (4.6.4).
 */
#ifndef CHECK_SPF_H
#define CHECK_SPF_H

#include "check/ask.h"

enum {
    SPF_TERMS_MAX = 10,        /* that ask the DNS, in all records together (4.6.4) */
    SPF_HOSTS_MAX = 10,        /* of an mx, and names of an address */
    SPF_VOID_LIMIT = 2,        /* usual number of questions without an answer that are allowed */
    SPF_EXPLANATION_MAX = 400, /* octets */
    SPF_REASON_MAX = 300,
    SPF_MECHANISM_MAX = 255,
    SPF_ARENA_OCTETS = 16384, /* what a check takes of the asker's arena beside the answers */
};

enum spf_result {
    SPF_NONE,
    SPF_NEUTRAL,
    SPF_PASS,
    SPF_FAIL,
    SPF_SOFTFAIL,
    SPF_TEMPERROR,
    SPF_PERMERROR
};

enum spf_identity { SPF_MAIL_FROM, SPF_HELO };

struct spf_question {
    enum spf_identity identity;
    struct ip_address ip; /* of the client; ::ffff:a.b.c.d is IPv4 (section 5) */
    struct str helo;      /* as the client said it */
    struct str mail_from; /* "local@domain"; empty: the null sender, postmaster@HELO (2.4) */
    struct str receiver;  /* our name, for %{r} */
    int64_t now_s;        /* Unix seconds, for %{t} */
    unsigned void_limit;  /* SPF_VOID_LIMIT */
};

/* Texts live in the asker's arena and are printable ASCII but for those that the question brought. */
struct spf_verdict {
    enum spf_result result;
    enum spf_identity identity;
    struct str sender; /* what was checked: "local@domain" */
    struct str domain; /* of the sender, as A-labels */
    struct str
        mechanism; /* that decided: "-all", "include:example.com"; "default" when none did, empty without a record */
    struct str reason; /* why, for people: which term was wrong, which question failed */
    struct str
        explanation; /* FAIL: what the domain says about it (6.2), cut to its maximum; a stranger's words */
    unsigned terms, voids; /* that were counted */
};

/* "pass", "softfail" and so on (2.6). */
const char *spf_result_name(enum spf_result result);

/*
 * check_host() of section 4 for the identity in question. Borrows its texts. Takes SPF_ARENA_OCTETS of the asker's
 * arena beside the answers, and 12 KiB of stack beside what the asker needs. A question that the asker can no
 * longer put is a temperror.
 */
void spf_check(const struct spf_question *q, struct asker *a, struct spf_verdict *out);

#endif
