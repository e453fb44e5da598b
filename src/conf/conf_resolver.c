/* SPDX-License-Identifier: ISC */
/*
 * conf_resolver.c - the resolver that a configuration asks for
 */
#include "conf/conf_resolver.h"

void conf_resolver_options(const struct conf *c, struct arena *a, struct resolver_options *out)
{
    const struct conf_resolver *r = &c->resolver;
    struct resolver_stub *stubs = arena_alloc(a, CONF_STUB_SERVERS_MAX * sizeof *stubs);
    *out = (struct resolver_options){.servers = r->server.item,
                                     .server_count = r->server.count,
                                     .stubs = stubs,
                                     .cache_bytes = (size_t)r->cache_bytes,
                                     .edns_size_bytes = (size_t)r->edns_size_bytes};
    for (size_t i = 0; i < c->stub_zone_count; i++)
        for (size_t k = 0; k < c->stub_zone[i].server.count; k++)
            stubs[out->stub_count++] = (struct resolver_stub){
                arena_c_string(a, c->stub_zone[i].zone), c->stub_zone[i].server.item[k]};
    if (r->root_hints.n > 0)
        out->root_hints = arena_c_string(a, r->root_hints);
    if (r->is_validating && r->trust_anchor_file.n > 0)
        out->trust_anchor = arena_c_string(a, r->trust_anchor_file);
}
