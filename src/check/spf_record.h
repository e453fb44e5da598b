/* SPDX-License-Identifier: ISC */
/*
 * spf_record.h - the text of an SPF record (RFC 7208 sections 4.5, 4.6.1, 5, 6 and 12)
 */
#ifndef CHECK_SPF_RECORD_H
#define CHECK_SPF_RECORD_H

#include "base/buf.h"
#include "base/ip.h"

enum spf_kind {
    SPF_ALL,
    SPF_INCLUDE,
    SPF_A,
    SPF_MX,
    SPF_PTR,
    SPF_IP4,
    SPF_IP6,
    SPF_EXISTS,
    SPF_REDIRECT,
    SPF_EXP,
    SPF_UNKNOWN_MODIFIER
};

/* A directive or a modifier. */
struct spf_term {
    enum spf_kind kind;
    char qualifier;           /* '+', '-', '~' or '?'; of modifiers '+' */
    struct str text;          /* as it stands in the record */
    struct str domain_spec;   /* empty: the current domain; of a modifier its value */
    struct ip_address ip;     /* ip4, ip6 */
    uint8_t v4_bits, v6_bits; /* a, mx, ip4, ip6: of the prefix */
};

/* A record that has been checked from end to end. */
struct spf_record {
    struct str terms;       /* behind the version */
    struct str redirect;    /* domain-spec; empty: none */
    struct str explanation; /* domain-spec of exp=; empty: none */
};

/* Why a record is wrong. */
struct spf_wrong {
    const char *why; /* "unknown mechanism" */
    struct str term; /* of the record; any octets */
};

/* Whether the text of a TXT record is an SPF record: "v=spf1" and then a space or the end (4.5). */
bool spf_record_is_one(struct str text);

/*
 * Reads all of a record with that version. Borrows text. False, and *wrong says why, when its grammar is violated
 * anywhere or redirect= or exp= stands in it twice; such a record is a permerror (4.6).
 */
bool spf_record_parse(struct str text, struct spf_record *out, struct spf_wrong *wrong);

/* The next term of *rest, which begins as the terms of a record that was read. False at the end. */
bool spf_record_next(struct str *rest, struct spf_term *out);

/* Appends the term in its usual spelling: no '+', lower-case name, no prefix that is the whole address. */
bool spf_record_print(struct buf *out, const struct spf_term *term);

#endif
