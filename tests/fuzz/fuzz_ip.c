/* SPDX-License-Identifier: ISC */
/*
 * fuzz_ip.c - what parses as a network or an endpoint is printed and parsed back as itself
 */
#include "base/ip.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);
    char text[IP_TEXT_MAX];
    struct ip_network network, network_again;
    struct ip_endpoint endpoint, endpoint_again;
    if (ip_network_parse(in, &network) &&
        (!ip_network_parse(ip_network_format(&network, text), &network_again) ||
         !ip_equal(&network.address, &network_again.address) ||
         network.prefix_bits != network_again.prefix_bits))
        abort();
    if (ip_endpoint_parse(in, 53, &endpoint) &&
        (!ip_endpoint_parse(ip_endpoint_format(&endpoint, text), 1, &endpoint_again) ||
         !ip_equal(&endpoint.address, &endpoint_again.address) ||
         endpoint.port != endpoint_again.port))
        abort();
    return 0;
}
