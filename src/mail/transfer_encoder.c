/* SPDX-License-Identifier: ISC */
/*
 * transfer_encoder.c - bytes as quoted-printable or base64 lines, while they arrive (RFC 2045 6.7, 6.8)
 *
 * Quoted-printable holds one byte back: a blank is written as it is only in front of more text, a
 * CR only with its LF. Base64 holds back less than a line.
 */
#include "mail/transfer_encoder.h"

#include "base/encode.h"

enum { LINE_WIDTH = 75 /* and the '=' of a soft line break */ };

/* A line that only we begin must not look like a boundary, so a dash in front is escaped. */
static bool put(struct transfer_encoder *e, struct str text, struct buf *out)
{
    bool fits = true;
    if (e->column + text.n > LINE_WIDTH) {
        fits = buf_append(out, STR("=\r\n"));
        e->column = 0;
        if (text.p[0] == '-')
            text = STR("=2D");
    }
    e->column += text.n;
    return fits && buf_append(out, text);
}

static bool put_escaped(struct transfer_encoder *e, char byte, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned char c = (unsigned char)byte;
    char text[3] = {'=', digits[c >> 4], digits[c & 15]};
    return put(e, str_make(text, sizeof text), out);
}

/* What is held, in front of next: a blank in front of a line end is escaped. */
static bool put_held(struct transfer_encoder *e, char next, struct buf *out)
{
    if (e->held_n == 0)
        return true;
    e->held_n = 0;
    if (e->held[0] == '\r' || next == '\r')
        return put_escaped(e, e->held[0], out);
    return put(e, str_make(e->held, 1), out);
}

static bool put_quoted(struct transfer_encoder *e, char c, struct buf *out)
{
    if (c == '\n' && e->held_n > 0 && e->held[0] == '\r') {
        e->held_n = 0;
        e->column = 0;
        return buf_append(out, STR("\r\n"));
    }
    bool fits = put_held(e, c, out);
    if (c == ' ' || c == '\t' || c == '\r') {
        e->held[0] = c;
        e->held_n = 1;
        return fits;
    }
    bool is_plain = c > 0x20 && c < 0x7F && c != '=';
    return fits && (is_plain ? put(e, str_make(&c, 1), out) : put_escaped(e, c, out));
}

static bool put_group(struct transfer_encoder *e, struct buf *out)
{
    struct str group = str_make(e->held, e->held_n);
    e->held_n = 0;
    return encode_base64(out, group) && buf_append(out, STR("\r\n"));
}

bool transfer_encode(struct transfer_encoder *e, struct str bytes, struct buf *out)
{
    bool fits = true;
    for (size_t i = 0; i < bytes.n && fits && !e->is_base64; i++)
        fits = put_quoted(e, bytes.p[i], out);
    while (e->is_base64 && bytes.n > 0 && fits) {
        struct str piece = str_head(bytes, TRANSFER_BASE64_GROUP - e->held_n);
        memcpy(e->held + e->held_n, piece.p, piece.n);
        e->held_n += piece.n;
        bytes = str_skip(bytes, piece.n);
        if (e->held_n == TRANSFER_BASE64_GROUP)
            fits = put_group(e, out);
    }
    return fits;
}

bool transfer_encode_end(struct transfer_encoder *e, struct buf *out)
{
    bool fits = true;
    if (e->held_n > 0)
        fits = e->is_base64 ? put_group(e, out) : put_held(e, '\r', out);
    *e = (struct transfer_encoder){.is_base64 = e->is_base64};
    return fits;
}
