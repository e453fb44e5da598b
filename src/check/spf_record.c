/* SPDX-License-Identifier: ISC */
/*
 * spf_record.c - the text of an SPF record (RFC 7208 sections 4.5, 4.6.1, 5, 6 and 12)
 *
 * A record is read twice: once to its end for its grammar, then term by term as it is evaluated, so that its length
 * costs no memory. Functions that read a part of a term give the reason why it is wrong, NULL when it is not.
 */
#include "check/spf_record.h"

#include <assert.h>

#include "base/num.h"
#include "check/spf_macro.h"

static const char VERSION[] = "v=spf1";
static const char NOT_ASCII[] = "a character that is not visible ASCII";
static const char BAD_DOMAIN[] = "a domain or macro that is malformed in";
static const char BAD_ADDRESS[] = "an address or prefix that is malformed in";
static const char NO_ARGUMENT[] = "something behind a name that takes nothing in";

static const struct {
    const char *name;
    enum spf_kind kind;
} names[] = {
    {"all", SPF_ALL}, {"include", SPF_INCLUDE}, {"a", SPF_A},     {"mx", SPF_MX},
    {"ptr", SPF_PTR}, {"ip4", SPF_IP4},         {"ip6", SPF_IP6}, {"exists", SPF_EXISTS},
};
enum { NAME_COUNT = sizeof names / sizeof names[0] };

bool spf_record_is_one(struct str text)
{
    return str_starts_nocase(text, str_from(VERSION)) &&
           (text.n == sizeof VERSION - 1 || text.p[sizeof VERSION - 1] == ' ');
}

static bool is_letter(char c)
{
    c = str_lower_byte(c);
    return c >= 'a' && c <= 'z';
}

/* Octets of ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ) at the front. */
static size_t name_length(struct str text)
{
    size_t n = 0;
    while (n < text.n && (is_letter(text.p[n]) ||
                          (n > 0 && text.p[n] != '\0' && strchr("0123456789-_.", text.p[n]))))
        n++;
    return n;
}

/* "0", or digits of which the first is not 0. */
static bool read_bits(struct str digits, unsigned maximum, uint8_t *out)
{
    uint64_t bits;
    if ((digits.n > 1 && digits.p[0] == '0') || !num_parse(digits, maximum, &bits))
        return false;
    *out = (uint8_t)bits;
    return true;
}

/* Takes MARK and a number from the end of *text, when there is one. False when it is no prefix length. */
static bool strip_bits(struct str *text, struct str mark, unsigned maximum, uint8_t *bits)
{
    size_t at = text->n;
    while (at > 0 && text->p[at - 1] >= '0' && text->p[at - 1] <= '9')
        at--;
    if (at == text->n || at < mark.n || !str_equal(str_make(text->p + at - mark.n, mark.n), mark))
        return true;
    if (!read_bits(str_skip(*text, at), maximum, bits))
        return false;
    text->n = at - mark.n;
    return true;
}

/* [ ":" domain-spec ] [ "/" bits ] [ "//" bits ] */
static const char *read_host(struct str text, struct spf_term *out)
{
    out->v4_bits = 32;
    out->v6_bits = 128;
    if (!strip_bits(&text, STR("//"), 128, &out->v6_bits) ||
        !strip_bits(&text, STR("/"), 32, &out->v4_bits))
        return BAD_ADDRESS;
    if (text.n == 0)
        return NULL;
    out->domain_spec = str_skip(text, 1);
    return text.p[0] == ':' && spf_macro_is_domain_spec(out->domain_spec) ? NULL : BAD_DOMAIN;
}

/* ":" address [ "/" bits ] */
static const char *read_network(struct str text, struct spf_term *out)
{
    struct str address, bits;
    bool is_v4 = out->kind == SPF_IP4;
    out->v4_bits = 32;
    out->v6_bits = 128;
    bool has_bits = str_cut(str_skip(text, 1), '/', &address, &bits);
    if (text.n == 0 || text.p[0] != ':' || str_has(address, ':') == is_v4 ||
        !ip_parse(address, &out->ip))
        return BAD_ADDRESS;
    if (has_bits && !read_bits(bits, is_v4 ? 32 : 128, is_v4 ? &out->v4_bits : &out->v6_bits))
        return BAD_ADDRESS;
    return NULL;
}

static const char *read_argument(struct str text, struct spf_term *out)
{
    bool has_none = text.n == 0;
    switch (out->kind) {
    case SPF_ALL:
        return has_none ? NULL : NO_ARGUMENT;
    case SPF_A:
    case SPF_MX:
        return read_host(text, out);
    case SPF_IP4:
    case SPF_IP6:
        return read_network(text, out);
    case SPF_INCLUDE:
    case SPF_EXISTS:
    case SPF_PTR:
        out->domain_spec = str_skip(text, 1);
        if (has_none && out->kind == SPF_PTR)
            return NULL;
        return !has_none && text.p[0] == ':' && spf_macro_is_domain_spec(out->domain_spec)
                   ? NULL
                   : BAD_DOMAIN;
    case SPF_REDIRECT:
    case SPF_EXP:
    case SPF_UNKNOWN_MODIFIER:
        break;
    }
    assert(!"a modifier has no argument");
    return BAD_DOMAIN;
}

/* directive = [ qualifier ] mechanism */
static const char *read_directive(struct str text, struct spf_term *out)
{
    if (strchr("+-~?", text.p[0])) {
        out->qualifier = text.p[0];
        text = str_skip(text, 1);
    }
    size_t n = 0;
    while (n < text.n && text.p[n] != ':' && text.p[n] != '/')
        n++;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (str_equal_nocase(str_head(text, n), str_from(names[i].name))) {
            out->kind = names[i].kind;
            return read_argument(str_skip(text, n), out);
        }
    }
    return "unknown mechanism";
}

/* modifier = redirect / explanation / unknown-modifier */
static const char *read_modifier(struct str name, struct str value, struct spf_term *out)
{
    out->domain_spec = value;
    out->kind = str_equal_nocase(name, STR("redirect")) ? SPF_REDIRECT
                : str_equal_nocase(name, STR("exp"))    ? SPF_EXP
                                                        : SPF_UNKNOWN_MODIFIER;
    bool is_good = out->kind == SPF_UNKNOWN_MODIFIER ? spf_macro_is_valid(value, true)
                                                     : spf_macro_is_domain_spec(value);
    return is_good ? NULL : BAD_DOMAIN;
}

static const char *read_term(struct str text, struct spf_term *out)
{
    size_t n = name_length(text);
    *out = (struct spf_term){.qualifier = '+', .text = text};
    if (!str_is_printable(text))
        return NOT_ASCII;
    if (n > 0 && n < text.n && text.p[n] == '=')
        return read_modifier(str_head(text, n), str_skip(text, n + 1), out);
    return read_directive(text, out);
}

/* The next word between spaces; empty at the end. */
static struct str take_word(struct str *rest)
{
    size_t start = 0;
    while (start < rest->n && rest->p[start] == ' ')
        start++;
    struct str word = str_skip(*rest, start);
    word.n = str_index(word, ' ');
    *rest = str_skip(*rest, start + word.n);
    return word;
}

bool spf_record_parse(struct str text, struct spf_record *out, struct spf_wrong *wrong)
{
    assert(spf_record_is_one(text));
    *out = (struct spf_record){.terms = str_skip(text, sizeof VERSION - 1)};
    struct str rest = out->terms, word;
    while ((word = take_word(&rest)).n > 0) {
        struct spf_term term;
        *wrong = (struct spf_wrong){read_term(word, &term), word};
        if (wrong->why)
            return false;
        struct str *only = term.kind == SPF_REDIRECT ? &out->redirect
                           : term.kind == SPF_EXP    ? &out->explanation
                                                     : NULL;
        if (only && only->n > 0) {
            wrong->why = "a modifier that stands there twice,";
            return false;
        }
        if (only)
            *only = term.domain_spec;
    }
    return true;
}

bool spf_record_next(struct str *rest, struct spf_term *out)
{
    struct str word = take_word(rest);
    return word.n > 0 && !read_term(word, out);
}

static bool print_bits(struct buf *out, const char *mark, unsigned bits, unsigned whole)
{
    return bits == whole || buf_printf(out, "%s%u", mark, bits);
}

static bool print_network(struct buf *out, const struct spf_term *t)
{
    char text[IP_TEXT_MAX];
    bool is_mapped = t->kind == SPF_IP6 && ip_is_v4(&t->ip);
    return buf_append(out, is_mapped ? STR(":::ffff:") : STR(":")) &&
           buf_append(out, ip_format(&t->ip, text)) &&
           (t->kind == SPF_IP4 ? print_bits(out, "/", t->v4_bits, 32)
                               : print_bits(out, "/", t->v6_bits, 128));
}

static bool print_term(struct buf *out, const struct spf_term *t)
{
    if (t->kind >= SPF_REDIRECT)
        return buf_append(out, t->text);
    size_t i = 0;
    while (names[i].kind != t->kind)
        i++;
    bool fits = (t->qualifier == '+' || buf_append_byte(out, t->qualifier)) &&
                buf_append(out, str_from(names[i].name));
    if (t->kind == SPF_IP4 || t->kind == SPF_IP6)
        return fits && print_network(out, t);
    if (t->domain_spec.n > 0)
        fits = fits && buf_append_byte(out, ':') && buf_append(out, t->domain_spec);
    if (t->kind != SPF_A && t->kind != SPF_MX)
        return fits;
    return fits && print_bits(out, "/", t->v4_bits, 32) && print_bits(out, "//", t->v6_bits, 128);
}

bool spf_record_print(struct buf *out, const struct spf_term *term)
{
    size_t start = out->used;
    bool fits = print_term(out, term);
    if (!fits)
        out->used = start;
    return fits;
}
