/* SPDX-License-Identifier: ISC */
/*
 * talk.h - lines over a stream, for peers
 */
#ifndef SIM_TALK_H
#define SIM_TALK_H

#include "peer_tls.h"

enum { TALK_BYTES = 8192, TALK_LINE_MAX = 1024 };

struct talk {
    struct stream *stream;
    struct peer_tls *tls; /* NULL: none */
    int64_t patience_ns;
    size_t start, end;
    char in[TALK_BYTES];
};

struct talk *talk_make(struct stream *s, int64_t patience_ns);
void talk_close(struct talk *t, bool is_reset);

/* TLS from here on, as a server; false when it fails. */
bool talk_start_tls(struct talk *t);

/* The next line without its end; false when there is none. */
bool talk_line(struct talk *t, char line[TALK_LINE_MAX]);

/* Exactly n bytes. */
bool talk_bytes(struct talk *t, char *out, size_t n);

bool talk_say(struct talk *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The code of the next SMTP reply and the text of its last line; 0 when the stream has ended. */
int talk_reply(struct talk *t, char line[TALK_LINE_MAX]);

/* A dotted text up to its end, without the dots; -1 when it does not end within size bytes. */
ptrdiff_t talk_dotted(struct talk *t, char *out, size_t size);

#endif
