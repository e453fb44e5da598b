/* SPDX-License-Identifier: ISC */
/*
 * meter.c - how much memory the program holds
 */
#include "meter.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>

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

long long meter_held(void)
{
    return atomic_load(&live);
}

long long meter_start(void)
{
    long long now = atomic_load(&live);
    atomic_store(&peak, now);
    return now;
}

long long meter_peak(void)
{
    return atomic_load(&peak);
}
