/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sevenbit.c - 8-bit content is refused or becomes 7-bit content, however it is split
 */
#include "mail/sevenbit.h"

#include "fuzz.h"

/* Both readings; seed 0: in one piece. */
static struct fault convert(struct str in, uint32_t seed, struct buf *out, int *header)
{
    struct sevenbit *s = sevenbit_make();
    uint32_t again = seed;
    struct str part;
    for (struct str rest = in; rest.n > 0; rest = str_skip(rest, part.n)) {
        part = str_head(rest, seed ? next_cut(&seed) : rest.n);
        sevenbit_look(s, part);
    }
    struct fault f = sevenbit_look_end(s);
    *header = sevenbit_header(s);
    for (struct str rest = in; rest.n > 0 && !f.kind; rest = str_skip(rest, part.n)) {
        part = str_head(rest, again ? next_cut(&again) : rest.n);
        sevenbit_convert(s, part, out);
    }
    if (!f.kind)
        sevenbit_convert_end(s, out);
    sevenbit_free(s);
    return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);
    uint32_t seed = take_octet(&in) + 1U;
    struct buf whole = buf_make(SEVENBIT_OUTPUT_MAX(in.n));
    struct buf cut = buf_make(SEVENBIT_OUTPUT_MAX(in.n));
    struct buf again = buf_make(SEVENBIT_OUTPUT_MAX(SEVENBIT_OUTPUT_MAX(in.n)));
    int header, header_cut;
    struct fault f = convert(in, 0, &whole, &header), g = convert(in, seed, &cut, &header_cut);
    must(header == header_cut && (f.kind || header == SEVENBIT_HEADER_ASCII));
    must(f.kind == g.kind && (f.kind == FAULT_FINE || f.reply == 554));
    must(str_equal(fault_text(&f), fault_text(&g)));
    must(str_equal(buf_str(&whole), buf_str(&cut)));
    if (!f.kind) {
        must(!str_has_8bit(buf_str(&whole)));
        must(str_has_8bit(in) || str_equal(buf_str(&whole), in));
        must(!convert(buf_str(&whole), 0, &again, &header).kind);
        must(str_equal(buf_str(&whole), buf_str(&again)));
    }
    buf_free(&whole);
    buf_free(&cut);
    buf_free(&again);
    return 0;
}
