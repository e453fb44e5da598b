/* SPDX-License-Identifier: ISC */
/*
 * dnsbl_site.c - a list in the DNS, and which of its answers count (RFC 5782)
 */
#include "check/dnsbl_site.h"

#include "base/hostname.h"
#include "base/num.h"

static void allow(uint64_t set[4], unsigned low, unsigned high)
{
    for (unsigned i = low; i <= high; i++)
        set[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool is_allowed(const uint64_t set[4], unsigned octet)
{
    return set[octet / 64] >> (octet % 64) & 1u;
}

/* "4", or "2..4" inside of brackets. */
static bool read_range(struct str text, uint64_t set[4])
{
    uint64_t low, high;
    size_t dots = str_find(text, STR(".."));
    if (!num_parse(str_head(text, dots), 255, &low))
        return false;
    high = low;
    if (dots < text.n && !num_parse(str_skip(text, dots + 2), 255, &high))
        return false;
    if (high < low)
        return false;
    allow(set, (unsigned)low, (unsigned)high);
    return true;
}

/* An octet, or "[2..4;9]", from the front of the text. */
static bool take_octet(struct str *text, uint64_t set[4])
{
    if (text->n == 0 || text->p[0] != '[') {
        size_t end = str_index(*text, '.');
        uint64_t value;
        if (!num_parse(str_head(*text, end), 255, &value))
            return false;
        allow(set, (unsigned)value, (unsigned)value);
        *text = str_skip(*text, end);
        return true;
    }
    size_t end = str_index(*text, ']');
    struct str ranges = str_make(text->p + 1, end - 1), range;
    if (end == text->n)
        return false;
    bool is_more = true;
    while (is_more) {
        size_t semicolon = str_index(ranges, ';');
        range = str_head(ranges, semicolon);
        is_more = semicolon < ranges.n;
        ranges = str_skip(ranges, semicolon + 1);
        if (!read_range(range, set))
            return false;
    }
    *text = str_skip(*text, end + 1);
    return true;
}

static bool read_codes(struct str text, struct dnsbl_site *out)
{
    for (size_t i = 0; i < 4; i++) {
        if (i > 0) {
            if (text.n == 0 || text.p[0] != '.')
                return false;
            text = str_skip(text, 1);
        }
        if (!take_octet(&text, out->octet[i]))
            return false;
    }
    /* RFC 5782 section 2.1: there is nothing outside of it. */
    return text.n == 0 && is_allowed(out->octet[0], 127);
}

static uint32_t number_of(const struct ip_address *ip)
{
    const uint8_t *b = ip->byte + 12;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool read_mask(struct str text, struct dnsbl_site *out)
{
    struct ip_address mask;
    if (!ip_parse(text, &mask) || !ip_is_v4(&mask))
        return false;
    out->mask = number_of(&mask);
    return out->mask > 0 && out->mask <= 0xffffff;
}

static bool read_weight(struct str text, int64_t *out)
{
    bool is_negative = text.n > 0 && text.p[0] == '-';
    uint64_t value;
    if (!num_parse(str_skip(text, is_negative), DNSBL_WEIGHT_MAX, &value) || value == 0)
        return false;
    *out = is_negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static bool is_zone(struct str zone)
{
    return hostname_is_valid(zone) && !hostname_ends_in_number(zone) && zone.n <= 180;
}

bool dnsbl_site_parse(struct str text, struct dnsbl_site *out)
{
    *out = (struct dnsbl_site){.written = text, .weight = 1};
    size_t star = str_index(text, '*');
    if (star < text.n && !read_weight(str_skip(text, star + 1), &out->weight))
        return false;
    text = str_head(text, star);
    size_t codes = str_index(text, '='), mask = str_index(text, '&');
    if (codes < text.n) {
        out->zone = str_head(text, codes);
        return is_zone(out->zone) && read_codes(str_skip(text, codes + 1), out);
    }
    allow(out->octet[0], 127, 127);
    for (size_t i = 1; i < 4; i++)
        allow(out->octet[i], 0, 255);
    out->zone = str_head(text, mask);
    return is_zone(out->zone) && (mask == text.n || read_mask(str_skip(text, mask + 1), out));
}

bool dnsbl_is_code(const struct ip_address *answer)
{
    return ip_is_v4(answer) && answer->byte[12] == 127;
}

bool dnsbl_is_error(const struct ip_address *answer)
{
    return dnsbl_is_code(answer) && answer->byte[13] == 255 && answer->byte[14] == 255;
}

bool dnsbl_site_matches(const struct dnsbl_site *site, const struct ip_address *answer)
{
    if (!dnsbl_is_code(answer) || dnsbl_is_error(answer))
        return false;
    if (site->mask > 0)
        return (number_of(answer) & site->mask) > 0;
    for (size_t i = 0; i < 4; i++)
        if (!is_allowed(site->octet[i], answer->byte[12 + i]))
            return false;
    return true;
}
