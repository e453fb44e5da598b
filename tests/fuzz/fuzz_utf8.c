/* SPDX-License-Identifier: ISC */
/*
 * fuzz_utf8.c - characters are taken as iconv takes them, and never too many bytes
 */
#include "base/utf8.h"

#include <iconv.h>

#include "fuzz.h"

/* The C library's opinion. */
static bool is_valid(struct str s)
{
    uint32_t wide[256];
    char *from = (char *)(uintptr_t)s.p, *to = (char *)wide;
    size_t from_left = s.n, to_left = sizeof wide;
    static iconv_t converter;
    if (!converter)
        converter = iconv_open("UTF-32LE", "UTF-8");
    must(converter != (iconv_t)-1);
    bool is_good = s.n == 0 || iconv(converter, &from, &from_left, &to, &to_left) != (size_t)-1;
    iconv(converter, NULL, NULL, NULL, NULL);
    return is_good;
}

const struct fuzz_memory fuzz_memory = {.factor = 0, .base = 1 << 18, .keeps = true};

void fuzz_one(struct str in)
{
    in = str_head(in, 255);
    struct str rest = in, before = in;
    uint32_t character;
    for (; utf8_take(&rest, &character); before = rest) {
        must(character <= 0x10FFFF && (character < 0xD800 || character > 0xDFFF));
        must(utf8_is_valid(str_head(before, before.n - rest.n)));
    }
    must(utf8_is_valid(str_head(in, in.n - rest.n)));
    must(utf8_is_valid(in) == (rest.n == 0));
    must(utf8_is_valid(in) == is_valid(in));
}
