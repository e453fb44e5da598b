/* SPDX-License-Identifier: ISC */
/*
 * spf_macro.c - macros in SPF records and explanations (RFC 7208 section 7)
 *
 * A text is read part by part, a part being a macro or one other character; reading and expanding share that. What
 * is expanded goes into a room of fixed size that keeps its end (names, which are cut from the left) or its
 * beginning (explanations).
 */
#include "check/spf_macro.h"

#include <string.h>

#include "base/num.h"

enum { NAME_MAX_OCTETS = 253, PARTS_MAX = 1000, VALUE_ROOM = 72 };

struct part {
    char letter; /* lower case; 0: literal stands for itself */
    struct str literal;
    bool is_escaped; /* the letter was upper case */
    bool is_reversed;
    unsigned kept; /* right-hand parts; 0: all */
    struct str delimiters;
};

struct sink {
    char *p;
    size_t size, used;
    bool keeps_end;
};

static void put(struct sink *s, char c)
{
    if (s->used == s->size) {
        if (!s->keeps_end)
            return;
        s->used = s->size - s->size / 2;
        memmove(s->p, s->p + s->size / 2, s->used);
    }
    s->p[s->used++] = c;
}

/* The "unreserved" characters of RFC 3986 stay. */
static void put_escaped(struct sink *s, char c)
{
    static const char hex[] = "0123456789ABCDEF";
    char lower = str_lower_byte(c);
    if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
        c == '_' || c == '~') {
        put(s, c);
        return;
    }
    put(s, '%');
    put(s, hex[(unsigned char)c >> 4]);
    put(s, hex[(unsigned char)c & 15]);
}

static void put_slice(struct sink *s, struct str value, bool is_escaped)
{
    for (size_t i = 0; i < value.n; i++)
        (is_escaped ? put_escaped : put)(s, value.p[i]);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* transformers = *DIGIT [ "r" ]; a number that is given must not be zero. */
static bool take_transformers(struct str *text, struct part *out)
{
    bool has_digits = text->n > 0 && is_digit(text->p[0]);
    while (text->n > 0 && is_digit(text->p[0])) {
        out->kept = out->kept * 10 + (unsigned)(text->p[0] - '0');
        out->kept = out->kept < PARTS_MAX ? out->kept : PARTS_MAX;
        *text = str_skip(*text, 1);
    }
    out->is_reversed = text->n > 0 && str_lower_byte(text->p[0]) == 'r';
    *text = str_skip(*text, out->is_reversed);
    return !has_digits || out->kept > 0;
}

/* macro-letter transformers *delimiter "}" */
static bool take_macro(struct str *text, struct part *out)
{
    if (text->n == 0 || text->p[0] == '\0' || !strchr("slodiphcrtvSLODIPHCRTV", text->p[0]))
        return false;
    out->letter = str_lower_byte(text->p[0]);
    out->is_escaped = out->letter != text->p[0];
    *text = str_skip(*text, 1);
    if (!take_transformers(text, out))
        return false;
    size_t n = 0;
    while (n < text->n && text->p[n] != '\0' && strchr(".-+,/_=", text->p[n]))
        n++;
    out->delimiters = n > 0 ? str_head(*text, n) : STR(".");
    if (n == text->n || text->p[n] != '}')
        return false;
    *text = str_skip(*text, n + 1);
    return true;
}

/* Takes a macro-expand or one character of a macro-literal. False when it is neither. */
static bool take_part(struct str *text, bool may_have_space, struct part *out)
{
    char c = text->p[0];
    *out = (struct part){.literal = str_head(*text, 1)};
    if (c != '%') {
        *text = str_skip(*text, 1);
        return (c > ' ' && c <= '~') || (c == ' ' && may_have_space);
    }
    char kind = text->n > 1 ? text->p[1] : '\0';
    *text = str_skip(*text, 2);
    if (kind == '{')
        return take_macro(text, out);
    out->literal = kind == '%' ? STR("%") : kind == '_' ? STR(" ") : STR("%20");
    return kind == '%' || kind == '_' || kind == '-';
}

bool spf_macro_is_valid(struct str text, bool is_explanation)
{
    struct part part;
    while (text.n > 0) {
        if (!take_part(&text, is_explanation, &part))
            return false;
        bool is_for_explanations = part.letter == 'c' || part.letter == 'r' || part.letter == 't';
        if (is_for_explanations && !is_explanation)
            return false;
    }
    return true;
}

/* Letters, digits and inner hyphens, not digits alone. */
static bool is_top_label(struct str label)
{
    bool is_number = true;
    for (size_t i = 0; i < label.n; i++) {
        char c = str_lower_byte(label.p[i]);
        bool is_inner_hyphen = c == '-' && i > 0 && i + 1 < label.n;
        if (!is_digit(c) && !(c >= 'a' && c <= 'z') && !is_inner_hyphen)
            return false;
        is_number = is_number && is_digit(c);
    }
    return !is_number;
}

/* domain-end = ( "." toplabel [ "." ] ) / macro-expand */
bool spf_macro_is_domain_spec(struct str text)
{
    struct part part = {0};
    struct str rest = text;
    size_t behind_macro = 0;
    if (text.n == 0 || !spf_macro_is_valid(text, false))
        return false;
    while (rest.n > 0) {
        bool is_macro = rest.p[0] == '%';
        if (!take_part(&rest, false, &part))
            return false;
        behind_macro = is_macro ? text.n - rest.n : behind_macro;
    }
    if (behind_macro == text.n)
        return true;
    struct str end = str_skip(text, behind_macro);
    if (end.p[end.n - 1] == '.')
        end.n--;
    size_t dot = str_last_index(end, '.');
    return dot < end.n && is_top_label(str_skip(end, dot + 1));
}

/* "192.0.2.1", or each half octet of an IPv6 address between dots. */
static struct str spell_ip(const struct ip_address *ip, char room[VALUE_ROOM])
{
    static const char hex[] = "0123456789ABCDEF";
    if (ip_is_v4(ip))
        return ip_format(ip, room);
    for (size_t i = 0; i < 32; i++) {
        room[2 * i] = hex[i % 2 == 0 ? ip->byte[i / 2] >> 4 : ip->byte[i / 2] & 15];
        room[2 * i + 1] = '.';
    }
    return str_make(room, 63);
}

static struct str find_value(const struct spf_facts *f, char letter, char room[VALUE_ROOM])
{
    switch (letter) {
    case 's':
        return f->sender;
    case 'l':
        return f->local;
    case 'o':
        return f->sender_domain;
    case 'd':
        return f->domain;
    case 'i':
        return spell_ip(&f->ip, room);
    case 'p':
        return f->client_name(f->context);
    case 'v':
        return ip_is_v4(&f->ip) ? STR("in-addr") : STR("ip6");
    case 'h':
        return f->helo;
    case 'c':
        return ip_format(&f->ip, room);
    case 'r':
        return f->receiver.n > 0 ? f->receiver : STR("unknown");
    default:
        return num_format(f->now_s, room);
    }
}

/* Writes parts of the value from its end towards its beginning. */
static void put_reversed(struct sink *s, struct str value, const struct part *part, size_t skipped)
{
    for (size_t i = 0, end = value.n;; i++) {
        size_t start = end;
        while (start > 0 && !str_has(part->delimiters, value.p[start - 1]))
            start--;
        if (i >= skipped)
            put_slice(s, str_skip(str_head(value, end), start), part->is_escaped);
        if (start == 0)
            return;
        if (i >= skipped)
            put(s, '.');
        end = start - 1;
    }
}

static void put_forward(struct sink *s, struct str value, const struct part *part, size_t skipped)
{
    for (size_t i = 0; i < value.n; i++) {
        bool is_delimiter = str_has(part->delimiters, value.p[i]);
        if (skipped == 0)
            put_slice(s, is_delimiter ? STR(".") : str_make(value.p + i, 1), part->is_escaped);
        else
            skipped -= is_delimiter;
    }
}

/* Splits the value at the delimiters, reverses it, and keeps what is on the right, with dots between. */
static void put_value(struct sink *s, struct str value, const struct part *part)
{
    size_t count = 1;
    for (size_t i = 0; i < value.n; i++)
        count += str_has(part->delimiters, value.p[i]);
    size_t skipped = part->kept > 0 && part->kept < count ? count - part->kept : 0;
    (part->is_reversed ? put_reversed : put_forward)(s, value, part, skipped);
}

static bool expand(struct spf_facts *f, struct str text, struct sink *s, bool *has_8bit_local)
{
    char room[VALUE_ROOM];
    struct part part;
    while (text.n > 0 && take_part(&text, true, &part)) {
        if (part.letter == 0) {
            put_slice(s, part.literal, false);
            continue;
        }
        if (f->macros_left == 0)
            return false;
        f->macros_left--;
        if ((part.letter == 's' || part.letter == 'l') && str_has_8bit(f->local))
            *has_8bit_local = true;
        put_value(s, find_value(f, part.letter, room), &part);
    }
    return true;
}

bool spf_macro_expand_name(struct spf_facts *facts, struct str spec, char room[SPF_NAME_ROOM],
                           struct str *name)
{
    struct sink s = {.p = room, .size = SPF_NAME_ROOM, .keeps_end = true};
    bool has_8bit_local = false;
    if (!expand(facts, spec, &s, &has_8bit_local))
        return false;
    struct str found = str_make(room, has_8bit_local ? 0 : s.used);
    if (found.n > 0 && found.p[found.n - 1] == '.')
        found.n--;
    if (found.n > NAME_MAX_OCTETS) {
        found = str_skip(found, found.n - NAME_MAX_OCTETS - 1);
        found = str_skip(found, str_index(found, '.') + 1);
    }
    *name = found;
    return true;
}

bool spf_macro_expand_text(struct spf_facts *facts, struct str text, char *room, size_t size,
                           struct str *out)
{
    struct sink s = {.p = room, .size = size};
    bool has_8bit_local = false;
    if (!expand(facts, text, &s, &has_8bit_local))
        return false;
    for (size_t i = 0; i < s.used; i++)
        if (!str_is_printable(str_make(room + i, 1)))
            room[i] = '?';
    *out = str_make(room, s.used);
    return true;
}
