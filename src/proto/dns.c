/* SPDX-License-Identifier: ISC */
/*
 * dns.c - the data of DNS records, as mail reads them (RFC 1035 section 3, RFC 2782, RFC 3596, RFC 7505)
 */
#include "proto/dns.h"

#include "base/hostname.h"

enum { WIRE_MAX = 255, LABEL_MAX = 63 };

bool dns_name_read(struct str wire, struct arena *arena, struct str *out)
{
    char *text = arena_alloc(arena, WIRE_MAX + 1);
    size_t n = 0;
    if (wire.n > WIRE_MAX)
        return false;
    while (wire.n > 0 && wire.p[0] != 0) {
        size_t label = (unsigned char)wire.p[0];
        if (label > LABEL_MAX || label + 1 > wire.n || str_has(str_make(wire.p + 1, label), '.'))
            return false;
        if (n > 0)
            text[n++] = '.';
        for (size_t i = 1; i <= label; i++)
            text[n++] = str_lower_byte(wire.p[i]);
        wire = str_skip(wire, label + 1);
    }
    *out = str_make(text, n);
    return wire.n == 1;
}

static uint16_t read_u16(const char *p)
{
    return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

bool dns_exchange_read(struct str data, struct arena *arena, uint16_t *preference, struct str *host)
{
    if (data.n < 3 || !dns_name_read(str_skip(data, 2), arena, host))
        return false;
    *preference = read_u16(data.p);
    return true;
}

bool dns_mx_read(struct str data, struct arena *arena, struct dns_mx *out)
{
    struct ip_address ip;
    return dns_exchange_read(data, arena, &out->preference, &out->host) &&
           hostname_is_valid(out->host) && !ip_parse(out->host, &ip);
}

bool dns_text_read(struct str data, struct arena *arena, struct str *out)
{
    char *text = arena_alloc(arena, data.n);
    size_t n = 0;
    for (struct str rest = data; rest.n > 0;) {
        size_t length = (unsigned char)rest.p[0];
        if (length + 1 > rest.n)
            return false;
        memcpy(text + n, rest.p + 1, length);
        n += length;
        rest = str_skip(rest, length + 1);
    }
    *out = str_make(text, n);
    return data.n > 0;
}

bool dns_mx_is_null(struct str data)
{
    return data.n == 3 && data.p[2] == 0;
}

bool dns_address_read(struct str data, bool is_v6, struct ip_address *out)
{
    if (data.n != (is_v6 ? 16 : 4))
        return false;
    *out = (struct ip_address){{[10] = 0xFF, [11] = 0xFF}};
    memcpy(out->byte + 16 - data.n, data.p, data.n);
    return true;
}

bool dns_srv_read(struct str data, struct arena *arena, struct dns_srv *out)
{
    enum { HEAD = 6 };
    if (data.n <= HEAD || !dns_name_read(str_skip(data, HEAD), arena, &out->host))
        return false;
    out->priority = read_u16(data.p);
    out->weight = read_u16(data.p + 2);
    out->port = read_u16(data.p + 4);
    return true;
}

bool dns_tlsa_read(struct str data, struct dns_tlsa *out)
{
    enum { HEAD = 3 };
    if (data.n <= HEAD || data.n > HEAD + DNS_TLSA_DATA_MAX)
        return false;
    const unsigned char *p = (const unsigned char *)data.p;
    *out = (struct dns_tlsa){p[0], p[1], p[2], str_skip(data, HEAD)};
    return true;
}

bool dns_tlsa_is_usable(const struct dns_tlsa *t)
{
    enum { DANE_TA = 2, DANE_EE = 3, KEY = 1, FULL = 0, SHA_256 = 1, SHA_512 = 2 };
    bool is_whole = t->matching == FULL || (t->matching == SHA_256 && t->data.n == 32) ||
                    (t->matching == SHA_512 && t->data.n == 64);
    return (t->usage == DANE_TA || t->usage == DANE_EE) && t->selector <= KEY && is_whole;
}
