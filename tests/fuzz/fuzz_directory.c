/* SPDX-License-Identifier: ISC */
/*
 * fuzz_directory.c - a text is refused and changes nothing, or exported it is a text that means the
 * same
 */
#include "directory/text.h"

#include "base/utf8.h"
#include "fuzz.h"

#define KEYS                                                                                       \
    "4096:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"                  \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static const char first[] = "domain a.test\naccount u@a.test scram-sha-256=" KEYS "\n"
                            "alias i@a.test u@a.test\n";

static struct buf export(struct directory *d)
{
    struct buf out = buf_make((size_t)1 << 24);
    must(!directory_export(d, &out).kind);
    return out;
}

const struct fuzz_memory fuzz_memory = {.factor = 4096, .base = 67108864, .keeps = true};

void fuzz_one(struct str in)
{
    static struct directory *d;
    if (!d)
        must(!directory_open(":memory:", DIRECTORY_CREATE, &d).kind);
    must(!directory_apply(d, str_from(first), "first").kind);
    struct buf before = export(d);
    struct fault f = directory_apply(d, in, "in");
    struct buf after = export(d);
    if (f.kind) {
        must(f.kind == FAULT_NEVER && str_starts(fault_text(&f), STR("in:")));
        must(utf8_is_valid(fault_text(&f)));
        must(str_equal(buf_str(&before), buf_str(&after)));
    } else {
        must(!directory_apply(d, STR(""), "nothing").kind);
        f = directory_apply(d, buf_str(&after), "after");
        if (f.kind)
            fprintf(stderr, "%s\n" STR_FMT, f.text, STR_ARG(buf_str(&after)));
        must(!f.kind);
        struct buf again = export(d);
        must(str_equal(buf_str(&after), buf_str(&again)));
        buf_free(&again);
    }
    buf_free(&before);
    buf_free(&after);
}
