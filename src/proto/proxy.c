/* SPDX-License-Identifier: ISC */
/*
 * proxy.c - the PROXY protocol's header, versions 1 (text) and 2 (binary), without I/O
 */
#include "proto/proxy.h"

#include "base/num.h"

enum { V1_MAX = 107, V2_FIXED = 16, V2_IPV4 = 0x1, V2_IPV6 = 0x2 };

static const char v2_signature[] = "\r\n\r\n\0\r\nQUIT\n";

/* "PROXY TCP4 192.0.2.1 192.0.2.2 56324 25" without its CRLF. */
static enum proxy_result parse_text(struct str line, struct ip_endpoint *source)
{
    str_word(&line);
    struct str family = str_word(&line);
    if (str_equal(family, STR("UNKNOWN")))
        return PROXY_UNKNOWN;
    bool is_v4 = str_equal(family, STR("TCP4"));
    if (!is_v4 && !str_equal(family, STR("TCP6")))
        return PROXY_BAD;
    struct str from = str_word(&line), to = str_word(&line);
    struct str from_port = str_word(&line), to_port = str_word(&line);
    struct ip_address destination;
    uint64_t port, ignored;
    if (!ip_parse(from, &source->address) || !ip_parse(to, &destination) || line.n > 0 ||
        ip_is_v4(&source->address) != is_v4 || !num_parse(from_port, 65535, &port) ||
        !num_parse(to_port, 65535, &ignored))
        return PROXY_BAD;
    source->port = (uint16_t)port;
    return PROXY_SOURCE;
}

static unsigned two_bytes(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static enum proxy_result parse_binary(struct str in, size_t *size, struct ip_endpoint *source)
{
    if (in.n < V2_FIXED)
        return PROXY_MORE;
    unsigned version = (unsigned char)in.p[12] >> 4, command = in.p[12] & 15;
    unsigned family = (unsigned char)in.p[13] >> 4, length = two_bytes(in.p + 14);
    if (version != 2 || command > 1 || length > PROXY_HEADER_MAX - V2_FIXED)
        return PROXY_BAD;
    if (in.n < V2_FIXED + length)
        return PROXY_MORE;
    *size = V2_FIXED + length;
    const char *addresses = in.p + V2_FIXED;
    if (command == 0)
        return PROXY_UNKNOWN;
    if (family == V2_IPV4 && length >= 12) {
        source->address = (struct ip_address){{[10] = 0xFF, [11] = 0xFF}};
        memcpy(source->address.byte + 12, addresses, 4);
        source->port = (uint16_t)two_bytes(addresses + 8);
        return PROXY_SOURCE;
    }
    if (family == V2_IPV6 && length >= 36) {
        memcpy(source->address.byte, addresses, 16);
        source->port = (uint16_t)two_bytes(addresses + 32);
        return PROXY_SOURCE;
    }
    return family == V2_IPV4 || family == V2_IPV6 ? PROXY_BAD : PROXY_UNKNOWN;
}

enum proxy_result proxy_parse(struct str in, size_t *size, struct ip_endpoint *source)
{
    struct str signature = str_make(v2_signature, 12), prefix = STR("PROXY ");
    size_t seen = in.n < 12 ? in.n : 12;
    if (str_equal(str_head(in, seen), str_head(signature, seen)))
        return in.n < 12 ? PROXY_MORE : parse_binary(in, size, source);
    seen = in.n < prefix.n ? in.n : prefix.n;
    if (!str_equal(str_head(in, seen), str_head(prefix, seen)))
        return PROXY_BAD;
    size_t end = str_find(in, STR("\r\n"));
    if (end == in.n)
        return in.n < V1_MAX ? PROXY_MORE : PROXY_BAD;
    *size = end + 2;
    return *size > V1_MAX ? PROXY_BAD : parse_text(str_head(in, end), source);
}
