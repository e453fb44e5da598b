/* SPDX-License-Identifier: ISC */
/*
 * fuzz_encode.c - what is encoded is decoded again; what decodes has one spelling; limits hold
 */
#include "base/encode.h"

#include "fuzz.h"

typedef bool (*coder)(struct buf *out, struct str in);

static void check(struct str in, size_t limit, coder encode, coder decode, bool is_folded)
{
    struct buf text = buf_make(in.n * 3 + 4), bytes = buf_make(in.n * 3 + 4);
    must(encode(&text, in) && decode(&bytes, buf_str(&text)));
    must(str_equal(buf_str(&bytes), in) && str_is_printable(buf_str(&text)));
    text.used = bytes.used = 0;
    if (decode(&bytes, in)) {
        must(encode(&text, buf_str(&bytes)));
        must(is_folded ? str_equal_nocase(buf_str(&text), in)
                       : str_equal(buf_str(&text), in) || decode == decode_xtext);
    } else {
        must(bytes.used == 0);
    }
    struct buf small = buf_make(limit);
    must(buf_append_byte(&small, 'x'));
    if (!encode(&small, in))
        must(small.used == 1);
    must(small.used <= limit);
    small.used = 1;
    if (!decode(&small, in))
        must(small.used == 1);
    must(small.used <= limit);
    buf_free(&small);
    buf_free(&text);
    buf_free(&bytes);
}

const struct fuzz_memory fuzz_memory = {.factor = 32, .base = 8192};

void fuzz_one(struct str in)
{
    size_t limit = 1 + take_octet(&in);
    check(in, limit, encode_base64, decode_base64, false);
    check(in, limit, encode_hex, decode_hex, true);
    check(in, limit, encode_xtext, decode_xtext, false);
}
