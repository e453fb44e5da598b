/* SPDX-License-Identifier: ISC */
/*
 * live.c - the configuration in force, with the keys it names
 */
#include "conf/live.h"

#include <stdlib.h>

static struct fault load_server_tls(struct live *l, struct tls_context *predecessor)
{
    const struct conf *c = l->conf;
    if (c->certificate_count == 0)
        return FINE;
    struct arena arena = arena_make(1 << 20);
    struct tls_certificate *pairs = arena_alloc(&arena, c->certificate_count * sizeof *pairs);
    for (size_t i = 0; i < c->certificate_count; i++)
        pairs[i] = (struct tls_certificate){arena_c_string(&arena, c->certificate[i].chain),
                                            arena_c_string(&arena, c->certificate[i].key)};
    enum tls_version minimum = c->tls_minimum == CONF_TLS_VERSION_1_3 ? TLS_1_3 : TLS_1_2;
    struct fault f =
        tls_context_server(pairs, c->certificate_count, minimum, predecessor, &l->server_tls);
    arena_free(&arena);
    return f;
}

static struct fault load_client_tls(struct live *l)
{
    struct arena arena = arena_make(1 << 16);
    struct str authorities = l->conf->delivery.ca_file;
    struct fault f = tls_context_client(
        TLS_1_0, authorities.n > 0 ? arena_c_string(&arena, authorities) : NULL, &l->client_tls);
    arena_free(&arena);
    return f;
}

static void release(struct live *l)
{
    tls_context_drop(l->server_tls);
    tls_context_drop(l->client_tls);
    conf_free((struct conf *)(uintptr_t)l->conf);
    free(l);
}

static struct fault load(const char *path, struct str source, struct tls_context *predecessor,
                         struct live **out)
{
    struct conf *conf;
    *out = NULL;
    struct fault f = conf_parse(path, source, &conf);
    if (f.kind)
        return f;
    struct live *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    l->conf = conf;
    l->references = 1;
    f = load_server_tls(l, predecessor);
    if (!f.kind)
        f = load_client_tls(l);
    if (f.kind) {
        release(l);
        return f;
    }
    *out = l;
    return FINE;
}

struct fault live_start(struct live_holder *h, const char *path, struct str source)
{
    mutex_init(&h->mutex);
    return load(path, source, NULL, &h->live);
}

void live_start_keyless(struct live_holder *h, struct conf *c)
{
    struct live *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    mutex_init(&h->mutex);
    l->conf = c;
    l->references = 1;
    h->live = l;
}

struct fault live_load(struct live_holder *h, struct str source, struct live **out)
{
    struct live *old = live_keep(h);
    struct arena arena = arena_make(1 << 16);
    struct fault f = load(arena_c_string(&arena, old->conf->path), source, old->server_tls, out);
    arena_free(&arena);
    live_drop(h, old);
    return f;
}

struct live *live_replace(struct live_holder *h, struct live *fresh)
{
    mutex_lock(&h->mutex);
    struct live *old = h->live;
    h->live = fresh;
    mutex_unlock(&h->mutex);
    return old;
}

void live_stop(struct live_holder *h)
{
    live_drop(h, h->live);
    h->live = NULL;
    mutex_destroy(&h->mutex);
}

struct live *live_keep(struct live_holder *h)
{
    mutex_lock(&h->mutex);
    struct live *l = h->live;
    l->references++;
    mutex_unlock(&h->mutex);
    return l;
}

void live_drop(struct live_holder *h, struct live *l)
{
    if (!l)
        return;
    mutex_lock(&h->mutex);
    bool is_last = --l->references == 0;
    mutex_unlock(&h->mutex);
    if (is_last)
        release(l);
}
