/* SPDX-License-Identifier: ISC */
/*
 * answer_cache.c - answers of the DNS that are still good, without a way to another thread
 */
#include "net/answer_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "os/random.h"
#include "os/thread.h"

enum { LARGEST_SHARE = 16, KEY_MAX = 2 + ANSWER_CACHE_NAME_MAX };

struct entry {
    struct map_node node;
    struct list link; /* asked for last at the back */
    size_t size;      /* octets that it takes */
    int64_t good_until_ms;
    struct resolver_answer answer; /* slices of the octets behind the entry, as is the key */
};

struct answer_cache {
    struct mutex mutex; /* protects what follows */
    struct map entries;
    struct list by_use;
    size_t size, limit;
};

struct answer_cache *answer_cache_make(size_t bytes)
{
    struct answer_cache *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    mutex_init(&c->mutex);
    c->entries = map_make(random_u64(), random_u64());
    list_init(&c->by_use);
    c->limit = bytes;
    return c;
}

static void forget(struct answer_cache *c, struct entry *e)
{
    map_remove(&c->entries, &e->node);
    list_remove(&e->link);
    c->size -= e->size;
    free(e);
}

void answer_cache_free(struct answer_cache *c)
{
    while (!list_is_empty(&c->by_use))
        forget(c, LIST_ENTRY(c->by_use.next, struct entry, link));
    map_free(&c->entries);
    mutex_destroy(&c->mutex);
    free(c);
}

/* The type and the name in lower case; empty when the name is too long to be one. */
static struct str make_key(char out[KEY_MAX], const char *name, uint16_t type)
{
    size_t n = strnlen(name, ANSWER_CACHE_NAME_MAX + 1);
    if (n > ANSWER_CACHE_NAME_MAX)
        return STR_NONE;
    out[0] = (char)(type >> 8);
    out[1] = (char)type;
    for (size_t i = 0; i < n; i++)
        out[2 + i] = str_lower_byte(name[i]);
    return str_make(out, 2 + n);
}

static struct entry *find(const struct answer_cache *c, struct str key)
{
    struct map_node *n = map_find(&c->entries, key);
    return n ? MAP_ENTRY(n, struct entry, node) : NULL;
}

static void copy_out(const struct entry *e, struct arena *arena, int64_t now_ms,
                     struct resolver_answer *out)
{
    *out = e->answer;
    out->ttl_s = (uint32_t)((e->good_until_ms - now_ms) / 1000);
    out->data = arena_alloc(arena, out->count * sizeof *out->data);
    for (size_t i = 0; i < out->count; i++)
        out->data[i] = arena_copy(arena, e->answer.data[i]);
}

bool answer_cache_get(struct answer_cache *c, struct arena *arena, const char *name, uint16_t type,
                      int64_t now_ms, struct resolver_answer *out)
{
    char text[KEY_MAX];
    struct str key = make_key(text, name, type);
    mutex_lock(&c->mutex);
    struct entry *e = find(c, key);
    bool is_good = e && now_ms < e->good_until_ms;
    if (is_good) {
        list_remove(&e->link);
        list_push_back(&c->by_use, &e->link);
        copy_out(e, arena, now_ms, out);
    } else if (e) {
        forget(c, e);
    }
    mutex_unlock(&c->mutex);
    return is_good;
}

/* One piece of memory: the entry, the records' slices, the key, the records. */
static struct entry *make_entry(struct str key, const struct resolver_answer *answer)
{
    size_t size = sizeof(struct entry) + answer->count * sizeof(struct str) + key.n;
    for (size_t i = 0; i < answer->count; i++)
        size += answer->data[i].n;
    struct entry *e = malloc(size);
    if (!e)
        abort();
    struct str *data = (struct str *)(void *)(e + 1);
    char *at = (char *)(data + answer->count);
    *e = (struct entry){.size = size, .answer = *answer};
    e->answer.data = data;
    memcpy(at, key.p, key.n);
    e->node.key = str_make(at, key.n);
    at += key.n;
    for (size_t i = 0; i < answer->count; i++) {
        if (answer->data[i].n > 0)
            memcpy(at, answer->data[i].p, answer->data[i].n);
        data[i] = str_make(at, answer->data[i].n);
        at += answer->data[i].n;
    }
    list_init(&e->link);
    return e;
}

void answer_cache_put(struct answer_cache *c, const char *name, uint16_t type, int64_t now_ms,
                      const struct resolver_answer *answer)
{
    char text[KEY_MAX];
    struct str key = make_key(text, name, type);
    if (key.n == 0 || answer->ttl_s == 0)
        return;
    struct entry *e = make_entry(key, answer);
    if (e->size > c->limit / LARGEST_SHARE) {
        free(e);
        return;
    }
    uint32_t ttl_s =
        answer->ttl_s < ANSWER_CACHE_TTL_MAX_S ? answer->ttl_s : ANSWER_CACHE_TTL_MAX_S;
    e->good_until_ms = now_ms + (int64_t)ttl_s * 1000;
    mutex_lock(&c->mutex);
    struct entry *before = find(c, key);
    if (before)
        forget(c, before);
    while (c->size + e->size > c->limit)
        forget(c, LIST_ENTRY(c->by_use.next, struct entry, link));
    map_insert(&c->entries, &e->node, e->node.key);
    list_push_back(&c->by_use, &e->link);
    c->size += e->size;
    mutex_unlock(&c->mutex);
}
