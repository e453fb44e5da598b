/* SPDX-License-Identifier: ISC */
/*
 * spf_macro.h - macros in SPF records and explanations (RFC 7208 section 7)
 */
#ifndef CHECK_SPF_MACRO_H
#define CHECK_SPF_MACRO_H

#include <stdint.h>

#include "base/ip.h"

enum {
    SPF_NAME_ROOM = 512,   /* for the name that a domain-spec expands to */
    SPF_MACROS_MAX = 1000, /* expanded in one check: the RFC has no limit, but work must have one */
};

/* What the macro letters stand for (section 7.2). */
struct spf_facts {
    struct str sender;        /* s: local-part and domain */
    struct str local;         /* l */
    struct str sender_domain; /* o */
    struct str domain;        /* d: the one whose record is evaluated */
    struct str helo;          /* h */
    struct str receiver;      /* r; empty: unknown */
    struct ip_address ip;     /* i, v, c */
    int64_t now_s;            /* t: Unix seconds */
    /* p: gives the client's validated name; called when the macro is met. */
    struct str (*client_name)(void *context);
    void *context;
    unsigned macros_left; /* that may still be expanded */
};

/*
 * Whether the text has the grammar of a macro-string. The letters c, r and t belong to explanations, which may
 * have spaces, too.
 */
bool spf_macro_is_valid(struct str text, bool is_explanation);

/* Whether the text is a domain-spec: a macro-string whose end is a top label or a macro. */
bool spf_macro_is_domain_spec(struct str text);

/*
 * Expands a domain-spec to a name without its last dot, labels cut from the left until it has at most 253 octets.
 * The name, which may be one that the DNS cannot have, lives in room; it is empty when nothing can match it, as with
 * %{l} of a local-part that is not ASCII (RFC 8616 section 4). False when too many macros have been expanded.
 */
bool spf_macro_expand_name(struct spf_facts *facts, struct str spec, char room[SPF_NAME_ROOM],
                           struct str *name);

/*
 * Expands an explanation into room, cut to size octets; what is not printable ASCII becomes '?'. False when
 * too many macros have been expanded.
 */
bool spf_macro_expand_text(struct spf_facts *facts, struct str text, char *room, size_t size,
                           struct str *out);

#endif
