/* SPDX-License-Identifier: ISC */
/*
 * header.h - the header section of a message (RFC 5322 2.2)
 *
 * Everything here works on slices of the stored message with CRLF line ends and costs one pass. The
 * section ends at the first empty line, or at the first line that is no field: nothing behind such
 * a line is taken for a field.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "base/buf.h"

struct header_field {
    struct str name;  /* without the colon */
    struct str value; /* behind the colon, still folded, without the last CRLF */
    struct str whole; /* from the name up to and with the last CRLF */
};

struct header_iterator {
    struct str rest;    /* what has not been read; the body when header_next said false */
    bool has_separator; /* the section ended with an empty line, which rest no longer holds */
};

/* Starts at the first field of a message. Borrows. */
struct header_iterator header_iterate(struct str message);

/* The next field, false at the end of the section. */
bool header_next(struct header_iterator *i, struct header_field *out);

/* Octets of the header section with its empty line: where the body starts. */
size_t header_size(struct str message);

/*
 * Whether text that is put behind fields would become a part of them: it is neither empty nor does
 * it begin with a field or with the empty line that ends a header section.
 */
bool header_is_missing(struct str text);

/*
 * Where the empty line is missing between the header section of a message and its first line that is no field; all
 * octets of the message when nothing is missing, or nothing but the end of a last line that may be a field's beginning.
 */
size_t header_gap(struct str message);

/* The first field with this name (ASCII case folded). False when there is none. */
bool header_find(struct str message, struct str name, struct header_field *out);

/* How many fields have this name; counting stops at stop. */
size_t header_count(struct str message, struct str name, size_t stop);

/*
 * Appends the value on one line: line ends in front of blanks removed, blanks at both ends dropped.
 * False when out is full.
 */
bool header_unfold(struct buf *out, struct str value);

/*
 * Appends "Name: value" and CRLF, folded in front of blanks so that lines stay within 78 octets
 * where the value has blanks. Control bytes in the value become '?', so nothing can be injected.
 * False, out unchanged, when it is full.
 */
bool header_append(struct buf *out, struct str name, struct str value);

#endif
