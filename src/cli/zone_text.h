/* SPDX-License-Identifier: ISC */
/*
 * zone_text.h - lines of a zone file (RFC 1035 5)
 */
#ifndef CLI_ZONE_TEXT_H
#define CLI_ZONE_TEXT_H

#include "base/buf.h"

/*
 * Appends "NAME. IN TXT" with the text cut into strings of 255 octets, in parentheses when there are several. The text
 * is printable ASCII. False when out is full.
 */
bool zone_text_txt(struct buf *out, struct str name, struct str text);

/* Appends a comment of one line. */
bool zone_text_comment(struct buf *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
