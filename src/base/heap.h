/* SPDX-License-Identifier: ISC */
/*
 * heap.h - binary min-heap of elements that know their place
 *
 * Each element holds a struct heap_node; the heap keeps an array of pointers to them. The smallest
 * key is on top; insert, remove and change cost O(log n).
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    size_t place; /* index + 1, or 0 when in no heap */
};

struct heap {
    struct heap_node **node;
    size_t count;
    size_t size;
};

/* The element that contains this node. */
#define HEAP_ENTRY(n, type, field) ((type *)(void *)((char *)(n)-offsetof(type, field)))

static inline struct heap_node *heap_top(const struct heap *h)
{
    return h->count ? h->node[0] : NULL;
}

static inline bool heap_has(const struct heap_node *n)
{
    return n->place != 0;
}

/* Adds a node (borrowed until it is removed) that is in no heap. */
void heap_insert(struct heap *h, struct heap_node *n, int64_t key);

/* Takes a node out; one that is in no heap is left alone. */
void heap_remove(struct heap *h, struct heap_node *n);

/* Gives the heap's own memory back; the nodes are not touched. */
void heap_free(struct heap *h);

#endif
