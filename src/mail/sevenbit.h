/* SPDX-License-Identifier: ISC */
/*
 * sevenbit.h - 8-bit content as 7-bit content (RFC 6152 section 3, RFC 2045)
 *
 * For a next hop without 8BITMIME. The content is read twice: the first reading finds the parts
 * that have 8-bit bytes and whether all of them can be converted, the second one writes. Text
 * becomes quoted-printable, everything else base64; multiparts and message/rfc822 are converted
 * inside; what has no 8-bit byte stays as it is, byte for byte. The first reading alone tells what
 * the header sections of the message and of its parts hold (RFC 6532).
 */
#ifndef MAIL_SEVENBIT_H
#define MAIL_SEVENBIT_H

#include "base/buf.h"
#include "base/fault.h"

enum {
    SEVENBIT_DEPTH_MAX = 20,        /* entities within each other */
    SEVENBIT_PARTS_MAX = 10000,     /* entities of a message */
    SEVENBIT_HEADER_MAX = 128 << 10 /* octets of an entity's header section */
};

/*
 * Octets that sevenbit_convert appends at most for n octets. The smallest part that is converted has
 * 8 of them, with its boundary, and may get fields of 145.
 */
#define SEVENBIT_OUTPUT_MAX(n) (20 * (size_t)(n) + 2 * SEVENBIT_HEADER_MAX + 8192)

struct sevenbit;

/* At the start of the first reading; given back with sevenbit_free. */
struct sevenbit *sevenbit_make(void);
void sevenbit_free(struct sevenbit *s); /* NULL is allowed */

/* The first reading, in pieces of any size. */
void sevenbit_look(struct sevenbit *s, struct str in);

/*
 * The end of it. FINE: the content can be converted, and the second reading may begin. Else NEVER,
 * 554 5.6.3: 8-bit bytes in a header, in a part that says it is encoded, in a signed or partial
 * part, or deeper than the limits.
 */
struct fault sevenbit_look_end(struct sevenbit *s);

/*
 * After the end of the first reading: what is in the header sections of the message, its parts and
 * the messages in it, whose fields RFC 6532 counts among the message's own. A message/global is
 * content like any other. Where the limits keep parts from being seen, 8-bit bytes may be a field's.
 */
enum sevenbit_header { SEVENBIT_HEADER_ASCII, SEVENBIT_HEADER_UTF8, SEVENBIT_HEADER_OTHER };
enum sevenbit_header sevenbit_header(const struct sevenbit *s);

/*
 * The second reading: the same bytes again, in pieces of any size; appends what is to be sent,
 * which does not depend on how they were split. out must have room for SEVENBIT_OUTPUT_MAX.
 */
void sevenbit_convert(struct sevenbit *s, struct str in, struct buf *out);

/* Appends the rest; after it the second reading may begin anew. */
void sevenbit_convert_end(struct sevenbit *s, struct buf *out);

#endif
