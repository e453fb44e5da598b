/* SPDX-License-Identifier: ISC */
/*
 * place.c - an address with a port as people write it
 */
#include "cli/place.h"

#include "base/num.h"

static bool parse_host(struct str host, struct ip_address *out)
{
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_skip(str_head(host, host.n - 1), 1);
    return ip_parse(str_equal(host, STR("localhost")) ? STR("127.0.0.1") : host, out);
}

bool place_parse(struct str text, uint16_t default_port, struct ip_endpoint *out)
{
    uint64_t port;
    size_t colon = str_last_index(text, ':');
    out->port = default_port;
    if (default_port > 0 && parse_host(text, &out->address))
        return true;
    if (colon == text.n || !num_parse(str_skip(text, colon + 1), UINT16_MAX, &port) || port == 0)
        return false;
    out->port = (uint16_t)port;
    return parse_host(str_head(text, colon), &out->address);
}
