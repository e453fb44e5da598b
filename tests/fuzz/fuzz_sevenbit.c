/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sevenbit.c - 8-bit content is refused or becomes 7-bit content, however it is split
 */
#include "mail/sevenbit.h"

#include "fuzz.h"

/* Both readings. */
static struct fault convert(struct str in, uint32_t cut, struct buf *out,
                            enum sevenbit_header *header)
{
    struct sevenbit *s = sevenbit_make();
    uint32_t again = cut;
    for (struct str rest = in; rest.n > 0;)
        sevenbit_look(s, take_cut(&rest, &cut));
    struct fault f = sevenbit_look_end(s);
    *header = sevenbit_header(s);
    for (struct str rest = in; rest.n > 0 && !f.kind;)
        sevenbit_convert(s, take_cut(&rest, &again), out);
    if (!f.kind)
        sevenbit_convert_end(s, out);
    sevenbit_free(s);
    return f;
}

const struct fuzz_memory fuzz_memory = {.factor = 400, .base = 1 << 20};

void fuzz_one(struct str in)
{
    uint8_t seed = take_octet(&in);
    const struct cuts cuts = cut_ways(in.n, seed);
    struct buf whole = buf_make(SEVENBIT_OUTPUT_MAX(in.n));
    struct buf cut = buf_make(SEVENBIT_OUTPUT_MAX(in.n));
    struct buf again = buf_make(SEVENBIT_OUTPUT_MAX(SEVENBIT_OUTPUT_MAX(in.n)));
    enum sevenbit_header header, header_cut;
    struct fault f = convert(in, CUT_WHOLE, &whole, &header);
    must(f.kind == FAULT_FINE ? header == SEVENBIT_HEADER_ASCII : f.reply == 554);
    for (size_t i = 0; i < cuts.count; i++) {
        cut.used = 0;
        struct fault g = convert(in, cuts.way[i], &cut, &header_cut);
        must(header == header_cut && f.kind == g.kind);
        must(str_equal(fault_text(&f), fault_text(&g)));
        must(str_equal(buf_str(&whole), buf_str(&cut)));
    }
    if (!f.kind) {
        must(!str_has_8bit(buf_str(&whole)));
        must(str_has_8bit(in) || str_equal(buf_str(&whole), in));
        must(!convert(buf_str(&whole), CUT_WHOLE, &again, &header).kind);
        must(str_equal(buf_str(&whole), buf_str(&again)));
    }
    buf_free(&whole);
    buf_free(&cut);
    buf_free(&again);
}
