/* SPDX-License-Identifier: ISC */
/*
 * smtp_reply.h - replies of SMTP and LMTP as lines (RFC 5321 4.2, 2034)
 */
#ifndef PROTO_SMTP_REPLY_H
#define PROTO_SMTP_REPLY_H

#include "base/buf.h"
#include "base/fault.h"

enum { SMTP_REPLY_LINE_MAX = 512 };

/*
 * Appends a reply. An LF in the text starts a new line of the reply, a longer line is continued on
 * the next one, other control bytes and, unless allow_utf8, 8-bit bytes become '?'. Status class 0:
 * no enhanced code. False, out unchanged, when out is full.
 */
bool smtp_reply_append(struct buf *out, unsigned code, struct fault_status status, struct str text,
                       bool allow_utf8);

/* One line of a reply, as a client reads it. */
struct smtp_reply_line {
    unsigned code; /* 200..599 */
    bool is_last;
    struct str text; /* behind the code, without CRLF */
};

/* Reads a line (CRLF may be on it or not). False when it is no reply line. Borrows. */
bool smtp_reply_parse(struct str line, struct smtp_reply_line *out);

#endif
