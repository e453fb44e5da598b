/* SPDX-License-Identifier: ISC */
/*
 * ip.h - addresses and networks of IPv4 and IPv6 as values
 *
 * An IPv4 address is kept as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that both families are
 * compared and looked up alike; it is printed and parsed in its own form.
 */
#ifndef BASE_IP_H
#define BASE_IP_H

#include "base/str.h"

#include <stdint.h>

enum { IP_TEXT_MAX = 64 };

struct ip_address {
    uint8_t byte[16];
};

struct ip_network {
    struct ip_address address; /* the bits behind the prefix are zero */
    uint8_t prefix_bits;       /* 0..128, for IPv4 96 and more */
};

/* An address and a port. */
struct ip_endpoint {
    struct ip_address address;
    uint16_t port;
};

/* All of s as an address, without brackets, zone or port. False when it is none. */
bool ip_parse(struct str s, struct ip_address *out);

/* Writes the address into text (RFC 5952 for IPv6) and returns that slice. */
struct str ip_format(const struct ip_address *ip, char text[IP_TEXT_MAX]);

bool ip_is_v4(const struct ip_address *ip);
bool ip_is_loopback(const struct ip_address *ip); /* 127.0.0.0/8 and ::1 */
bool ip_equal(const struct ip_address *a, const struct ip_address *b);

/*
 * "ADDRESS/BITS", or an address alone for itself. False when it is malformed or has bits set behind
 * the prefix.
 */
bool ip_network_parse(struct str s, struct ip_network *out);
struct str ip_network_format(const struct ip_network *network, char text[IP_TEXT_MAX]);
bool ip_network_contains(const struct ip_network *network, const struct ip_address *ip);

/* The network of that many bits (as printed: at most 32 for IPv4) around an address. */
struct ip_network ip_network_around(const struct ip_address *ip, unsigned bits);

/*
 * "ADDRESS@PORT", "ADDRESS:PORT" or "[IPV6]:PORT", where localhost is 127.0.0.1. Without a port it is the default, unless
 * that is 0. False when malformed or port 0.
 */
bool ip_endpoint_parse(struct str s, uint16_t default_port, struct ip_endpoint *out);
struct str ip_endpoint_format(const struct ip_endpoint *endpoint, char text[IP_TEXT_MAX]);

#endif
