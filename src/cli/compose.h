/* SPDX-License-Identifier: ISC */
/*
 * compose.h - a message as people and local programs write it, made ready for SMTP
 */
#ifndef CLI_COMPOSE_H
#define CLI_COMPOSE_H

#include "base/buf.h"

#include <stdio.h>

enum { COMPOSE_LIMIT = 1 << 30 };

/*
 * Appends what the file has, up to its end or, with has_dot, up to a line that is a dot alone;
 * every line end becomes CRLF and the "From " line of a mailbox file is dropped. False when it is
 * larger than out may be or cannot be read.
 */
bool compose_read(FILE *in, bool has_dot, struct buf *out);

/* True when the text begins with header fields and an empty line or its end behind them. */
bool compose_has_header(struct str message);

/* Puts "From: NAME <ADDRESS>" in front of the message unless it has one; the name may be empty. */
bool compose_add_from(struct buf *message, struct str name, struct str address);

#endif
