/* SPDX-License-Identifier: ISC */
/*
 * fuzz_proxy.c - a header of the PROXY protocol is decided once, and within its bounds
 *
 * While the header is not complete every shorter input is not complete either; once it is decided,
 * more bytes change nothing; what lies behind it does not matter.
 */
#include "proto/proxy.h"

#include "fuzz.h"

struct outcome {
    enum proxy_result result;
    size_t size;
    struct ip_endpoint source;
};

static struct outcome parse(struct str in)
{
    struct outcome o = {.size = 0};
    o.result = proxy_parse(in, &o.size, &o.source);
    must(o.result >= PROXY_MORE && o.result <= PROXY_BAD);
    if (o.result == PROXY_MORE)
        must(in.n < PROXY_HEADER_MAX);
    if (o.result == PROXY_SOURCE || o.result == PROXY_UNKNOWN)
        must(o.size > 0 && o.size <= in.n && o.size <= PROXY_HEADER_MAX);
    return o;
}

const struct fuzz_memory fuzz_memory = {.factor = 0, .base = 0};

void fuzz_one(struct str in)
{
    struct outcome whole = parse(in);
    bool is_decided = false;
    for (size_t n = 0; n <= in.n && n <= PROXY_HEADER_MAX + 1; n++) {
        struct outcome o = parse(str_head(in, n));
        must(!is_decided || o.result == whole.result);
        if (o.result == PROXY_MORE)
            continue;
        is_decided = true;
        must(o.result == whole.result);
        if (o.result == PROXY_SOURCE || o.result == PROXY_UNKNOWN)
            must(o.size == whole.size);
        if (o.result == PROXY_SOURCE)
            must(ip_equal(&o.source.address, &whole.source.address) &&
                 o.source.port == whole.source.port);
    }
}
