/* SPDX-License-Identifier: ISC */
/*
 * dkim_fields.h - the fields of a header section as signatures choose and hash them (RFC 6376 3.7, 5.4.2)
 *
 * Fields of one name are chosen from the bottom up, each once; a name chosen more often than there are fields stands
 * for none, which is hashed as nothing. What a choice costs does not grow with the number of fields.
 */
#ifndef CHECK_DKIM_FIELDS_H
#define CHECK_DKIM_FIELDS_H

#include "base/arena.h"
#include "check/dkim_canon.h"
#include "mail/header.h"

enum {
    DKIM_FIELDS_MAX = 2000,       /* fields of a section */
    DKIM_SECTION_MAX = 512 * 1024 /* octets of a section */
};

struct dkim_name; /* a field in the order of names */

struct dkim_fields {
    size_t count;
    const struct header_field *field; /* top to bottom */
    const struct dkim_name *name;     /* by name, fields of one name top to bottom */
};

/* Room that an arena needs for the fields of a section. */
enum { DKIM_FIELDS_ROOM = 256 * 1024 };

/*
 * Looks at a header section (borrowed; with or without its empty line) and keeps what it finds in the arena. False when
 * there are more fields or octets than above.
 */
bool dkim_fields_read(struct str section, struct arena *arena, struct dkim_fields *out);

/* How many fields have this name, any case. */
size_t dkim_fields_count(const struct dkim_fields *f, struct str name);

struct dkim_choice {
    enum dkim_canon canon;
    struct str names; /* field names with colons between them, as tag h= has them */
    struct str own;   /* the field of the signature, from its name on; never chosen itself */
    struct str
        left_out; /* the part of `own` that is hashed as if it were not there: the value of b= */
};

/* The SHA-256 of the chosen fields in canonical form, and `own` without its last CRLF behind them (3.7). */
void dkim_fields_hash(const struct dkim_fields *f, const struct dkim_choice *choice,
                      unsigned char hash[DKIM_HASH_SIZE]);

#endif
