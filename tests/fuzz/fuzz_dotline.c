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

static struct outcome scan(struct str in, bool has_dots, size_t limit, uint32_t cut)
{
    struct dotline_scanner s = dotline_scanner_make(has_dots, limit);
    struct outcome o = {.content = buf_make(in.n + 1), .last = DOTLINE_MORE};
    while (o.consumed < in.n) {
        struct str rest = str_skip(in, o.consumed), piece = take_cut(&rest, &cut), content;
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

static struct buf stuff(struct str in, uint32_t cut)
{
    struct dotline_stuffer s = {0};
    struct buf wire = buf_make(in.n * 2 + 16);
    while (in.n > 0) {
        struct str piece = take_cut(&in, &cut), out;
        while (dotline_stuff(&s, &piece, &out))
            must(buf_append(&wire, out));
    }
    must(buf_append(&wire, dotline_stuff_end(&s)));
    return wire;
}

/* The rules again, for an input that is there as a whole and has no limit on its lines. */
static enum dotline_found read_plainly(struct str in, bool has_dots, struct buf *content)
{
    for (size_t i = 0, start = 0; i < in.n; i++) {
        bool is_at_start = i == start, has_next = i + 1 < in.n;
        char c = in.p[i], next = has_next ? in.p[i + 1] : '\0';
        if (has_dots && is_at_start && c == '.') {
            if (has_next && next == '\r' && i + 2 < in.n && in.p[i + 2] == '\n')
                return DOTLINE_END;
            if (has_next && next == '\r')
                return i + 2 < in.n ? DOTLINE_BARE_CR : DOTLINE_MORE;
            start = SIZE_MAX;
            continue;
        }
        if (c == '\0' || c == '\n')
            return c == '\0' ? DOTLINE_NUL : DOTLINE_BARE_LF;
        must(buf_append_byte(content, c));
        start = SIZE_MAX;
        if (c != '\r')
            continue;
        if (!has_next || next != '\n')
            return has_next ? DOTLINE_BARE_CR : DOTLINE_MORE;
        must(buf_append_byte(content, next));
        start = ++i + 1;
    }
    return DOTLINE_MORE;
}

static void check_plainly(struct str in, bool has_dots)
{
    struct outcome o = scan(in, has_dots, 0, CUT_WHOLE);
    struct buf content = buf_make(in.n + 1);
    must(read_plainly(in, has_dots, &content) == o.last);
    must(str_equal(buf_str(&content), buf_str(&o.content)));
    buf_free(&content);
    buf_free(&o.content);
}

static void check_stuffing(struct str content, uint32_t cut)
{
    struct buf wire = stuff(content, cut);
    struct outcome again = scan(buf_str(&wire), true, 0, cut);
    must(again.last == DOTLINE_END && again.consumed == wire.used);
    must(str_equal(buf_str(&again.content), content));
    buf_free(&again.content);
    buf_free(&wire);
}

const struct fuzz_memory fuzz_memory = {.factor = 24, .base = 4096};

void fuzz_one(struct str in)
{
    uint8_t seed = take_octet(&in);
    bool has_dots = seed & 1;
    size_t limit = 2 + take_octet(&in) % 64;
    const struct cuts cuts = cut_ways(in.n, seed);
    struct outcome whole = scan(in, has_dots, limit, CUT_WHOLE);
    for (size_t i = 0; i < cuts.count; i++) {
        struct outcome cut = scan(in, has_dots, limit, cuts.way[i]);
        must(whole.last == cut.last && whole.consumed == cut.consumed);
        must(whole.is_long == cut.is_long);
        must(str_equal(buf_str(&whole.content), buf_str(&cut.content)));
        buf_free(&cut.content);
        if (whole.last == DOTLINE_END)
            check_stuffing(buf_str(&whole.content), cuts.way[i]);
    }
    check_plainly(in, has_dots);
    buf_free(&whole.content);
}
