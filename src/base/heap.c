/* SPDX-License-Identifier: ISC */
/*
 * heap.c - binary min-heap of elements that know their place
 */
#include "base/heap.h"

#include <assert.h>
#include <stdlib.h>

static void put(struct heap *h, size_t at, struct heap_node *n)
{
    h->node[at] = n;
    n->place = at + 1;
}

static void sift_up(struct heap *h, size_t at, struct heap_node *n)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (h->node[parent]->key <= n->key)
            break;
        put(h, at, h->node[parent]);
        at = parent;
    }
    put(h, at, n);
}

static void sift_down(struct heap *h, size_t at, struct heap_node *n)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->node[child + 1]->key < h->node[child]->key)
            child++;
        if (n->key <= h->node[child]->key)
            break;
        put(h, at, h->node[child]);
        at = child;
    }
    put(h, at, n);
}

void heap_insert(struct heap *h, struct heap_node *n, int64_t key)
{
    assert(n->place == 0);
    if (h->count == h->size) {
        size_t size = h->size ? h->size * 2 : 16;
        struct heap_node **node = realloc(h->node, size * sizeof *node);
        if (!node)
            abort();
        h->node = node;
        h->size = size;
    }
    n->key = key;
    sift_up(h, h->count++, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    if (n->place == 0)
        return;
    size_t at = n->place - 1;
    assert(at < h->count && h->node[at] == n);
    n->place = 0;
    struct heap_node *last = h->node[--h->count];
    if (last == n)
        return;
    if (at > 0 && last->key < h->node[(at - 1) / 2]->key)
        sift_up(h, at, last);
    else
        sift_down(h, at, last);
}

void heap_free(struct heap *h)
{
    free(h->node);
    *h = (struct heap){0};
}
