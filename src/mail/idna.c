/* SPDX-License-Identifier: ISC */
/*
 * idna.c - domain names and address literals as mail uses them (RFC 5321 4.1.2-3, 5890, 5891)
 *
 * ASCII names never reach libidn2, so the usual case costs one pass over the bytes.
 */
#include "mail/idna.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <string.h>

enum { LABEL_MAX = 63 };

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool label_is_ldh(struct str label)
{
    if (label.n == 0 || label.n > LABEL_MAX)
        return false;
    for (size_t i = 0; i < label.n; i++)
        if (!is_letter_or_digit(label.p[i]) && (label.p[i] != '-' || i == 0 || i + 1 == label.n))
            return false;
    return true;
}

static bool domain_is_ldh(struct str domain)
{
    if (domain.n == 0 || domain.n > IDNA_DOMAIN_MAX)
        return false;
    bool has_more = true;
    while (has_more) {
        struct str label;
        has_more = str_cut(domain, '.', &label, &domain);
        if (!label_is_ldh(label))
            return false;
    }
    return true;
}

static struct str copy_lower(struct str domain, char ascii[IDNA_DOMAIN_MAX])
{
    for (size_t i = 0; i < domain.n; i++)
        ascii[i] = str_lower_byte(domain.p[i]);
    return str_make(ascii, domain.n);
}

struct str idna_to_ascii(struct str domain, char ascii[IDNA_DOMAIN_MAX])
{
    if (domain.n > IDNA_DOMAIN_MAX || str_has(domain, '\0'))
        return STR_NONE;
    if (!str_has_8bit(domain))
        return domain_is_ldh(domain) ? copy_lower(domain, ascii) : STR_NONE;
    char name[IDNA_DOMAIN_MAX + 1];
    memcpy(name, domain.p, domain.n);
    name[domain.n] = '\0';
    uint8_t *found = NULL;
    const uint8_t *given = (const uint8_t *)name;
    if (idn2_lookup_u8(given, &found, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return STR_NONE;
    struct str looked_up = str_from((const char *)found), result = STR_NONE;
    if (domain_is_ldh(looked_up))
        result = copy_lower(looked_up, ascii);
    idn2_free(found);
    return result;
}

bool idna_domain_is_valid(struct str domain, bool allow_utf8)
{
    if (!str_has_8bit(domain))
        return domain_is_ldh(domain);
    char ascii[IDNA_DOMAIN_MAX];
    return allow_utf8 && idna_to_ascii(domain, ascii).n > 0;
}

/* The U-label of an A-label, for idn2_free; NULL when there is none. */
static char *to_u_label(struct str label)
{
    char name[LABEL_MAX + 1], *unicode = NULL;
    if (!label_is_ldh(label) || !str_starts_nocase(label, STR("xn--")))
        return NULL;
    memcpy(name, label.p, label.n);
    name[label.n] = '\0';
    return idn2_to_unicode_8z8z(name, &unicode, 0) == IDN2_OK ? unicode : NULL;
}

bool idna_to_unicode(struct str domain, struct buf *out)
{
    size_t start = out->used;
    struct str rest = domain;
    bool has_more = true, fits = true;
    while (has_more && fits) {
        struct str label;
        has_more = str_cut(rest, '.', &label, &rest);
        char *unicode = to_u_label(label);
        fits = buf_append(out, unicode ? str_from(unicode) : label) &&
               (!has_more || buf_append_byte(out, '.'));
        idn2_free(unicode);
    }
    /* Labels that are good alone may not be so together (RFC 5893). */
    bool is_same = fits && idna_equal(str_skip(buf_str(out), start), domain);
    if (!is_same)
        out->used = start;
    return is_same || (fits && buf_append(out, domain));
}

bool idna_equal(struct str a, struct str b)
{
    if (str_equal_nocase(a, b))
        return true;
    if (!str_has_8bit(a) && !str_has_8bit(b))
        return false;
    char ascii_a[IDNA_DOMAIN_MAX], ascii_b[IDNA_DOMAIN_MAX];
    struct str x = idna_to_ascii(a, ascii_a), y = idna_to_ascii(b, ascii_b);
    return x.n > 0 && str_equal(x, y);
}

bool idna_literal_parse(struct str text, struct idna_literal *out)
{
    char address[INET6_ADDRSTRLEN];
    if (text.n < 2 || text.p[0] != '[' || text.p[text.n - 1] != ']')
        return false;
    struct str inside = str_make(text.p + 1, text.n - 2);
    bool is_ipv6 = str_starts_nocase(inside, STR("IPv6:"));
    if (is_ipv6)
        inside = str_skip(inside, 5);
    if (inside.n == 0 || inside.n >= sizeof address || str_has(inside, '\0'))
        return false;
    memcpy(address, inside.p, inside.n);
    address[inside.n] = '\0';
    *out = (struct idna_literal){.is_ipv6 = is_ipv6};
    return inet_pton(is_ipv6 ? AF_INET6 : AF_INET, address, out->address) == 1;
}

struct str idna_literal_print(const struct idna_literal *literal, char text[IDNA_LITERAL_MAX])
{
    static const char tag[] = "[IPv6:";
    size_t n = literal->is_ipv6 ? sizeof tag - 1 : 1;
    memcpy(text, literal->is_ipv6 ? tag : "[", n);
    inet_ntop(literal->is_ipv6 ? AF_INET6 : AF_INET, literal->address, text + n,
              (socklen_t)(IDNA_LITERAL_MAX - n));
    n = strlen(text);
    text[n] = ']';
    return str_make(text, n + 1);
}
