/* SPDX-License-Identifier: ISC */
/*
 * ip.c - addresses and networks of IPv4 and IPv6 as values
 */
#include "base/ip.h"

#include <arpa/inet.h>
#include <assert.h>

#include "base/num.h"

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool ip_parse(struct str s, struct ip_address *out)
{
    char text[INET6_ADDRSTRLEN];
    struct ip_address ip;
    if (s.n == 0 || s.n >= sizeof text || str_has(s, '\0'))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    memcpy(ip.byte, v4_prefix, sizeof v4_prefix);
    if (inet_pton(AF_INET, text, ip.byte + 12) != 1 && inet_pton(AF_INET6, text, ip.byte) != 1)
        return false;
    *out = ip;
    return true;
}

/* As each message has its client's address in several places: five times as fast as inet_ntop. */
static struct str format_v4(const uint8_t byte[4], char text[IP_TEXT_MAX])
{
    char digits[NUM_DECIMAL_MAX];
    size_t n = 0;
    for (int i = 0; i < 4; i++) {
        struct str decimal = num_format(byte[i], digits);
        memcpy(text + n, decimal.p, decimal.n);
        n += decimal.n;
        text[n++] = i < 3 ? '.' : '\0';
    }
    return str_make(text, n - 1);
}

struct str ip_format(const struct ip_address *ip, char text[IP_TEXT_MAX])
{
    if (ip_is_v4(ip))
        return format_v4(ip->byte + 12, text);
    const char *done = inet_ntop(AF_INET6, ip->byte, text, IP_TEXT_MAX);
    assert(done);
    return str_from(done);
}

bool ip_is_v4(const struct ip_address *ip)
{
    return memcmp(ip->byte, v4_prefix, sizeof v4_prefix) == 0;
}

bool ip_is_loopback(const struct ip_address *ip)
{
    static const struct ip_address one = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    return ip_is_v4(ip) ? ip->byte[12] == 127 : ip_equal(ip, &one);
}

bool ip_equal(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

/* The address with its bits behind the prefix cleared. */
static struct ip_address cut(struct ip_address ip, unsigned prefix_bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = prefix_bits > 8 * i ? prefix_bits - 8 * i : 0;
        if (kept < 8)
            ip.byte[i] &= (uint8_t)(0xFF00U >> kept);
    }
    return ip;
}

bool ip_network_parse(struct str s, struct ip_network *out)
{
    struct str address, bits;
    struct ip_address ip;
    bool has_bits = str_cut(s, '/', &address, &bits);
    if (!ip_parse(address, &ip))
        return false;
    unsigned base = ip_is_v4(&ip) && !str_has(address, ':') ? 96 : 0;
    uint64_t count = 128 - base;
    if (has_bits && !num_parse(bits, count, &count))
        return false;
    struct ip_address start = cut(ip, base + (unsigned)count);
    if (!ip_equal(&start, &ip))
        return false;
    *out = (struct ip_network){ip, (uint8_t)(base + count)};
    return true;
}

struct ip_network ip_network_around(const struct ip_address *ip, unsigned bits)
{
    unsigned prefix = ip_is_v4(ip) ? 96 + bits : bits;
    assert(prefix <= 128);
    return (struct ip_network){cut(*ip, prefix), (uint8_t)prefix};
}

/* Appends a mark and a number to the text of length n. */
static struct str add_number(char text[IP_TEXT_MAX], size_t n, char mark, unsigned number)
{
    char digits[NUM_DECIMAL_MAX];
    struct str decimal = num_format(number, digits);
    assert(n + 1 + decimal.n < IP_TEXT_MAX);
    text[n] = mark;
    memcpy(text + n + 1, decimal.p, decimal.n);
    return str_make(text, n + 1 + decimal.n);
}

struct str ip_network_format(const struct ip_network *network, char text[IP_TEXT_MAX])
{
    bool is_v4 = ip_is_v4(&network->address) && network->prefix_bits >= 96;
    size_t n = ip_format(&network->address, text).n;
    return add_number(text, n, '/',
                      is_v4 ? network->prefix_bits - 96U : (unsigned)network->prefix_bits);
}

bool ip_network_contains(const struct ip_network *network, const struct ip_address *ip)
{
    struct ip_address start = cut(*ip, network->prefix_bits);
    return ip_equal(&start, &network->address);
}

/* An address, in brackets or not. */
static bool parse_host(struct str host, struct ip_address *out)
{
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_skip(str_head(host, host.n - 1), 1);
    return ip_parse(str_equal(host, STR("localhost")) ? STR("127.0.0.1") : host, out);
}

bool ip_endpoint_parse(struct str s, uint16_t default_port, struct ip_endpoint *out)
{
    uint64_t port;
    size_t mark = str_index(s, '@');
    out->port = default_port;
    if (default_port > 0 && parse_host(s, &out->address))
        return true;
    if (mark == s.n)
        mark = str_last_index(s, ':');
    if (mark == s.n || !num_parse(str_skip(s, mark + 1), UINT16_MAX, &port) || port == 0)
        return false;
    out->port = (uint16_t)port;
    return parse_host(str_head(s, mark), &out->address);
}

struct str ip_endpoint_format(const struct ip_endpoint *endpoint, char text[IP_TEXT_MAX])
{
    return add_number(text, ip_format(&endpoint->address, text).n, '@', endpoint->port);
}
