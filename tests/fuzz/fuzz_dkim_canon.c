/* SPDX-License-Identifier: ISC */
/*
 * fuzz_dkim_canon.c - canonical forms are those of a model that has the whole body, do not depend on cuts, and are
 * their own canonical form
 */
#include "check/dkim_canon.h"

#include "fuzz.h"
#include "mail/header.h"

static void keep(void *context, struct str piece)
{
    must(buf_append(context, piece));
}

static void run(enum dkim_canon canon, struct str in, uint32_t cut, struct buf *out)
{
    struct dkim_canon_body b = dkim_canon_body(canon, (struct dkim_sink){keep, out});
    out->used = 0;
    for (struct str rest = in; rest.n > 0;)
        dkim_canon_feed(&b, take_cut(&rest, &cut));
    dkim_canon_end(&b);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void model_line(enum dkim_canon canon, struct str line, struct buf *out)
{
    while (canon == DKIM_RELAXED && line.n > 0 && is_blank(line.p[line.n - 1]))
        line.n--;
    for (size_t i = 0; i < line.n; i++) {
        bool blank = canon == DKIM_RELAXED && is_blank(line.p[i]);
        if (!blank || i == 0 || !is_blank(line.p[i - 1]))
            must(buf_append_byte(out, blank ? ' ' : line.p[i]));
    }
    must(buf_append(out, STR("\r\n")));
}

/* Line by line; then line ends at the end are taken off, and one put back. */
static void model(enum dkim_canon canon, struct str in, struct buf *out)
{
    out->used = 0;
    while (in.n > 0) {
        size_t n = str_find(in, STR("\r\n"));
        model_line(canon, str_head(in, n), out);
        in = str_skip(in, n + 2);
    }
    while (out->used >= 2 && out->data[out->used - 2] == '\r' && out->data[out->used - 1] == '\n')
        out->used -= 2;
    if (out->used > 0 || canon == DKIM_SIMPLE)
        must(buf_append(out, STR("\r\n")));
}

static void check_body(struct str in, uint8_t seed)
{
    size_t limit = in.n * 2 + 64;
    struct buf expected = buf_make(limit), seen = buf_make(limit), again = buf_make(limit);
    const struct cuts cuts = cut_ways(in.n, seed);
    for (int canon = DKIM_SIMPLE; canon <= DKIM_RELAXED; canon++) {
        model((enum dkim_canon)canon, in, &expected);
        for (size_t i = 0; i <= cuts.count; i++) {
            run((enum dkim_canon)canon, in, i > 0 ? cuts.way[i - 1] : CUT_WHOLE, &seen);
            must(str_equal(buf_str(&seen), buf_str(&expected)));
        }
        run((enum dkim_canon)canon, buf_str(&seen), CUT_WHOLE, &again);
        must(str_equal(buf_str(&seen), buf_str(&again)));
    }
    buf_free(&expected);
    buf_free(&seen);
    buf_free(&again);
}

static void check_field(struct str in)
{
    struct buf once = buf_make(in.n + 2), twice = buf_make(in.n + 4);
    must(dkim_canon_field(DKIM_SIMPLE, in, &once) && once.used <= in.n);
    must(str_starts(in, buf_str(&once)));
    once.used = 0;
    must(dkim_canon_field(DKIM_RELAXED, in, &once));
    must(dkim_canon_field(DKIM_RELAXED, buf_str(&once), &twice));
    must(str_equal(buf_str(&once), buf_str(&twice)));
    must(once.used == 0 || !is_blank(once.data[once.used - 1]));
    if (in.n > 1) {
        twice.used = 0;
        must(dkim_canon_without(DKIM_SIMPLE, in, str_make(in.p + 1, 1), &twice));
        must(twice.used <= in.n - 1);
    }
    buf_free(&once);
    buf_free(&twice);
}

const struct fuzz_memory fuzz_memory = {.factor = 24, .base = 8192};

void fuzz_one(struct str in)
{
    uint8_t seed = take_octet(&in);
    check_body(in, seed);
    struct header_iterator i = header_iterate(in);
    struct header_field field;
    while (header_next(&i, &field))
        check_field(field.whole);
}
