/* SPDX-License-Identifier: ISC */
/*
 * fuzz_transfer_encoder.c - encoded content is short lines of ASCII, and decodes to what went in
 *
 * The decoder is written here, from RFC 2045 sections 6.7 and 6.8.
 */
#include "mail/transfer_encoder.h"

#include "base/encode.h"
#include "fuzz.h"

static struct buf encode(struct str in, bool is_base64, uint32_t cut)
{
    struct transfer_encoder e = {.is_base64 = is_base64};
    struct buf out = buf_make(in.n * TRANSFER_GROWTH + 80);
    while (in.n > 0)
        must(transfer_encode(&e, take_cut(&in, &cut), &out));
    must(transfer_encode_end(&e, &out));
    must(e.column == 0 && e.held_n == 0);
    return out;
}

static unsigned hex(char c)
{
    must((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'));
    return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

static void decode_line(struct str line, bool is_last, struct buf *out)
{
    must(line.n <= 76 && (is_last || line.n == 0 || line.p[line.n - 1] > 0x20));
    bool is_soft = false;
    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i];
        must((c >= 0x20 && c < 0x7F) || c == '\t');
        is_soft = c == '=' && i + 1 == line.n;
        if (is_soft)
            break;
        if (c == '=') {
            must(i + 2 < line.n);
            c = (char)(hex(line.p[i + 1]) << 4 | hex(line.p[i + 2]));
            i += 2;
        }
        must(buf_append_byte(out, c));
    }
    if (!is_soft && !is_last)
        must(buf_append(out, STR("\r\n")));
}

static void decode(struct str text, bool is_base64, struct buf *out)
{
    while (text.n > 0) {
        size_t n = str_find(text, STR("\r\n"));
        bool is_last = n == text.n;
        if (is_base64)
            must(!is_last && n <= 76 && n > 0 && decode_base64(out, str_head(text, n)));
        else
            decode_line(str_head(text, n), is_last, out);
        text = str_skip(text, n + 2);
    }
}

const struct fuzz_memory fuzz_memory = {.factor = 32, .base = 4096};

void fuzz_one(struct str in)
{
    uint8_t flags = take_octet(&in);
    const struct cuts cuts = cut_ways(in.n, flags);
    bool is_base64 = flags & 1;
    struct buf whole = encode(in, is_base64, CUT_WHOLE), plain = buf_make(in.n + 2);
    for (size_t i = 0; i < cuts.count; i++) {
        struct buf cut = encode(in, is_base64, cuts.way[i]);
        must(str_equal(buf_str(&whole), buf_str(&cut)));
        buf_free(&cut);
    }
    must(!str_has_8bit(buf_str(&whole)));
    decode(buf_str(&whole), is_base64, &plain);
    must(str_equal(buf_str(&plain), in));
    buf_free(&whole);
    buf_free(&plain);
}
