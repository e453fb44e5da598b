/* SPDX-License-Identifier: ISC */
/*
 * authres.h - the Authentication-Results field (RFC 8601)
 */
#ifndef MAIL_AUTHRES_H
#define MAIL_AUTHRES_H

#include "base/buf.h"

enum { AUTHRES_FIELD_MAX = 16 << 10 };

/* A field that is being written. */
struct authres {
    struct buf value;
    bool has_result;
};

/* Begins a field in the name of that server. authres_append or authres_drop ends it. */
void authres_begin(struct authres *a, struct str authserv_id);

/*
 * Adds the result of a method ("spf", "pass") with its reason, if any (section 2.2). What follows are its
 * properties: a ptype.property name and a value from anywhere, which is cut to a legal length, quoted where it
 * must be, and stripped of what could end the field. A result that finds no room is left out.
 */
void authres_add(struct authres *a, const char *method, const char *result, struct str reason);
void authres_property(struct authres *a, const char *name, struct str value);

/* Appends the folded field with its CRLF; "none" when nothing was added. False when out is full. */
bool authres_append(struct authres *a, struct buf *out);

/*
 * Whether the value of such a field claims to come from that server (section 5): quoted, commented, folded, with a
 * version, with a dot behind the name, in any case. Also true when nobody can tell whose it is: a field of others begins
 * with one name, of octets that names have, and nothing but a version stands between it and the first result.
 */
bool authres_is_of(struct str value, struct str authserv_id);

#endif
