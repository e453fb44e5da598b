/* SPDX-License-Identifier: ISC */
/*
 * full.c - mailboxes that had no room lately
 */
#include "directory/full.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "os/random.h"
#include "os/thread.h"

enum { KEY_MAX = 320 };

struct entry {
    struct map_node node;
    uint64_t size_bytes; /* the smallest that found no room */
    int64_t until_ms;
    char key[KEY_MAX];
};

struct full_mailboxes {
    struct mutex mutex; /* protects the entries */
    struct map entries;
    atomic_size_t
        count; /* of them: most of the time nobody is full, and nobody waits for the mutex */
};

struct full_mailboxes *full_mailboxes_make(void)
{
    struct full_mailboxes *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    mutex_init(&f->mutex);
    f->entries = map_make(random_u64(), random_u64());
    return f;
}

static void forget_all(struct full_mailboxes *f)
{
    size_t cursor = 0;
    for (struct map_node *n = map_walk(&f->entries, &cursor, NULL); n;) {
        struct map_node *next = map_walk(&f->entries, &cursor, n);
        free(MAP_ENTRY(n, struct entry, node));
        n = next;
    }
    map_free(&f->entries);
    f->entries = map_make(random_u64(), random_u64());
}

void full_mailboxes_free(struct full_mailboxes *f)
{
    if (!f)
        return;
    forget_all(f);
    map_free(&f->entries);
    mutex_destroy(&f->mutex);
    free(f);
}

/* The mailbox that the address is of, in small letters and without a detail; empty when it is too long to be one. */
static struct str key_of(struct str address, char key[KEY_MAX])
{
    size_t at = str_last_index(address, '@'), local = str_index(address, '+');
    if (local > at)
        local = at;
    size_t n = 0;
    if (local + (address.n - at) > KEY_MAX)
        return STR_NONE;
    for (size_t i = 0; i < address.n; i++)
        if (i < local || i >= at)
            key[n++] = str_lower_byte(address.p[i]);
    return str_make(key, n);
}

static struct entry *find(const struct full_mailboxes *f, struct str key)
{
    struct map_node *n = map_find(&f->entries, key);
    return n ? MAP_ENTRY(n, struct entry, node) : NULL;
}

static struct entry *make(struct full_mailboxes *f, struct str key)
{
    if (f->entries.count >= FULL_MOST)
        forget_all(f);
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        abort();
    memcpy(e->key, key.p, key.n);
    e->size_bytes = UINT64_MAX;
    map_insert(&f->entries, &e->node, str_make(e->key, key.n));
    atomic_store(&f->count, f->entries.count);
    return e;
}

static void drop(struct full_mailboxes *f, struct entry *e)
{
    map_remove(&f->entries, &e->node);
    atomic_store(&f->count, f->entries.count);
    free(e);
}

void full_mailboxes_add(struct full_mailboxes *f, struct str address, uint64_t size_bytes,
                        int64_t now_ms)
{
    char text[KEY_MAX];
    struct str key = key_of(address, text);
    if (key.n == 0)
        return;
    mutex_lock(&f->mutex);
    struct entry *e = find(f, key);
    if (!e)
        e = make(f, key);
    if (size_bytes < e->size_bytes || now_ms >= e->until_ms)
        e->size_bytes = size_bytes;
    e->until_ms = now_ms + FULL_LASTS_MS;
    mutex_unlock(&f->mutex);
}

static bool is_as_large(uint64_t size_bytes, const struct entry *e)
{
    return size_bytes >= e->size_bytes || e->size_bytes - size_bytes <= FULL_SLACK;
}

void full_mailboxes_remove(struct full_mailboxes *f, struct str address, uint64_t size_bytes)
{
    char text[KEY_MAX];
    if (atomic_load(&f->count) == 0)
        return;
    mutex_lock(&f->mutex);
    struct entry *e = find(f, key_of(address, text));
    if (e && is_as_large(size_bytes, e))
        drop(f, e);
    mutex_unlock(&f->mutex);
}

bool full_mailboxes_has(struct full_mailboxes *f, struct str address, uint64_t size_bytes,
                        int64_t now_ms)
{
    char text[KEY_MAX];
    if (atomic_load(&f->count) == 0)
        return false;
    mutex_lock(&f->mutex);
    struct entry *e = find(f, key_of(address, text));
    if (e && now_ms >= e->until_ms) {
        drop(f, e);
        e = NULL;
    }
    bool has = e && is_as_large(size_bytes, e);
    mutex_unlock(&f->mutex);
    return has;
}
