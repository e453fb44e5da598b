/* SPDX-License-Identifier: ISC */
/*
 * arena.h - memory that is given back all at once
 *
 * Allocations are carved from chunks and live until arena_free. Clean-ups registered with
 * arena_defer run then, last first. The limit bounds all chunks together; what a stranger can make
 * grow is asked for with arena_try.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/buf.h"

enum { ARENA_ALIGN = _Alignof(max_align_t) };

struct arena_chunk;
struct arena_cleanup;

struct arena {
    struct arena_chunk *chunk; /* newest first */
    struct arena_cleanup *cleanup;
    size_t total; /* bytes of all chunks */
    size_t limit;
};

/* An empty arena; allocates nothing. */
static inline struct arena arena_make(size_t limit_bytes)
{
    return (struct arena){NULL, NULL, 0, limit_bytes};
}

/* Bytes that an allocation of size bytes really takes. */
static inline size_t arena_room(size_t size_bytes)
{
    return (size_bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

/* Takes size bytes (a sum of arena_room) as one chunk now, so that what is known to come wastes
 * nothing. Only for an arena that is empty; sizes as in arena_alloc. */
void arena_reserve(struct arena *a, size_t size_bytes);

/* Runs the clean-ups and gives all memory back; the arena can be used again. */
void arena_free(struct arena *a);

/* Zeroed memory aligned for any type, or NULL when it would pass the limit. */
void *arena_try(struct arena *a, size_t size_bytes);

/* The same, for sizes the program itself chose: passing the limit is a bug and ends the process. */
void *arena_alloc(struct arena *a, size_t size_bytes);

/* A copy of s with a NUL behind it. Sizes as in arena_alloc. */
struct str arena_copy(struct arena *a, struct str s);

/* A C string with the bytes of s. Sizes as in arena_alloc. */
char *arena_c_string(struct arena *a, struct str s);

/* A slice with printf output. Sizes as in arena_alloc. */
struct str arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An empty buffer of that limit whose storage is the arena's: not for buf_free. As in arena_alloc. */
struct buf arena_buf(struct arena *a, size_t limit_bytes);

/* Calls run(arg) in arena_free, before the memory goes. */
void arena_defer(struct arena *a, void (*run)(void *arg), void *arg);

#endif
