/* SPDX-License-Identifier: ISC */
/*
 * arena.c - memory that is given back all at once
 */
#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_chunk {
    struct arena_chunk *older;
    size_t size;
    size_t used;
    _Alignas(max_align_t) char data[];
};

struct arena_cleanup {
    struct arena_cleanup *older;
    void (*run)(void *);
    void *arg;
};

enum {
    /* With its head a piece that the C library keeps at hand for each thread. */
    FIRST_CHUNK = 1024 - sizeof(struct arena_chunk),
    LARGEST_CHUNK = 64 * 1024,
    PRINT_GUESS = 256
};

void arena_free(struct arena *a)
{
    while (a->cleanup) {
        struct arena_cleanup *c = a->cleanup;
        a->cleanup = c->older;
        c->run(c->arg);
    }
    while (a->chunk) {
        struct arena_chunk *older = a->chunk->older;
        free(a->chunk);
        a->chunk = older;
    }
    a->total = 0;
}

static bool take_chunk(struct arena *a, size_t size)
{
    if (size > a->limit - a->total)
        return false;
    struct arena_chunk *chunk = malloc(sizeof *chunk + size);
    if (!chunk)
        abort();
    chunk->older = a->chunk;
    chunk->size = size;
    chunk->used = 0;
    a->chunk = chunk;
    a->total += size;
    return true;
}

static bool add_chunk(struct arena *a, size_t needed)
{
    size_t size = a->chunk ? a->chunk->size * 2 : FIRST_CHUNK;
    if (size > LARGEST_CHUNK)
        size = LARGEST_CHUNK;
    if (size < needed || size > a->limit - a->total)
        size = needed;
    return take_chunk(a, size);
}

void arena_reserve(struct arena *a, size_t size_bytes)
{
    assert(!a->chunk);
    if (!take_chunk(a, size_bytes))
        abort();
}

void *arena_try(struct arena *a, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX / 2)
        return NULL;
    size_t size = arena_room(size_bytes);
    if (!a->chunk || size > a->chunk->size - a->chunk->used)
        if (!add_chunk(a, size))
            return NULL;
    void *memory = a->chunk->data + a->chunk->used;
    a->chunk->used += size;
    memset(memory, 0, size);
    return memory;
}

void *arena_alloc(struct arena *a, size_t size_bytes)
{
    void *memory = arena_try(a, size_bytes);
    if (!memory)
        abort();
    return memory;
}

struct str arena_copy(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.n + 1);
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    return str_make(copy, s.n);
}

char *arena_c_string(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.n + 1);
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    return copy;
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    char first[PRINT_GUESS];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(first, sizeof first, format, args);
    assert(n >= 0);
    char *text = arena_alloc(a, (size_t)n + 1);
    if ((size_t)n < sizeof first)
        memcpy(text, first, (size_t)n);
    else
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    return str_make(text, (size_t)n);
}

struct buf arena_buf(struct arena *a, size_t limit_bytes)
{
    return (struct buf){arena_alloc(a, limit_bytes), 0, limit_bytes, limit_bytes};
}

void arena_defer(struct arena *a, void (*run)(void *arg), void *arg)
{
    struct arena_cleanup *c = arena_alloc(a, sizeof *c);
    *c = (struct arena_cleanup){a->cleanup, run, arg};
    a->cleanup = c;
}
