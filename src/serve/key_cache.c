/* SPDX-License-Identifier: ISC */
/*
 * key_cache.c - the public keys of others, ready for use
 */
#include "serve/key_cache.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "os/random.h"
#include "os/thread.h"

enum { SPARES = 2 /* a copy takes a twentieth of a verification */ };

struct entry {
    struct map_node node;
    enum dkim_key_kind kind;
    unsigned bits;
    EVP_PKEY_CTX *ready; /* copies of it are used: a verification changes what it is done with */
    size_t spare_count;
    EVP_PKEY_CTX *spare[SPARES]; /* copies that have come back */
    char data[];
};

struct key_cache {
    struct mutex mutex; /* protects the entries */
    struct map entries; /* by what stands in p= */
};

struct key_cache *key_cache_make(void)
{
    struct key_cache *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    mutex_init(&c->mutex);
    c->entries = map_make(random_u64(), random_u64());
    return c;
}

static void forget_all(struct key_cache *c)
{
    size_t cursor = 0;
    for (struct map_node *n = map_walk(&c->entries, &cursor, NULL); n;) {
        struct map_node *next = map_walk(&c->entries, &cursor, n);
        struct entry *e = MAP_ENTRY(n, struct entry, node);
        while (e->spare_count > 0)
            EVP_PKEY_CTX_free(e->spare[--e->spare_count]);
        EVP_PKEY_CTX_free(e->ready);
        free(e);
        n = next;
    }
    map_free(&c->entries);
    c->entries = map_make(random_u64(), random_u64());
}

void key_cache_free(struct key_cache *c)
{
    if (!c)
        return;
    forget_all(c);
    mutex_destroy(&c->mutex);
    free(c);
}

static EVP_PKEY_CTX *copy(const EVP_PKEY_CTX *ready)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_dup(ready);
    if (!c)
        abort();
    return c;
}

/* With the mutex. NULL: it is not known. */
static struct entry *find(struct key_cache *c, const struct dkim_key *key)
{
    struct map_node *n = map_find(&c->entries, key->data);
    struct entry *e = n ? MAP_ENTRY(n, struct entry, node) : NULL;
    return e && e->kind == key->kind ? e : NULL;
}

static EVP_PKEY_CTX *borrow(struct key_cache *c, const struct dkim_key *key, unsigned *bits)
{
    EVP_PKEY_CTX *ready = NULL;
    mutex_lock(&c->mutex);
    struct entry *e = find(c, key);
    if (e) {
        *bits = e->bits;
        ready = e->spare_count > 0 ? e->spare[--e->spare_count] : copy(e->ready);
    }
    mutex_unlock(&c->mutex);
    return ready;
}

static void close_key(void *context, const struct dkim_key *key, EVP_PKEY_CTX *ready)
{
    struct key_cache *c = context;
    mutex_lock(&c->mutex);
    struct entry *e = find(c, key);
    if (e && e->spare_count < SPARES) {
        e->spare[e->spare_count++] = ready;
        ready = NULL;
    }
    mutex_unlock(&c->mutex);
    EVP_PKEY_CTX_free(ready);
}

static void keep(struct key_cache *c, const struct dkim_key *key, unsigned bits,
                 const EVP_PKEY_CTX *ready)
{
    struct entry *e = malloc(sizeof *e + key->data.n);
    if (!e)
        abort();
    *e = (struct entry){.kind = key->kind, .bits = bits};
    memcpy(e->data, key->data.p, key->data.n);
    mutex_lock(&c->mutex);
    if (c->entries.count >= KEY_CACHE_MOST)
        forget_all(c);
    bool is_new = !map_find(&c->entries, key->data);
    if (is_new) {
        e->ready = copy(ready);
        map_insert(&c->entries, &e->node, str_make(e->data, key->data.n));
    }
    mutex_unlock(&c->mutex);
    if (!is_new)
        free(e);
}

static EVP_PKEY_CTX *open_key(void *context, const struct dkim_key *key, unsigned *bits,
                              struct dkim_finding *out)
{
    struct key_cache *c = context;
    EVP_PKEY_CTX *ready = borrow(c, key, bits);
    *out = (struct dkim_finding){DKIM_NONE, ""};
    if (ready)
        return ready;
    ready = dkim_key_open(key, bits, out);
    if (ready)
        keep(c, key, *bits, ready);
    return ready;
}

struct dkim_key_opener key_cache_opener(struct key_cache *c)
{
    return (struct dkim_key_opener){open_key, close_key, c};
}
