/* SPDX-License-Identifier: ISC */
/*
 * tag_list.h - "tag=value; tag=value" (RFC 6376 3.2 with erratum 5070), as DKIM, ARC, DMARC, MTA-STS and TLSRPT write
 *
 * White space is spaces, tabs, and CRLF in front of one of them. It may stand around names and values, and inside
 * values, where it is kept. Octets above 127 are part of values when they are UTF-8 (RFC 8616). Everything here
 * borrows the text and gives slices of it.
 */
#ifndef CHECK_TAG_LIST_H
#define CHECK_TAG_LIST_H

#include "base/buf.h"

struct tag {
    struct str name;  /* as written: tags have case */
    struct str value; /* without the white space around it, still folded inside; may be empty */
    struct str whole; /* all between "=" and ";" */
};

enum tag_found { TAG_END, TAG_GOOD, TAG_BAD };

/*
 * The next tag of *rest, which moves behind it and its ";". BAD: what stands there is no tag (nothing at all
 * included); the one after it can be read all the same. END: only white space is left. For readers that forgive.
 */
enum tag_found tag_next(struct str *rest, struct tag *out);

enum { TAG_LIST_MAX = 32 };

struct tag_list {
    size_t count;
    struct tag tag[TAG_LIST_MAX];
};

/* All of text; false when something is no tag, a name is there twice, or there are none or more than TAG_LIST_MAX. */
bool tag_list_parse(struct str text, struct tag_list *out);

/* The tag with that name, or NULL. */
const struct tag *tag_list_find(const struct tag_list *list, const char *name);

/*
 * The next item of a value that is a list with that separator, without white space around it; *rest, at first the
 * value, moves behind it. False when there is none left. An empty item is given as such; an empty list has one.
 */
bool tag_item_next(struct str *rest, char separator, struct str *item);

/* Appends the value without its white space: base64, numbers, names (RFC 6376 2.10, 3.5). False when out is full. */
bool tag_value_join(struct buf *out, struct str value);

#endif
