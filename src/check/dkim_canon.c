/* SPDX-License-Identifier: ISC */
/*
 * dkim_canon.c - canonical forms of header fields and bodies (RFC 6376 3.4)
 *
 * What may turn out to be the end of a line or of the body (a CR, blanks, line ends) is counted, not held, until
 * something else comes.
 */
#include "check/dkim_canon.h"

#include "mail/header.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_line_end(struct str s, size_t at)
{
    return s.n - at >= 2 && s.p[at] == '\r' && s.p[at + 1] == '\n';
}

/* Words with one space between them; line ends are taken away, so blanks around one are one. */
static bool append_relaxed(struct buf *out, struct str value)
{
    bool has_blank = false;
    size_t start = out->used;
    for (size_t i = 0; i < value.n; i++) {
        if (is_line_end(value, i)) {
            i++;
        } else if (is_blank(value.p[i])) {
            has_blank = out->used > start;
        } else {
            if (has_blank)
                out->data[out->used++] = ' ';
            out->data[out->used++] = value.p[i];
            has_blank = false;
        }
    }
    return true;
}

bool dkim_canon_field(enum dkim_canon canon, struct str field, struct buf *out)
{
    if (!buf_reserve(out, field.n + 2))
        return false;
    if (canon == DKIM_SIMPLE)
        return buf_append(
            out,
            str_head(field, field.n - (field.n >= 2 && is_line_end(field, field.n - 2) ? 2 : 0)));
    struct str name, value;
    str_cut(field, ':', &name, &value);
    while (name.n > 0 && is_blank(name.p[name.n - 1]))
        name.n--;
    for (size_t i = 0; i < name.n; i++)
        out->data[out->used++] = str_lower_byte(name.p[i]);
    out->data[out->used++] = ':';
    return append_relaxed(out, value);
}

bool dkim_canon_without(enum dkim_canon canon, struct str field, struct str part, struct buf *out)
{
    struct buf rest = buf_make(field.n);
    size_t at = (size_t)(part.p - field.p);
    bool is_done = buf_append(&rest, str_head(field, at)) &&
                   buf_append(&rest, str_skip(field, at + part.n)) &&
                   dkim_canon_field(canon, buf_str(&rest), out);
    buf_free(&rest);
    return is_done;
}

struct dkim_canon_body dkim_canon_body(enum dkim_canon canon, struct dkim_sink sink)
{
    return (struct dkim_canon_body){.canon = canon, .sink = sink};
}

static void flush(struct dkim_canon_body *b)
{
    b->sink.take(b->sink.context, str_make(b->piece, b->used));
    b->used = 0;
}

static void put(struct dkim_canon_body *b, struct str s)
{
    while (s.n > 0) {
        size_t n = sizeof b->piece - b->used < s.n ? sizeof b->piece - b->used : s.n;
        memcpy(b->piece + b->used, s.p, n);
        b->used += n;
        s = str_skip(s, n);
        if (b->used == sizeof b->piece)
            flush(b);
    }
}

/* What was kept back is neither the end of a line nor of the body. */
static void put_kept(struct dkim_canon_body *b)
{
    for (; b->line_ends > 0; b->line_ends--)
        put(b, STR("\r\n"));
    if (b->has_blank)
        put(b, STR(" "));
    b->has_blank = false;
    b->has_text = true;
}

/* After a CR: with an LF it ends a line, else it is text. False: the octet is still to be looked at. */
static bool finish_cr(struct dkim_canon_body *b, char next)
{
    b->has_cr = false;
    if (next == '\n') {
        b->line_ends++;
        b->has_blank = false;
        return true;
    }
    put_kept(b);
    put(b, STR("\r"));
    return false;
}

/* A space between two words, which is what blanks become. */
static bool is_lone_space(struct str s, size_t at)
{
    return s.p[at] == ' ' && s.n - at > 1 && !is_blank(s.p[at + 1]) && s.p[at + 1] != '\r';
}

/* Octets at the start that go out as they are. */
static size_t plain_size(const struct dkim_canon_body *b, struct str s)
{
    size_t n = 0;
    if (b->canon == DKIM_SIMPLE)
        return str_index(s, '\r');
    while (n < s.n && s.p[n] != '\r' &&
           (!is_blank(s.p[n]) || (is_lone_space(s, n) && (n > 0 || !b->has_blank))))
        n++;
    return n;
}

void dkim_canon_feed(struct dkim_canon_body *b, struct str in)
{
    while (in.n > 0) {
        if (b->has_cr && finish_cr(b, in.p[0])) {
            in = str_skip(in, 1);
            continue;
        }
        size_t n = plain_size(b, in);
        if (n > 0) {
            put_kept(b);
            put(b, str_head(in, n));
        } else {
            b->has_cr = in.p[0] == '\r';
            b->has_blank |= !b->has_cr;
            n = 1;
        }
        in = str_skip(in, n);
    }
}

void dkim_canon_end(struct dkim_canon_body *b)
{
    if (b->has_cr)
        finish_cr(b, '\0');
    /* All line ends at the end are one; text without any gets one; so does an empty body, when simple (3.4.3). */
    if (b->has_text || b->canon == DKIM_SIMPLE)
        put(b, STR("\r\n"));
    if (b->used > 0)
        flush(b);
}
