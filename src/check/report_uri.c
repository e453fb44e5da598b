/* SPDX-License-Identifier: ISC */
/*
 * report_uri.c - where a domain wants its reports
 */
#include "check/report_uri.h"

#include "base/num.h"
#include "check/tag_list.h"

/* "10m": octets (RFC 7489 section 6.2). */
static bool read_limit(struct str text, uint64_t *bytes)
{
    static const char units[] = "kmgt";
    unsigned shift = 0;
    uint64_t number;
    if (text.n > 1) {
        const char *unit = memchr(units, str_lower_byte(text.p[text.n - 1]), sizeof units - 1);
        if (unit) {
            shift = 10 * (unsigned)(unit - units + 1);
            text.n--;
        }
    }
    if (!num_parse(text, UINT64_MAX >> 40, &number))
        return false;
    *bytes = number << shift;
    return true;
}

/* Takes the percent signs away; false when the result is no printable text that fits. */
static bool decode(struct str text, struct report_uri *out)
{
    out->address_n = 0;
    while (text.n > 0) {
        uint64_t octet = (unsigned char)text.p[0];
        size_t taken = 1;
        if (octet == '%') {
            if (text.n < 3 || !num_parse_hex(str_make(text.p + 1, 2), 255, &octet))
                return false;
            taken = 3;
        }
        if (octet <= ' ' || octet > '~' || out->address_n == sizeof out->address)
            return false;
        out->address[out->address_n++] = (char)octet;
        text = str_skip(text, taken);
    }
    return true;
}

static bool read_mailto(struct str text, struct report_uri *out)
{
    text = str_head(text, str_index(text, '?'));
    if (!decode(text, out))
        return false;
    struct str address = str_make(out->address, out->address_n);
    size_t at = str_last_index(address, '@');
    out->domain = str_skip(address, at + 1);
    return at > 0 && at < address.n && out->domain.n > 0;
}

bool report_uri_next(struct str *rest, struct report_uri *out)
{
    struct str item, limit;
    while (tag_item_next(rest, ',', &item)) {
        *out = (struct report_uri){.limit_bytes = UINT64_MAX};
        if (str_cut(item, '!', &item, &limit) && !read_limit(limit, &out->limit_bytes))
            continue;
        out->text = item;
        out->is_https = str_starts_nocase(item, STR("https://"));
        if (out->is_https && item.n > 8 && str_is_printable(item))
            return true;
        if (str_starts_nocase(item, STR("mailto:")) && read_mailto(str_skip(item, 7), out))
            return true;
    }
    return false;
}
