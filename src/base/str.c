/* SPDX-License-Identifier: ISC */
/*
 * str.c - byte slices
 */
#include "base/str.h"

#include <stdint.h>

char str_lower_byte(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool equal_nocase(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_lower_byte(a[i]) != str_lower_byte(b[i]))
            return false;
    return true;
}

bool str_equal_nocase(struct str a, struct str b)
{
    return a.n == b.n && equal_nocase(a.p, b.p, a.n);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_equal(str_head(s, prefix.n), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.n >= prefix.n && equal_nocase(s.p, prefix.p, prefix.n);
}

bool str_ends_nocase(struct str s, struct str suffix)
{
    return s.n >= suffix.n && equal_nocase(s.p + (s.n - suffix.n), suffix.p, suffix.n);
}

int str_compare(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order != 0)
        return order;
    return (a.n > b.n) - (a.n < b.n);
}

size_t str_last_index(struct str s, char byte)
{
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == byte)
            return i - 1;
    return s.n;
}

size_t str_find(struct str s, struct str needle)
{
    size_t at = 0;
    while (needle.n <= s.n - at) {
        at += str_index(str_skip(s, at), needle.p[0]);
        if (at >= s.n || needle.n > s.n - at)
            return s.n;
        if (memcmp(s.p + at, needle.p, needle.n) == 0)
            return at;
        at++;
    }
    return s.n;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_blank(s.p[0]))
        s = str_skip(s, 1);
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_cut(struct str s, char separator, struct str *head, struct str *rest)
{
    size_t at = str_index(s, separator);
    *head = str_head(s, at);
    *rest = str_skip(s, at + 1);
    return at < s.n;
}

struct str str_word(struct str *rest)
{
    struct str s = *rest;
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = str_skip(s, 1);
    size_t n = 0;
    while (n < s.n && s.p[n] != ' ' && s.p[n] != '\t')
        n++;
    *rest = str_skip(s, n);
    return str_head(s, n);
}

bool str_is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7E)
            return false;
    return true;
}

bool str_has_8bit(struct str s)
{
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= s.n; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, s.p + i, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            return true;
    }
    for (; i < s.n; i++)
        if ((unsigned char)s.p[i] & 0x80)
            return true;
    return false;
}
