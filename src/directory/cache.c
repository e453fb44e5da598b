/* SPDX-License-Identifier: ISC */
/*
 * cache.c - answers of the directory kept in memory
 *
 * Bounded: when it is full it starts afresh, which costs one question an address.
 */
#include "directory/cache.h"

#include <stdlib.h>

#include "base/map.h"
#include "net/offload.h"
#include "os/clock.h"
#include "os/random.h"
#include "os/thread.h"

/* An entry has room for the longest alias: EXPAND_MAX addresses with what finding them takes. */
enum { ENTRIES_MOST = 8192, ENTRY_LIMIT = 32 << 20, CHECK_MS = 1000 };

struct entry {
    struct map_node node;
    struct arena arena;
    struct fault fault;
    bool is_ours;
    struct directory_recipients recipients;
};

struct directory_cache {
    struct directory *directory;
    struct mutex mutex; /* protects what follows */
    struct map entries;
    int64_t version;
    int64_t checked_ms;
};

struct directory_cache *directory_cache_make(struct directory *d)
{
    struct directory_cache *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->directory = d;
    c->entries = map_make(random_u64(), random_u64());
    mutex_init(&c->mutex);
    return c;
}

static void free_entry(struct entry *e)
{
    struct arena arena = e->arena;
    arena_free(&arena);
}

static void forget_all(struct directory_cache *c)
{
    size_t cursor = 0;
    for (struct map_node *n = map_walk(&c->entries, &cursor, NULL); n;) {
        struct map_node *next = map_walk(&c->entries, &cursor, n);
        free_entry(MAP_ENTRY(n, struct entry, node));
        n = next;
    }
    map_free(&c->entries);
}

void directory_cache_free(struct directory_cache *c)
{
    if (!c)
        return;
    forget_all(c);
    mutex_destroy(&c->mutex);
    free(c);
}

void directory_cache_forget(struct directory_cache *c)
{
    mutex_lock(&c->mutex);
    forget_all(c);
    mutex_unlock(&c->mutex);
}

static void copy_out(const struct entry *e, struct arena *a, bool *is_ours,
                     struct directory_recipients *out)
{
    *is_ours = e->is_ours;
    out->count = e->recipients.count;
    out->item = arena_alloc(a, out->count * sizeof *out->item);
    for (size_t i = 0; i < out->count; i++) {
        out->item[i] = e->recipients.item[i];
        out->item[i].address = arena_copy(a, out->item[i].address);
        out->item[i].account = arena_copy(a, out->item[i].account);
        out->item[i].detail = arena_copy(a, out->item[i].detail);
    }
}

/*
 * "domain" of "local@domain": a domain that is not ours has one entry for all its addresses. Without
 * the '@' no address has the same key, not even one with an empty local part.
 */
static struct str domain_key(struct str key)
{
    return str_skip(key, str_last_index(key, '@') + 1);
}

/*
 * Under the mutex: the entry, unless there is none or the caller is the one who is to ask for the
 * version now; until he has the answer the others go on with what is known.
 */
static const struct entry *look_up(struct directory_cache *c, struct str key)
{
    int64_t now = clock_now_ms();
    if (now - CHECK_MS > c->checked_ms) {
        c->checked_ms = now;
        return NULL;
    }
    struct map_node *n = map_find(&c->entries, domain_key(key));
    if (!n)
        n = map_find(&c->entries, key);
    return n ? MAP_ENTRY(n, struct entry, node) : NULL;
}

struct question {
    struct directory_cache *cache;
    struct str local, domain;
    struct entry *entry;
    int64_t version;
    struct fault version_fault;
};

static void ask(void *arg)
{
    struct question *q = arg;
    struct entry *e = q->entry;
    q->version_fault = directory_version(q->cache->directory, &q->version);
    struct directory_result result;
    e->fault = directory_resolve(q->cache->directory, q->local, q->domain, &e->arena, &result);
    if (e->fault.kind)
        return;
    e->is_ours = result.kind != DIRECTORY_NOT_OURS;
    if (e->is_ours)
        e->fault =
            directory_expand(q->cache->directory, q->local, q->domain, &e->arena, &e->recipients);
}

/* Under the mutex. Temporary failures are not kept. */
static void keep(struct directory_cache *c, struct question *q, struct str key)
{
    if (q->version_fault.kind || q->version != c->version || c->entries.count >= ENTRIES_MOST)
        forget_all(c);
    c->version = q->version;
    if (!q->entry->is_ours)
        key = domain_key(key);
    if (q->version_fault.kind || q->entry->fault.kind == FAULT_LATER || map_find(&c->entries, key))
        free_entry(q->entry);
    else
        map_insert(&c->entries, &q->entry->node, arena_copy(&q->entry->arena, key));
}

struct fault directory_cache_expand(struct directory_cache *c, struct str local, struct str domain,
                                    struct arena *a, bool *is_ours,
                                    struct directory_recipients *out)
{
    struct str key = arena_printf(a, STR_FMT "@" STR_FMT, STR_ARG(local), STR_ARG(domain));
    *is_ours = false;
    *out = (struct directory_recipients){0};
    mutex_lock(&c->mutex);
    const struct entry *known = look_up(c, key);
    struct fault f = known ? known->fault : FINE;
    if (known)
        copy_out(known, a, is_ours, out);
    mutex_unlock(&c->mutex);
    if (known)
        return f;

    struct arena arena = arena_make(ENTRY_LIMIT);
    struct entry *e = arena_alloc(&arena, sizeof *e);
    struct question q = {.cache = c, .local = local, .domain = domain, .entry = e};
    e->arena = arena;
    offload(ask, &q);
    f = e->fault;
    copy_out(e, a, is_ours, out);
    mutex_lock(&c->mutex);
    keep(c, &q, key);
    mutex_unlock(&c->mutex);
    return f;
}
