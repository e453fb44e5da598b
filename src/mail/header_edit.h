/* SPDX-License-Identifier: ISC */
/*
 * header_edit.h - a header section as a list of fields that are added, changed and taken away
 *
 * Fields keep their octets unless they are changed. What is put in stays one field each, whatever is
 * in its value: line ends become folds, control octets become '?', lines that are too long are folded
 * at blanks.
 */
#ifndef MAIL_HEADER_EDIT_H
#define MAIL_HEADER_EDIT_H

#include "base/arena.h"
#include "base/buf.h"

enum {
    HEADER_EDIT_FIELDS_MAX = 10000, /* that a section may have to be edited */
    HEADER_EDIT_MORE = 7, /* octets of a new field beside those of name and value, at most, when no
                             line of the value begins without a blank or is too long */
    HEADER_EDIT_LINE_MAX = 998 /* octets of a line (RFC 5322 section 2.1.1) */
};

struct header_edit_field {
    struct str name, value, whole;
    bool is_hidden; /* not to be found by its name */
};

struct header_edit {
    struct arena arena; /* of the list and what was put in */
    struct header_edit_field *item;
    size_t count, room;
};

/* An empty list for as many octets of new fields. */
struct header_edit header_edit_make(size_t new_bytes);
void header_edit_free(struct header_edit *h);

/* Appends the fields of a section, which is borrowed until header_edit_free. False when there are too
 * many. */
bool header_edit_load(struct header_edit *h, struct str section, bool is_hidden);

/*
 * Octets that a field with that name and value takes at most. The value is what follows the colon:
 * with its leading space, or with one to be put there.
 */
size_t header_edit_cost(struct str name, struct str value);

/*
 * Puts a field in front of the one at the index from 0, hidden ones counted; behind the last one when
 * there are fewer. False when there are too many fields or octets, or a line is too long.
 */
bool header_edit_insert(struct header_edit *h, size_t index, struct str name, struct str value,
                        bool has_space);

/*
 * Changes the value of the index-th field of that name, from 1, hidden ones not counted; an empty
 * value takes the field away. One that is not there is added behind the others, unless the value is
 * empty.
 */
bool header_edit_change(struct header_edit *h, size_t index, struct str name, struct str value,
                        bool has_space);

/*
 * Whether a field with that name and value has lines that no blank in them lets be folded: it cannot be put in, as
 * one that has is no mail any more.
 */
bool header_edit_is_too_long(struct str name, struct str value);

/* Appends all fields. False when out is full. */
bool header_edit_print(const struct header_edit *h, struct buf *out);

#endif
