/* SPDX-License-Identifier: ISC */
/*
 * content_type.h - the fields that say what a MIME entity holds (RFC 2045 sections 5 and 6)
 */
#ifndef MAIL_CONTENT_TYPE_H
#define MAIL_CONTENT_TYPE_H

#include "base/str.h"

enum { CONTENT_TYPE_BOUNDARY_MAX = 200 };

/* Slices of the field's value. */
struct content_type {
    struct str type, subtype;
    size_t boundary_n; /* 0: none, or one that is too long */
    char boundary[CONTENT_TYPE_BOUNDARY_MAX];
};

/*
 * Reads the value of a Content-Type field, folded or not, comments allowed. False when it has no
 * type and subtype; parameters behind a syntax error are not seen. Borrows the value.
 */
bool content_type_parse(struct str value, struct content_type *out);

enum transfer_encoding {
    TRANSFER_7BIT,
    TRANSFER_8BIT,
    TRANSFER_BINARY,
    TRANSFER_ENCODED /* quoted-printable, base64, and whatever else is said */
};

/* Reads the value of a Content-Transfer-Encoding field; an empty one says 7bit. */
enum transfer_encoding transfer_encoding_parse(struct str value);

#endif
