/* SPDX-License-Identifier: ISC */
/*
 * str.h - byte slices
 *
 * A slice is a pointer and a length, passed by value; it never owns what it points to and NUL is
 * data like any other byte. All functions are total: no input makes them fail or read outside the
 * slice. Case folding is ASCII only, as the mail and DNS standards want it.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal)                                                                               \
    (struct str)                                                                                   \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }
#define STR_NONE                                                                                   \
    (struct str)                                                                                   \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

/* For printf: STR_FMT in the format, STR_ARG(s) among the arguments. */
#define STR_FMT    "%.*s"
#define STR_ARG(s) (int)(s).n, (s).n ? (s).p : ""

static inline struct str str_make(const char *p, size_t n)
{
    return (struct str){p, n};
}

/* The bytes of a C string without its NUL; NULL gives the empty slice. Borrows. */
static inline struct str str_from(const char *c_string)
{
    return (struct str){c_string, c_string ? strlen(c_string) : 0};
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Bytes from offset to the end; an offset past the end gives an empty slice. */
static inline struct str str_skip(struct str s, size_t offset)
{
    size_t n = offset < s.n ? offset : s.n;
    return n > 0 ? str_make(s.p + n, s.n - n) : s;
}

/* The first n bytes, or all of them when there are fewer. */
static inline struct str str_head(struct str s, size_t n)
{
    return str_make(s.p, n < s.n ? n : s.n);
}

/* Position of the first such byte, or s.n when there is none. */
static inline size_t str_index(struct str s, char byte)
{
    const char *at = s.n ? memchr(s.p, byte, s.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

static inline bool str_has(struct str s, char byte)
{
    return str_index(s, byte) < s.n;
}

char str_lower_byte(char c);

/* Equality and prefix tests that fold ASCII case. */
bool str_equal_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends_nocase(struct str s, struct str suffix);

/* Order of the bytes as unsigned numbers, shorter first among equals: <0, 0 or >0. */
int str_compare(struct str a, struct str b);

/* Position of the last such byte, or s.n when there is none. */
size_t str_last_index(struct str s, char byte);

/* Position of the first occurrence of needle (not empty), or s.n when there is none. */
size_t str_find(struct str s, struct str needle);

/* The slice without spaces, tabs, CR and LF at both ends. */
struct str str_trim(struct str s);

/*
 * Splits at the first separator: *head is what stands before it and the result tells whether there
 * was one; *rest is what follows (empty when none). All three may be the same variable's fields.
 */
bool str_cut(struct str s, char separator, struct str *head, struct str *rest);

/*
 * The next word of *rest up to a space or tab; leading blanks are skipped and *rest moves behind
 * the word. Empty at the end.
 */
struct str str_word(struct str *rest);

/* True when every byte is printable ASCII (0x20..0x7E); the empty slice is. */
bool str_is_printable(struct str s);

/* True when a byte has its high bit set. */
bool str_has_8bit(struct str s);

#endif
