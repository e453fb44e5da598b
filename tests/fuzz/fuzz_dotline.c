/* SPDX-License-Identifier: ISC */
/*
 * fuzz_dotline.c - the result does not depend on the cuts; un-stuffing takes back what stuffing
 * added
 */
#include "mail/dotline.h"

#include "base/buf.h"
#include "fuzz.h"

struct outcome {
    struct buf content;
    enum dotline_found last;
    size_t consumed;
    bool is_long;
};

/* seed 0: in one piece */
static struct outcome scan(struct str in, bool has_dots, size_t limit, uint32_t seed)
{
    struct dotline_scanner s = dotline_scanner_make(has_dots, limit);
    struct outcome o = {.content = buf_make(in.n + 1), .last = DOTLINE_MORE};
    while (o.consumed < in.n) {
        struct str piece = str_skip(in, o.consumed), content;
        if (seed)
            piece = str_head(piece, next_cut(&seed));
        o.consumed += dotline_scan(&s, piece, &o.last, &content);
        if (o.last == DOTLINE_CONTENT)
            must(buf_append(&o.content, content));
        else if (o.last == DOTLINE_LONG)
            o.is_long = true;
        else if (o.last != DOTLINE_MORE)
            return o;
    }
    o.last = DOTLINE_MORE;
    return o;
}

static struct buf stuff(struct str in, uint32_t seed)
{
    struct dotline_stuffer s = {0};
    struct buf wire = buf_make(in.n * 2 + 16);
    while (in.n > 0) {
        struct str piece = str_head(in, next_cut(&seed)), out;
        in = str_skip(in, piece.n);
        while (dotline_stuff(&s, &piece, &out))
            must(buf_append(&wire, out));
    }
    must(buf_append(&wire, dotline_stuff_end(&s)));
    return wire;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);
    uint32_t seed = take_octet(&in) + 1U;
    bool has_dots = seed & 1;
    size_t limit = 2 + take_octet(&in) % 64;
    struct outcome whole = scan(in, has_dots, limit, 0), cut = scan(in, has_dots, limit, seed);
    must(whole.last == cut.last && whole.consumed == cut.consumed && whole.is_long == cut.is_long);
    must(str_equal(buf_str(&whole.content), buf_str(&cut.content)));
    if (whole.last == DOTLINE_END) {
        struct buf wire = stuff(buf_str(&whole.content), seed);
        struct outcome again = scan(buf_str(&wire), true, 0, seed);
        must(again.last == DOTLINE_END && again.consumed == wire.used);
        must(str_equal(buf_str(&again.content), buf_str(&whole.content)));
        buf_free(&again.content);
        buf_free(&wire);
    }
    buf_free(&whole.content);
    buf_free(&cut.content);
    return 0;
}
