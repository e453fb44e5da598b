/* SPDX-License-Identifier: ISC */
/*
 * dotline.h - message content on the wire: lines, stuffed dots, the end (RFC 5321 4.5.2)
 *
 * The scanner looks at content while it arrives, in pieces of any size, and gives it on as slices
 * of the input: nothing is ever copied, because the only bytes it holds back (a dot at a line's
 * start, a CR behind it) are never content. Only CRLF.CRLF ends a message. The result does not
 * depend on how the input was split.
 */
#ifndef MAIL_DOTLINE_H
#define MAIL_DOTLINE_H

#include "base/str.h"

#include <stdint.h>

enum dotline_found {
    DOTLINE_MORE = 0, /* the input is used up */
    DOTLINE_CONTENT,  /* a slice of content */
    DOTLINE_END,      /* the final dot with its CRLF has been consumed */
    DOTLINE_BARE_CR,  /* a CR that no LF follows */
    DOTLINE_BARE_LF,  /* an LF without a CR in front */
    DOTLINE_NUL,
    DOTLINE_LONG, /* a line passed the limit; told once, then scanning goes on without a limit */
};

struct dotline_scanner {
    size_t line_limit; /* octets with CRLF, without the stuffed dot */
    size_t column;     /* octets of the current line so far */
    uint8_t state;
    bool has_dots;
};

/* For DATA content (has_dots) or BDAT content, where a dot is just a dot. line_limit 0: none. */
struct dotline_scanner dotline_scanner_make(bool has_dots, size_t line_limit);

/*
 * Consumes from the front of in and says in *found what it met; *content is set for
 * DOTLINE_CONTENT and points into in. Returns the octets consumed; call again with the rest until
 * DOTLINE_MORE. After DOTLINE_END or one of the three broken line ends the scanner is done and must
 * be made anew.
 */
size_t dotline_scan(struct dotline_scanner *s, struct str in, enum dotline_found *found,
                    struct str *content);

/* True when the content so far stops in the middle of a line end: a last CR without LF. */
bool dotline_scanner_has_open_cr(const struct dotline_scanner *s);

/* Adds the dots for sending. Zero-initialised it stands at the start of a message. */
struct dotline_stuffer {
    bool is_in_line;    /* the last octet was not an LF */
    bool has_dot_given; /* the extra dot for the next octet is out */
};

/*
 * Takes the next slice to send from the front of *content: octets of it, or one extra dot. False
 * when *content is used up.
 */
bool dotline_stuff(struct dotline_stuffer *s, struct str *content, struct str *out);

/* What ends the message on the wire: the dot line, with a CRLF in front when the content lacks it.
 */
struct str dotline_stuff_end(const struct dotline_stuffer *s);

#endif
