/* SPDX-License-Identifier: ISC */
/*
 * signing_keys.c - making and removing the keys that sign our mail: file and directory together
 */
#include "cli/signing_keys.h"

#include <openssl/evp.h>

#include "base/time.h"
#include "os/key_pair.h"
#include "sign/key_store.h"

enum { KEYS_A_DAY_MAX = 1000, ARENA_BYTES = 1 << 20 };

struct copying {
    struct arena *arena;
    struct signing_keys *out;
};

static void copy_key(const struct directory_key *key, void *arg)
{
    const struct copying *c = arg;
    struct signing_keys *out = c->out;
    if (out->count == out->size) {
        struct directory_key *old = out->item;
        out->size = out->size ? out->size * 2 : 8;
        out->item = arena_alloc(c->arena, out->size * sizeof *out->item);
        if (old)
            memcpy(out->item, old, out->count * sizeof *old);
    }
    out->item[out->count++] = (struct directory_key){
        .domain = arena_copy(c->arena, key->domain),
        .selector = arena_copy(c->arena, key->selector),
        .algorithm = arena_copy(c->arena, key->algorithm),
        .state = key->state,
        .since_s = key->since_s,
        .record = arena_copy(c->arena, key->record),
    };
}

struct fault signing_keys_list(struct directory *d, struct str domain, struct arena *a,
                               struct signing_keys *out)
{
    struct copying c = {a, out};
    *out = (struct signing_keys){0};
    return directory_list_keys(d, domain, copy_key, &c);
}

static bool is_used(const struct signing_keys *keys, struct str selector)
{
    for (size_t i = 0; i < keys->count; i++)
        if (str_equal(keys->item[i].selector, selector))
            return true;
    return false;
}

/* "20261122", with a number behind it when either key of that name is there; empty after too many. */
static struct str free_day(const struct signing_keys *keys, struct arena *a, int64_t now_s)
{
    struct time_parts t = time_split(now_s);
    struct str day = arena_printf(a, "%04lld%02u%02u", (long long)t.year, t.month, t.day);
    for (int n = 1; n <= KEYS_A_DAY_MAX; n++) {
        struct str name = n == 1 ? day : arena_printf(a, STR_FMT "-%d", STR_ARG(day), n);
        if (!is_used(keys, arena_printf(a, "r" STR_FMT, STR_ARG(name))) &&
            !is_used(keys, arena_printf(a, "e" STR_FMT, STR_ARG(name))))
            return name;
    }
    return STR_NONE;
}

static struct fault make_key(struct directory *d, const struct signing_keys_place *place,
                             struct directory_key *row, enum dkim_key_kind kind)
{
    EVP_PKEY *key = key_pair_make(kind);
    struct buf record = buf_make(DIRECTORY_KEY_RECORD_MAX);
    struct fault f = FINE;
    if (!key || !dkim_key_append_record(key, &record))
        f = fault_make(451, FAULT_STATUS(4, 7, 5), "a key could not be made");
    row->record = buf_str(&record);
    row->algorithm = kind == DKIM_KEY_RSA ? STR("rsa") : STR("ed25519");
    if (!f.kind)
        f = key_store_save(place->folder, row->domain, row->selector, key, place->owner);
    if (!f.kind)
        f = directory_key_add(d, row);
    buf_free(&record);
    EVP_PKEY_free(key);
    return f;
}

struct fault signing_keys_make(struct directory *d, const struct signing_keys_place *place,
                               struct str domain, enum directory_key_state state, int64_t now_s)
{
    struct arena a = arena_make(ARENA_BYTES);
    struct signing_keys keys;
    struct fault f = signing_keys_list(d, domain, &a, &keys);
    struct str day = f.kind ? STR_NONE : free_day(&keys, &a, now_s);
    if (!f.kind && day.n == 0)
        f = fault_make(550, FAULT_STATUS(5, 1, 3), "there are too many keys of this day");
    for (int kind = DKIM_KEY_RSA; kind <= DKIM_KEY_ED25519 && !f.kind; kind++) {
        struct directory_key row = {.domain = domain, .state = state, .since_s = now_s};
        row.selector =
            arena_printf(&a, "%s" STR_FMT, kind == DKIM_KEY_RSA ? "r" : "e", STR_ARG(day));
        f = make_key(d, place, &row, (enum dkim_key_kind)kind);
    }
    arena_free(&a);
    return f;
}

struct fault signing_keys_remove(struct directory *d, const struct signing_keys_place *place,
                                 const struct directory_key *key)
{
    struct fault f = directory_key_remove(d, key->domain, key->selector);
    return f.kind ? f : key_store_remove(place->folder, key->domain, key->selector);
}
