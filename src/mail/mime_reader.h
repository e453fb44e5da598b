/* SPDX-License-Identifier: ISC */
/*
 * mime_reader.h - the parts of a message that is in memory (RFC 2045, RFC 2046), for what programs send to programs
 *
 * One pass over the message, no copy of it; multiparts are entered, everything else is a part, message/rfc822 too. Line
 * ends are CRLF or LF alone. What is deeper or more than the limits say is not seen.
 */
#ifndef MAIL_MIME_READER_H
#define MAIL_MIME_READER_H

#include "base/buf.h"
#include "mail/content_type.h"

enum { MIME_READER_DEPTH_MAX = 8, MIME_READER_PARTS_MAX = 100 };

enum mime_encoding { MIME_PLAIN, MIME_BASE64, MIME_QUOTED_PRINTABLE };

struct mime_part {
    struct str header;        /* its header section */
    struct content_type type; /* text/plain when it says nothing that can be read */
    enum mime_encoding encoding;
    struct str body; /* as it stands in the message */
};

struct mime_reader {
    struct str rest;
    size_t depth; /* multiparts that the rest is in */
    unsigned parts;
    bool is_ended;
    struct {
        char text[CONTENT_TYPE_BOUNDARY_MAX];
        size_t n;
    } boundary[MIME_READER_DEPTH_MAX];
};

/* At the start of a message, which is borrowed. */
void mime_reader_start(struct mime_reader *r, struct str message);

/* The next part; false when there is none left, or a limit is reached. */
bool mime_reader_next(struct mime_reader *r, struct mime_part *out);

/*
 * Appends the octets of the part. What base64 does not know is skipped, what quoted-printable does not know stays as it
 * is (RFC 2045 6.7, 6.8). False, out unchanged, when its limit is passed.
 */
bool mime_part_decode(const struct mime_part *part, struct buf *out);

#endif
