/* SPDX-License-Identifier: ISC */
/*
 * address.h - an e-mail address that has been checked (RFC 5321 4.1.2, 6531 3.3)
 *
 * The bytes from outside become a struct address once; whoever takes one need not doubt it. The
 * value is normalised: quotes that mean nothing are gone, the domain is in lower case (ASCII
 * letters only: U-labels and A-labels stay as they came), a literal is spelled canonically.
 * Printing and parsing again gives the same value.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "base/arena.h"
#include "base/buf.h"

enum {
    ADDRESS_LOCAL_MAX = 64,
    ADDRESS_REWRITTEN_MAX =
        200, /* of a local part that SRS has made (check/srs.h), which has another address in it */
    ADDRESS_PATH_MAX = 256, /* with the angle brackets */
};

enum address_kind {
    ADDRESS_NULL = 0,   /* <>, the path of notices */
    ADDRESS_POSTMASTER, /* <Postmaster>, the only one without a domain */
    ADDRESS_DOMAIN,     /* local@domain */
    ADDRESS_LITERAL,    /* local@[192.0.2.1] or local@[IPv6:...] */
};

struct address {
    enum address_kind kind;
    bool is_null;      /* kind is ADDRESS_NULL */
    bool is_utf8;      /* needs SMTPUTF8 on the wire */
    struct str local;  /* without quotes and backslashes, case kept */
    struct str domain; /* lower case; literals with their brackets; empty for the first two kinds */
};

/* What a parser may accept beyond plain addresses. */
enum address_allow {
    ADDRESS_ALLOW_NULL = 1,
    ADDRESS_ALLOW_POSTMASTER = 2,
    ADDRESS_ALLOW_UTF8 = 4,
};

/*
 * Takes one path in angle brackets from the front of *input, which then stands behind '>'. A source
 * route is accepted and dropped. The address lives in the arena. False, *input and *out untouched,
 * when it is malformed, too long or not allowed (a set of enum address_allow), or the arena is
 * full.
 */
bool address_parse_path(struct arena *arena, struct str *input, unsigned allow,
                        struct address *out);

/* All of text as "local@domain" without brackets, as people type it. */
bool address_parse(struct arena *arena, struct str text, unsigned allow, struct address *out);

/* A copy that lives in the arena. */
struct address address_copy(struct arena *arena, const struct address *a);

/* Appends "local@domain", the local part quoted only when needed; nothing for the null path. */
bool address_print(struct buf *out, const struct address *a);

/* Appends the same in angle brackets. */
bool address_print_path(struct buf *out, const struct address *a);

/* "local@domain" in the arena. */
struct str address_text(struct arena *arena, const struct address *a);

/* Same mailbox: local parts byte for byte, domains as A-labels. */
bool address_equal(const struct address *a, const struct address *b);

#endif
