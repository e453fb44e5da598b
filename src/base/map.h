/* SPDX-License-Identifier: ISC */
/*
 * map.h - hash map from byte strings to elements that hold their own link
 *
 * Chained, growing, keyed with SipHash-1-3 so that strangers cannot choose names that collide. The
 * key's bytes belong to the element and must not change while it is in the map.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

#include <stdint.h>

struct map_node {
    struct map_node *next;
    uint64_t hash;
    struct str key;
};

struct map {
    struct map_node **bucket;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    uint64_t seed[2];
};

/* The element that contains this node. */
#define MAP_ENTRY(n, type, field) ((type *)(void *)((char *)(n)-offsetof(type, field)))

/* An empty map. The seed should come from the system's random numbers. Allocates nothing. */
static inline struct map map_make(uint64_t seed_low, uint64_t seed_high)
{
    return (struct map){NULL, 0, 0, {seed_low, seed_high}};
}

/* SipHash-1-3 of the bytes. */
uint64_t map_hash(const uint64_t seed[2], struct str key);

/* The node with this key, or NULL. */
struct map_node *map_find(const struct map *m, struct str key);

/* Adds a node (borrowed until removed) whose key is not in the map yet. */
void map_insert(struct map *m, struct map_node *n, struct str key);

/* Takes a node out that is in the map. */
void map_remove(struct map *m, struct map_node *n);

/*
 * Walks the map: start with *cursor = 0 and previous NULL, then pass the node given last; NULL at
 * the end. The map must not change on the way.
 */
struct map_node *map_walk(const struct map *m, size_t *cursor, struct map_node *previous);

/* Gives the map's own memory back; the nodes are not touched. */
void map_free(struct map *m);

#endif
