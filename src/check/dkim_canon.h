/* SPDX-License-Identifier: ISC */
/*
 * dkim_canon.h - canonical forms of header fields and bodies (RFC 6376 3.4)
 *
 * Only CRLF ends a line; a CR or LF alone is an octet like any other. What comes out goes to a sink in pieces,
 * and as a whole depends on nothing but the input as a whole.
 */
#ifndef CHECK_DKIM_CANON_H
#define CHECK_DKIM_CANON_H

#include "base/buf.h"

enum { DKIM_HASH_SIZE = 32 }; /* all hashes are SHA-256 */

enum dkim_canon { DKIM_SIMPLE, DKIM_RELAXED };

/*
 * Appends a header field (from its name on, with or without its last CRLF) in canonical form without the last CRLF
 * (3.4.1, 3.4.2). False when out is full: 2 octets more than the field suffice.
 */
bool dkim_canon_field(enum dkim_canon canon, struct str field, struct buf *out);

/* The same as if a part of the field (a slice of it) were not there: the field of a signature (3.7). */
bool dkim_canon_without(enum dkim_canon canon, struct str field, struct str part, struct buf *out);

struct dkim_sink {
    void (*take)(void *context, struct str piece);
    void *context;
};

/* What a digest is given at once: with pieces of 512 octets it takes a third longer. */
enum { DKIM_CANON_PIECE = 2048 };

/* A body on its way (3.4.3, 3.4.4); holds no more of it than this. Value type, to be filled by dkim_canon_body. */
struct dkim_canon_body {
    enum dkim_canon canon;
    struct dkim_sink sink;
    bool has_text;      /* an octet other than line ends has come */
    bool has_cr;        /* the last octet was a CR */
    bool has_blank;     /* relaxed: blanks have come that end no line as yet */
    uint64_t line_ends; /* have come and not gone out: they may be the last */
    size_t used;
    char piece[DKIM_CANON_PIECE];
};

/* Begins a body. */
struct dkim_canon_body dkim_canon_body(enum dkim_canon canon, struct dkim_sink sink);

/* The next octets of the body, cut anywhere. */
void dkim_canon_feed(struct dkim_canon_body *b, struct str in);

/* The body has ended; all has gone to the sink. */
void dkim_canon_end(struct dkim_canon_body *b);

#endif
