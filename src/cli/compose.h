/* SPDX-License-Identifier: ISC */
/*
 * compose.h - a message as people and local programs write it, made ready for SMTP
 */
#ifndef CLI_COMPOSE_H
#define CLI_COMPOSE_H

#include "base/buf.h"
#include "base/fault.h"

#include <stdio.h>

enum { COMPOSE_LIMIT = 1 << 30, COMPOSE_LINE_MAX = 998 /* RFC 5322 section 2.1.1 */ };

/*
 * Appends what the file has, up to its end or, with has_dot, up to a line that is a dot alone;
 * every line end becomes CRLF and the "From " line of a mailbox file is dropped. 552 5.3.4 when it
 * is larger than out may be or cannot be read; 554 5.6.0 names a line with a NUL or a CR in it, which
 * no message may have (RFC 5322 section 2.3, RFC 5321 section 2.3.8).
 */
struct fault compose_read(FILE *in, bool has_dot, struct buf *out);

/* True when the text begins with header fields and an empty line or its end behind them. */
bool compose_has_header(struct str message);

/* Puts "From: NAME <ADDRESS>" in front of the message unless it has one; the name may be empty. */
bool compose_add_from(struct buf *message, struct str name, struct str address);

/*
 * Makes the body quoted-printable (RFC 2045 section 6.7) where a line of it is longer than
 * COMPOSE_LINE_MAX and it is text alone, not encoded yet; any other message stays as it is. 552 5.3.4
 * when it would be larger than the message may be.
 */
struct fault compose_fit_lines(struct buf *message);

#endif
