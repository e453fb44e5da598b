/* SPDX-License-Identifier: ISC */
/*
 * memory.c - how the C library's allocator behaves in a server
 */
#include "os/memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { GROW_BYTES = 1 << 20, KEEP_BYTES = 16 << 20 };

void memory_expect_churn(void)
{
    mallopt(M_TOP_PAD, GROW_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
}

void *memory_pages(size_t size_bytes)
{
    void *memory = aligned_alloc(MEMORY_PAGE, size_bytes);
    if (!memory)
        abort();
    return memory;
}

void *memory_zero_pages(size_t size_bytes)
{
    return memset(memory_pages(size_bytes), 0, size_bytes);
}

void memory_give_back(void)
{
    malloc_trim(KEEP_BYTES);
}
