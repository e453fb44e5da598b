/* SPDX-License-Identifier: ISC */
/*
 * value.h - the values of options: read, printed, described
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include "base/arena.h"
#include "base/buf.h"
#include "conf/field.h"

/* Octets of a text, which may be a path, and of the state directory: no path in that is longer than
 * the rooms have memory for. */
enum { VALUE_OCTETS_MAX = 1023, VALUE_DIRECTORY_MAX = 255 };

/* Octets of a section's title, and of a listener's, which is its name. */
enum { VALUE_TITLE_MAX = 255, VALUE_LISTENER_MAX = 63 };

/*
 * Reads one value into memory of field_size bytes; text is kept in a. False when it is none of the
 * allowed ones.
 */
bool value_parse(const struct field *f, struct str text, struct arena *a, void *value);

/* Appends a text in quotes, as the file would write it. */
bool value_print_text(struct str text, struct buf *out);

/* Appends one value as the file would write it. */
bool value_print(const struct field *f, const void *value, struct buf *out);

/* Appends what is allowed, for people: "a size from 64K to 2G". */
bool value_describe(const struct field *f, struct buf *out);

#endif
