/* SPDX-License-Identifier: ISC */
/*
 * fuzz_header.c - fields and body are the message; a built field is read back as what went in
 */
#include "mail/header.h"

#include "fuzz.h"

static void check_append(struct str value)
{
    struct buf out = buf_make((size_t)1 << 20), unfolded = buf_make((size_t)1 << 20);
    struct header_field f;
    must(header_append(&out, STR("X-Name"), value));
    must(header_find(buf_str(&out), STR("x-name"), &f));
    must(f.whole.n == out.used && header_size(buf_str(&out)) == out.used);
    must(header_unfold(&unfolded, f.value));
    must(!str_has(buf_str(&unfolded), '\n') && !str_has(buf_str(&unfolded), '\r'));
    if (str_is_printable(value))
        must(str_equal(buf_str(&unfolded), str_trim(value)));
    buf_free(&out);
    buf_free(&unfolded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str message = str_make((const char *)data, size);
    struct header_iterator i = header_iterate(message);
    struct header_field f;
    size_t at = 0, count = 0;
    while (header_next(&i, &f)) {
        must(f.whole.p == message.p + at && f.name.n > 0);
        must(f.name.p == f.whole.p && f.value.p >= f.name.p + f.name.n);
        must(f.value.p + f.value.n <= f.whole.p + f.whole.n);
        at += f.whole.n;
        count++;
    }
    must(i.rest.n + at + (i.has_separator ? 2 : 0) == message.n);
    must(header_size(message) + i.rest.n == message.n);
    must(count == 0 || header_count(message, f.name, SIZE_MAX) >= 1);
    check_append(message);
    return 0;
}
