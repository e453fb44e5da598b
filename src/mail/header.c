/* SPDX-License-Identifier: ISC */
/*
 * header.c - the header section of a message (RFC 5322 2.2)
 */
#include "mail/header.h"

enum { LINE_WIDTH = 78 };

/* Octets up to and with the first CRLF, or all of s. */
static size_t line_size(struct str s)
{
    size_t from = 0;
    while (from < s.n) {
        size_t lf = from + str_index(str_skip(s, from), '\n');
        if (lf == s.n)
            break;
        if (lf > 0 && s.p[lf - 1] == '\r')
            return lf + 1;
        from = lf + 1;
    }
    return s.n;
}

static struct str without_crlf(struct str line)
{
    if (line.n >= 2 && line.p[line.n - 1] == '\n' && line.p[line.n - 2] == '\r')
        line.n -= 2;
    return line;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct header_iterator header_iterate(struct str message)
{
    return (struct header_iterator){message, false};
}

bool header_next(struct header_iterator *i, struct header_field *out)
{
    struct str s = i->rest;
    if (i->has_separator || s.n == 0)
        return false;
    if (s.n >= 2 && s.p[0] == '\r' && s.p[1] == '\n') {
        i->has_separator = true;
        i->rest = str_skip(s, 2);
        return false;
    }
    size_t name_n = 0;
    while (name_n < s.n && s.p[name_n] > 0x20 && s.p[name_n] < 0x7F && s.p[name_n] != ':')
        name_n++;
    size_t colon = name_n;
    while (colon < s.n && is_blank(s.p[colon])) /* obsolete: blanks before the colon */
        colon++;
    if (name_n == 0 || colon == s.n || s.p[colon] != ':')
        return false;
    size_t end = line_size(s);
    while (end < s.n && is_blank(s.p[end]))
        end += line_size(str_skip(s, end));
    out->name = str_head(s, name_n);
    out->whole = str_head(s, end);
    out->value = without_crlf(str_skip(out->whole, colon + 1));
    i->rest = str_skip(s, end);
    return true;
}

size_t header_size(struct str message)
{
    struct header_iterator i = header_iterate(message);
    struct header_field field;
    while (header_next(&i, &field))
        ;
    return message.n - i.rest.n;
}

bool header_is_missing(struct str text)
{
    struct header_field field;
    struct header_iterator i = header_iterate(text);
    return text.n > 0 && !header_next(&i, &field) && !i.has_separator;
}

size_t header_gap(struct str message)
{
    struct header_iterator i = header_iterate(message);
    struct header_field field;
    while (header_next(&i, &field))
        ;
    bool has_line = i.rest.n == message.n || str_has(i.rest, '\n');
    return i.has_separator || !has_line ? message.n : message.n - i.rest.n;
}

bool header_find(struct str message, struct str name, struct header_field *out)
{
    struct header_iterator i = header_iterate(message);
    while (header_next(&i, out))
        if (str_equal_nocase(out->name, name))
            return true;
    return false;
}

size_t header_count(struct str message, struct str name, size_t stop)
{
    struct header_iterator i = header_iterate(message);
    struct header_field field;
    size_t count = 0;
    while (count < stop && header_next(&i, &field))
        count += str_equal_nocase(field.name, name);
    return count;
}

bool header_unfold(struct buf *out, struct str value)
{
    size_t start = out->used;
    value = str_trim(value);
    while (value.n > 0) {
        size_t line = line_size(value);
        struct str text = line < value.n && is_blank(value.p[line])
                              ? without_crlf(str_head(value, line))
                              : str_head(value, line);
        if (!buf_append(out, text)) {
            out->used = start;
            return false;
        }
        value = str_skip(value, line);
    }
    return true;
}

static bool append_word(struct buf *out, struct str word)
{
    if (!buf_reserve(out, word.n))
        return false;
    for (size_t i = 0; i < word.n; i++) {
        unsigned char c = (unsigned char)word.p[i];
        out->data[out->used++] = (c < 0x20 && c != '\t') || c == 0x7F ? '?' : (char)c;
    }
    return true;
}

bool header_append(struct buf *out, struct str name, struct str value)
{
    size_t start = out->used, line_start = start;
    bool fits = append_word(out, name) && buf_append_byte(out, ':');
    if (value.n > 0 && !is_blank(value.p[0]))
        fits = fits && buf_append_byte(out, ' ');
    bool is_first = true;
    while (fits && value.n > 0) {
        /* A word goes with the blanks in front of it; trailing blanks go with the last word. */
        size_t blanks = 0, n;
        while (blanks < value.n && is_blank(value.p[blanks]))
            blanks++;
        n = blanks;
        while (n < value.n && !is_blank(value.p[n]))
            n++;
        if (n == blanks)
            break;
        bool is_fold = !is_first && blanks > 0 && out->used - line_start + n > LINE_WIDTH;
        if (is_fold) {
            fits = buf_append(out, STR("\r\n"));
            line_start = out->used;
        }
        fits = fits && append_word(out, str_head(value, n));
        value = str_skip(value, n);
        is_first = false;
    }
    if (fits && buf_append(out, STR("\r\n")))
        return true;
    out->used = start;
    return false;
}
