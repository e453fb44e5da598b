/* SPDX-License-Identifier: ISC */
/*
 * talk.c - lines over a stream, for peers
 */
#include "talk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct talk *talk_make(struct stream *s, int64_t patience_ns)
{
    struct talk *t = world_take(sizeof *t);
    t->stream = s;
    t->tls = NULL;
    t->patience_ns = patience_ns;
    t->start = t->end = 0;
    return t;
}

void talk_close(struct talk *t, bool is_reset)
{
    peer_tls_free(t->tls);
    if (is_reset)
        net_reset(t->stream);
    else
        net_close(t->stream);
    world_free(t, sizeof *t);
}

bool talk_start_tls(struct talk *t)
{
    t->tls = peer_tls_accept(t->stream, t->patience_ns);
    return t->tls != NULL;
}

static bool fill(struct talk *t)
{
    if (t->start < t->end)
        return true;
    ptrdiff_t n = t->tls ? peer_tls_read(t->tls, t->in, sizeof t->in)
                         : net_read(t->stream, t->in, sizeof t->in, world->now_ns + t->patience_ns);
    t->start = 0;
    t->end = n > 0 ? (size_t)n : 0;
    return n > 0;
}

bool talk_line(struct talk *t, char line[TALK_LINE_MAX])
{
    size_t n = 0;
    for (;;) {
        if (!fill(t))
            return false;
        char c = t->in[t->start++];
        if (c == '\n') {
            line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = '\0';
            return true;
        }
        if (n + 1 < TALK_LINE_MAX)
            line[n++] = c;
    }
}

bool talk_bytes(struct talk *t, char *out, size_t n)
{
    for (size_t done = 0; done < n;) {
        if (!fill(t))
            return false;
        size_t part = t->end - t->start < n - done ? t->end - t->start : n - done;
        memcpy(out + done, t->in + t->start, part);
        t->start += part;
        done += part;
    }
    return true;
}

bool talk_say(struct talk *t, const char *format, ...)
{
    char text[TALK_LINE_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (t->tls)
        return peer_tls_write(t->tls, text, (size_t)n);
    return net_write(t->stream, text, (size_t)n, world->now_ns + t->patience_ns);
}

int talk_reply(struct talk *t, char line[TALK_LINE_MAX])
{
    do
        if (!talk_line(t, line))
            return 0;
    while (strlen(line) > 3 && line[3] == '-');
    char code[4] = {line[0], line[1], line[2], '\0'};
    return (int)strtol(code, NULL, 10);
}

ptrdiff_t talk_dotted(struct talk *t, char *out, size_t size)
{
    size_t n = 0;
    bool is_line_start = true;
    for (;;) {
        if (!fill(t))
            return -1;
        if (is_line_start && t->in[t->start] == '.') {
            char next[2];
            t->start++;
            if (!talk_bytes(t, next, 1))
                return -1;
            if (next[0] == '\r')
                return talk_bytes(t, next, 1) && next[0] == '\n' ? (ptrdiff_t)n : -1;
            t->start--;
        }
        const char *from = t->in + t->start, *end = memchr(from, '\n', t->end - t->start);
        size_t part = end ? (size_t)(end + 1 - from) : t->end - t->start;
        if (part > size - n)
            return -1;
        memcpy(out + n, from, part);
        t->start += part;
        n += part;
        is_line_start = n >= 2 && out[n - 2] == '\r' && out[n - 1] == '\n';
    }
}
