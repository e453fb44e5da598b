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

/* One line of a section, by its bytes alone: a field begins, goes on, or the section is over. */
static bool begins_field(struct str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] >= 33 && s.p[n] <= 126 && s.p[n] != ':')
        n++;
    if (n == 0)
        return false;
    while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t'))
        n++;
    return n < s.n && s.p[n] == ':';
}

/* The size of the section and its fields, line by line: a model that knows no iterator. */
static size_t measure(struct str message, size_t *fields)
{
    *fields = 0;
    for (struct str rest = message; rest.n > 0;) {
        size_t at = message.n - rest.n, line = str_find(rest, STR("\r\n"));
        if (line == 0)
            return at + 2;
        bool goes_on = *fields > 0 && (rest.p[0] == ' ' || rest.p[0] == '\t');
        if (!goes_on && !begins_field(rest))
            return at;
        *fields += !goes_on;
        rest = str_skip(rest, line + 2);
    }
    return message.n;
}

const struct fuzz_memory fuzz_memory = {.factor = 24, .base = 8192};

void fuzz_one(struct str message)
{
    struct header_iterator i = header_iterate(message);
    struct header_field f;
    size_t at = 0, count = 0, fields;
    while (header_next(&i, &f)) {
        must(f.whole.p == message.p + at && f.name.n > 0);
        must(f.name.p == f.whole.p && f.value.p >= f.name.p + f.name.n);
        must(f.value.p + f.value.n <= f.whole.p + f.whole.n);
        at += f.whole.n;
        count++;
    }
    must(i.rest.n + at + (i.has_separator ? 2 : 0) == message.n);
    must(header_size(message) + i.rest.n == message.n);
    must(measure(message, &fields) == header_size(message) && fields == count);
    size_t gap = header_gap(message);
    must(gap == message.n ||
         (gap == header_size(message) && !str_starts(str_skip(message, gap), STR("\r\n"))));
    must(header_is_missing(message) == (message.n > 0 && header_size(message) == 0));
    must(count == 0 || header_count(message, f.name, SIZE_MAX) >= 1);
    check_append(message);
}
