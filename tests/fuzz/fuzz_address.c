/* SPDX-License-Identifier: ISC */
/*
 * fuzz_address.c - an accepted address survives printing and parsing; its limits hold
 */
#include "mail/address.h"

#include "fuzz.h"
#include "mail/idna.h"

/* What RFC 5321 calls a Mailbox without quotes, literals and UTF-8: a model that knows no more. */
static bool is_plain_mailbox(struct str s)
{
    static const char atext[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "!#$%&'*+-/=?^_`{|}~";
    size_t at = str_index(s, '@');
    struct str part[2] = {str_head(s, at), str_skip(s, at + 1)};
    bool is_rewritten = at > 4 && str_starts_nocase(s, STR("SRS")) &&
                        (s.p[3] == '0' || s.p[3] == '1') && strchr("=+-", s.p[4]);
    if (at > (is_rewritten ? ADDRESS_REWRITTEN_MAX : ADDRESS_LOCAL_MAX) ||
        s.n + 2 > ADDRESS_PATH_MAX)
        return false;
    for (size_t k = 0; k < 2; k++) {
        size_t length = 0; /* of the atom or label */
        for (size_t i = 0; i <= part[k].n; i++) {
            char c = i < part[k].n ? part[k].p[i] : '.';
            bool is_alnum = c && strchr(atext, c) && strchr(atext, c) < atext + 62;
            char last = length > 0 ? part[k].p[i - 1] : '.';
            if (c == '.' && (length == 0 || (k == 1 && (length > 63 || last == '-'))))
                return false;
            if (c != '.' && (!c || !strchr(atext, c)))
                return false;
            if (k == 1 && c != '.' && !is_alnum && (c != '-' || length == 0))
                return false;
            length = c == '.' ? 0 : length + 1;
        }
    }
    return at < s.n;
}

static void check_plain(struct arena *arena, struct str in, unsigned allow)
{
    struct address a;
    bool is_good = address_parse(arena, in, allow, &a), is_plain = is_plain_mailbox(in);
    if (is_plain) {
        must(is_good && a.kind == ADDRESS_DOMAIN && !a.is_utf8);
        must(str_equal(a.local, str_head(in, str_index(in, '@'))));
        must(str_equal_nocase(a.domain, str_skip(in, str_index(in, '@') + 1)));
    }
    if (is_good && a.kind == ADDRESS_DOMAIN && !a.is_utf8 && !str_has(in, '"'))
        must(is_plain);
}

const struct fuzz_memory fuzz_memory = {.factor = 8, .base = 1 << 16};

void fuzz_one(struct str in)
{
    unsigned allow = take_octet(&in) & 7;
    struct arena arena = arena_make(8192);
    struct address a, again;
    struct str rest = in;
    if (address_parse_path(&arena, &rest, allow, &a)) {
        struct buf printed = buf_make(ADDRESS_PATH_MAX);
        must(rest.n < in.n);
        must(address_print_path(&printed, &a));
        struct str text = buf_str(&printed);
        must(address_parse_path(&arena, &text, allow, &again) && text.n == 0);
        must(a.kind == again.kind && a.is_utf8 == again.is_utf8);
        must(str_equal(a.local, again.local) && str_equal(a.domain, again.domain));
        must(address_equal(&a, &again));
        must(a.is_null == (a.kind == ADDRESS_NULL));
        must(a.is_utf8 == str_has_8bit(buf_str(&printed)));
        buf_free(&printed);
    }
    if (address_parse(&arena, in, allow, &a) && !a.is_null) {
        struct str text = address_text(&arena, &a);
        must(address_parse(&arena, text, allow, &again) && address_equal(&a, &again));
    }
    check_plain(&arena, in, allow);
    char ascii[IDNA_DOMAIN_MAX], twice[IDNA_DOMAIN_MAX];
    struct str domain = idna_to_ascii(in, ascii);
    if (domain.n > 0)
        must(str_equal(idna_to_ascii(domain, twice), domain) && idna_equal(in, domain));
    arena_free(&arena);
}
