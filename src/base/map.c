/* SPDX-License-Identifier: ISC */
/*
 * map.c - hash map from byte strings to elements that hold their own link
 */
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

static uint64_t rotate(uint64_t x, unsigned by)
{
    return (x << by) | (x >> (64 - by));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32) + v[3];
    v[2] += v[1];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

uint64_t map_hash(const uint64_t seed[2], struct str key)
{
    uint64_t v[4] = {seed[0] ^ UINT64_C(0x736f6d6570736575), seed[1] ^ UINT64_C(0x646f72616e646f6d),
                     seed[0] ^ UINT64_C(0x6c7967656e657261),
                     seed[1] ^ UINT64_C(0x7465646279746573)};
    uint64_t last = (uint64_t)key.n << 56;
    size_t at = 0;
    for (; at + 8 <= key.n; at += 8) {
        uint64_t word;
        memcpy(&word, key.p + at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (unsigned shift = 0; at < key.n; at++, shift += 8)
        last |= (uint64_t)(unsigned char)key.p[at] << shift;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xFF;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void grow(struct map *m)
{
    size_t count = m->bucket_count ? m->bucket_count * 2 : 16;
    struct map_node **bucket = calloc(count, sizeof *bucket);
    if (!bucket)
        abort();
    for (size_t i = 0; i < m->bucket_count; i++) {
        for (struct map_node *n = m->bucket[i], *next; n; n = next) {
            next = n->next;
            n->next = bucket[n->hash & (count - 1)];
            bucket[n->hash & (count - 1)] = n;
        }
    }
    free(m->bucket);
    m->bucket = bucket;
    m->bucket_count = count;
}

struct map_node *map_find(const struct map *m, struct str key)
{
    if (m->count == 0)
        return NULL;
    uint64_t hash = map_hash(m->seed, key);
    struct map_node *n = m->bucket[hash & (m->bucket_count - 1)];
    while (n && (n->hash != hash || !str_equal(n->key, key)))
        n = n->next;
    return n;
}

void map_insert(struct map *m, struct map_node *n, struct str key)
{
    if (m->count >= m->bucket_count)
        grow(m);
    n->key = key;
    n->hash = map_hash(m->seed, key);
    struct map_node **bucket = &m->bucket[n->hash & (m->bucket_count - 1)];
    n->next = *bucket;
    *bucket = n;
    m->count++;
}

void map_remove(struct map *m, struct map_node *n)
{
    struct map_node **at = &m->bucket[n->hash & (m->bucket_count - 1)];
    while (*at != n) {
        assert(*at);
        at = &(*at)->next;
    }
    *at = n->next;
    n->next = NULL;
    m->count--;
}

struct map_node *map_walk(const struct map *m, size_t *cursor, struct map_node *previous)
{
    if (previous && previous->next)
        return previous->next;
    while (*cursor < m->bucket_count) {
        struct map_node *n = m->bucket[(*cursor)++];
        if (n)
            return n;
    }
    return NULL;
}

void map_free(struct map *m)
{
    free(m->bucket);
    m->bucket = NULL;
    m->bucket_count = 0;
    m->count = 0;
}
