/* SPDX-License-Identifier: ISC */
/*
 * key_ring.c - the keys that sign, in memory
 *
 * Bounded: when it is full it starts afresh. A set has a reader's count, and one for the ring while it is in it.
 */
#include "sign/key_ring.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/map.h"
#include "directory/keys.h"
#include "event/event.h"
#include "net/offload.h"
#include "os/clock.h"
#include "os/random.h"
#include "os/thread.h"
#include "sign/key_store.h"

enum { SETS_MOST = 4096, SET_ARENA_BYTES = 16 * 1024, TRY_AGAIN_MS = 60 * 1000 };

struct held_set {
    struct key_set set; /* the first: what others see */
    struct map_node node;
    struct arena arena;
    bool has_none;    /* no key is named: that changes with the directory alone */
    size_t holders;   /* under the ring's mutex */
    int64_t until_ms; /* when it is loaded again; 0: not */
};

struct key_ring {
    struct directory *directory;
    struct event_log *log;
    char *folder;
    struct mutex mutex; /* protects what follows */
    struct map sets;
    uint64_t age; /* how often all was forgotten */
};

struct key_ring *key_ring_make(struct directory *d, struct event_log *log, const char *folder)
{
    struct key_ring *r = calloc(1, sizeof *r);
    if (!r || !(r->folder = strdup(folder)))
        abort();
    r->directory = d;
    r->log = log;
    r->sets = map_make(random_u64(), random_u64());
    mutex_init(&r->mutex);
    return r;
}

struct directory *key_ring_directory(const struct key_ring *r)
{
    return r->directory;
}

/* Under the mutex. */
static void let_go(struct held_set *s)
{
    assert(s->holders > 0);
    if (--s->holders > 0)
        return;
    for (size_t i = 0; i < s->set.count; i++)
        EVP_PKEY_free(s->set.key[i].key);
    struct arena arena = s->arena;
    arena_free(&arena);
}

static void forget_all(struct key_ring *r)
{
    size_t cursor = 0;
    for (struct map_node *n = map_walk(&r->sets, &cursor, NULL); n;) {
        struct map_node *next = map_walk(&r->sets, &cursor, n);
        let_go(MAP_ENTRY(n, struct held_set, node));
        n = next;
    }
    map_free(&r->sets);
}

void key_ring_forget(struct key_ring *r)
{
    mutex_lock(&r->mutex);
    forget_all(r);
    r->age++;
    mutex_unlock(&r->mutex);
}

void key_ring_free(struct key_ring *r)
{
    if (!r)
        return;
    forget_all(r);
    mutex_destroy(&r->mutex);
    free(r->folder);
    free(r);
}

/* Under the mutex: the set, unless there is none or it is time to load it again. */
static struct held_set *look_up(struct key_ring *r, struct str domain)
{
    struct map_node *n = map_find(&r->sets, domain);
    struct held_set *s = n ? MAP_ENTRY(n, struct held_set, node) : NULL;
    if (!s || s->until_ms == 0 || clock_now_ms() < s->until_ms)
        return s;
    map_remove(&r->sets, n);
    let_go(s);
    return NULL;
}

struct loading {
    struct key_ring *ring;
    struct held_set *set;
};

static void add_key(const struct directory_key *key, void *arg)
{
    struct held_set *s = arg;
    if (key->state != DIRECTORY_KEY_ACTIVE || s->set.count == KEY_SET_MAX)
        return;
    s->set.key[s->set.count++].selector = arena_copy(&s->arena, key->selector);
}

/* Those of the named keys that can be read. */
static void read_keys(const struct key_ring *r, struct held_set *held)
{
    struct key_set *set = &held->set;
    size_t named = set->count;
    set->count = 0;
    for (size_t i = 0; i < named; i++) {
        EVP_PKEY *key;
        struct fault f = key_store_load(r->folder, set->domain, set->key[i].selector, &key);
        if (f.kind)
            set->fault = f;
        else
            set->key[set->count++] = (struct dkim_sign_key){key, set->key[i].selector};
    }
    held->has_none = named == 0;
    if (held->has_none)
        set->fault = fault_make(451, FAULT_STATUS(4, 7, 5),
                                STR_FMT " has no key that signs; eilbote dkim rotate makes some",
                                STR_ARG(str_head(set->domain, 120)));
}

static void tell(const struct key_ring *r, const struct key_set *set)
{
    struct event e;
    event_begin(&e, r->log, "signing.unavailable");
    event_text(&e, "domain", set->domain);
    event_number(&e, "keys", (int64_t)set->count);
    event_fault(&e, &set->fault);
    event_end(&e);
}

static void load(void *arg)
{
    struct loading *l = arg;
    struct key_set *set = &l->set->set;
    set->fault = directory_has_domain(l->ring->directory, set->domain, &set->is_ours);
    if (!set->fault.kind && set->is_ours)
        set->fault = directory_list_keys(l->ring->directory, set->domain, add_key, l->set);
    if (!set->fault.kind && set->is_ours)
        read_keys(l->ring, l->set);
    if (!set->fault.kind)
        return;
    if (!l->set->has_none)
        l->set->until_ms = clock_now_ms() + TRY_AGAIN_MS;
    tell(l->ring, set);
}

static struct held_set *make_set(struct str domain)
{
    struct arena arena = arena_make(SET_ARENA_BYTES);
    struct held_set *s = arena_alloc(&arena, sizeof *s);
    s->arena = arena;
    s->set.domain = arena_copy(&s->arena, domain);
    s->holders = 1;
    return s;
}

/* Under the mutex. What was loaded before everything was forgotten serves whoever asked, and is not kept. */
static void keep(struct key_ring *r, struct held_set *s, uint64_t age)
{
    if (r->sets.count >= SETS_MOST)
        forget_all(r);
    if (age != r->age || map_find(&r->sets, s->set.domain))
        return;
    s->holders++;
    map_insert(&r->sets, &s->node, s->set.domain);
}

const struct key_set *key_ring_get(struct key_ring *r, struct str domain)
{
    mutex_lock(&r->mutex);
    struct held_set *s = look_up(r, domain);
    uint64_t age = r->age;
    if (s)
        s->holders++;
    mutex_unlock(&r->mutex);
    if (s)
        return &s->set;
    s = make_set(domain);
    struct loading l = {r, s};
    offload(load, &l);
    mutex_lock(&r->mutex);
    keep(r, s, age);
    mutex_unlock(&r->mutex);
    return &s->set;
}

void key_ring_give(struct key_ring *r, const struct key_set *set)
{
    mutex_lock(&r->mutex);
    let_go((struct held_set *)(uintptr_t)set);
    mutex_unlock(&r->mutex);
}
