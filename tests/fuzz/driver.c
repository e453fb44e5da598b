/* SPDX-License-Identifier: ISC */
/*
 * driver.c - what surrounds every target: one input, and what it may take of memory
 *
 * The linker sends the program's calls for memory through here (--wrap), so that each input is held
 * to the target's bound and gives back what it took, with and without a sanitizer. Memory that
 * libraries take themselves is not seen.
 */
#include <malloc.h>
#include <stdatomic.h>

#include "fuzz.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);

static atomic_llong live, peak;

static void *taken(void *memory)
{
    if (!memory)
        return NULL;
    long long size = (long long)malloc_usable_size(memory);
    long long now = atomic_fetch_add_explicit(&live, size, memory_order_relaxed) + size;
    if (now > atomic_load_explicit(&peak, memory_order_relaxed))
        atomic_store_explicit(&peak, now, memory_order_relaxed);
    return memory;
}

static void given(void *memory)
{
    if (memory)
        atomic_fetch_sub_explicit(&live, (long long)malloc_usable_size(memory),
                                  memory_order_relaxed);
}

void *__wrap_malloc(size_t size)
{
    return taken(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return taken(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    given(old);
    return taken(__real_realloc(old, size));
}

void __wrap_free(void *memory)
{
    given(memory);
    __real_free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    long long before = atomic_load(&live);
    atomic_store(&peak, before);
    fuzz_one(str_make((const char *)data, size));
    size_t most = (size_t)(atomic_load(&peak) - before);
    long long kept = atomic_load(&live) - before;
    bool is_bounded = most <= fuzz_memory.base + fuzz_memory.factor * size;
    if (!is_bounded)
        fprintf(stderr, "%zu octets of input took %zu octets of memory\n", size, most);
    must(is_bounded);
    must(kept <= 0 || fuzz_memory.keeps);
    return 0;
}
