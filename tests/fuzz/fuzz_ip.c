/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ip.c - what parses as a network or an endpoint is printed and parsed back as itself
 */
#include "base/ip.h"

#include <stdio.h>

#include "fuzz.h"

/* Whether the first bits are the same, one by one. */
static bool is_in(const struct ip_network *network, const struct ip_address *ip)
{
    for (unsigned i = 0; i < network->prefix_bits; i++)
        if (((network->address.byte[i / 8] ^ ip->byte[i / 8]) >> (7 - i % 8)) & 1)
            return false;
    return true;
}

const struct fuzz_memory fuzz_memory = {.factor = 0, .base = 0};

void fuzz_one(struct str in)
{
    char text[IP_TEXT_MAX];
    struct ip_network network, network_again;
    struct ip_endpoint endpoint, endpoint_again;
    struct ip_address ip = {{0}};
    memcpy(ip.byte, in.p, in.n < sizeof ip.byte ? in.n : sizeof ip.byte);
    must(ip_parse(ip_format(&ip, text), &endpoint.address));
    must(ip_equal(&ip, &endpoint.address));
    unsigned bits = (unsigned)(in.n % 33);
    network = ip_network_around(&ip, bits);
    must(network.prefix_bits == bits + (ip_is_v4(&ip) ? 96 : 0));
    must(ip_network_contains(&network, &ip) && is_in(&network, &ip));
    must(ip_network_parse(ip_network_format(&network, text), &network_again));
    if (ip_is_v4(&ip))
        must(ip_is_loopback(&ip) == (ip.byte[12] == 127));
    if (ip_network_parse(in, &network)) {
        must(ip_network_parse(ip_network_format(&network, text), &network_again));
        must(ip_equal(&network.address, &network_again.address));
        must(network.prefix_bits == network_again.prefix_bits);
        must(ip_network_contains(&network, &network.address));
        ip.byte[0] ^= network.address.byte[0];
        must(ip_network_contains(&network, &ip) == is_in(&network, &ip));
    }
    if (ip_endpoint_parse(in, 53, &endpoint)) {
        must(ip_endpoint_parse(ip_endpoint_format(&endpoint, text), 1, &endpoint_again));
        must(ip_equal(&endpoint.address, &endpoint_again.address));
        must(endpoint.port == endpoint_again.port && endpoint.port != 0);
        char colon[IP_TEXT_MAX + 16];
        struct str address = ip_format(&endpoint.address, text);
        int n = snprintf(colon, sizeof colon, "[" STR_FMT "]:%u", STR_ARG(address),
                         (unsigned)endpoint.port);
        must(ip_endpoint_parse(str_make(colon, (size_t)n), 0, &endpoint_again));
        must(ip_equal(&endpoint.address, &endpoint_again.address));
        must(endpoint.port == endpoint_again.port && endpoint.port != 0);
    }
}
