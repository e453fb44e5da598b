/* SPDX-License-Identifier: ISC */
/*
 * stack.c - memory for the stacks of tasks
 *
 * Guards are installed with MADV_GUARD_INSTALL where the kernel has it (6.13): unlike mprotect it
 * does not split the mapping, and the system's limit on mappings (65,530) does not bound the number
 * of connections. Huge pages are refused, or the first touch would cost 2 MiB.
 */
#include "net/stack.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SIZE (512 * 1024)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_SIZE (512 * 1024)
#endif
#endif
#ifndef STACK_SIZE
#define STACK_SIZE (64 * 1024)
#endif

enum { CALL_ROOM = 512, GUARD_SIZE = 4096, SLAB_STACKS = 64, WARM_STACKS = 256 };
#define SLAB_SIZE ((size_t)SLAB_STACKS * STACK_SIZE)

/* Kept at the top of a stack that is not in use, where a page has been touched already. */
struct free_stack {
    struct free_stack *next;
};

/* Kept in the top of a slab's last stack, which is not handed out. */
struct slab {
    struct slab *next;
    void *mapping;
};

static struct free_stack *top_of(void *stack)
{
    return (struct free_stack *)((char *)stack + STACK_SIZE - GUARD_SIZE -
                                 sizeof(struct free_stack));
}

static void push(struct stack_pool *pool, void *stack)
{
    struct free_stack *top = top_of(stack);
    top->next = pool->free;
    pool->free = top;
    pool->free_count++;
}

static bool guard(void *page)
{
    return madvise(page, GUARD_SIZE, MADV_GUARD_INSTALL) == 0 ||
           mprotect(page, GUARD_SIZE, PROT_NONE) == 0;
}

static bool add_slab(struct stack_pool *pool)
{
    char *mapping = mmap(NULL, SLAB_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED)
        return false;
    madvise(mapping, SLAB_SIZE, MADV_NOHUGEPAGE);
    struct slab *slab = (struct slab *)(void *)(mapping + SLAB_SIZE - sizeof *slab);
    slab->mapping = mapping;
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->cut = 0;
    return true;
}

/* The next stack of the newest slab. Nothing of it is touched, nor guarded, before. */
static void *cut_off(struct stack_pool *pool)
{
    if ((!pool->slabs || pool->cut == SLAB_STACKS - 1) && !add_slab(pool))
        return NULL;
    const struct slab *slab = pool->slabs;
    char *at = (char *)slab->mapping + pool->cut * STACK_SIZE;
    if (!guard(at))
        return NULL;
    pool->cut++;
    return at + GUARD_SIZE;
}

void *stack_get(struct stack_pool *pool, size_t *size_bytes)
{
    struct free_stack *top = pool->free;
    *size_bytes = STACK_SIZE - GUARD_SIZE;
    if (!top)
        return cut_off(pool);
    pool->free = top->next;
    pool->free_count--;
    return (char *)top + sizeof *top - (STACK_SIZE - GUARD_SIZE);
}

void stack_put(struct stack_pool *pool, void *stack)
{
    if (pool->free_count >= WARM_STACKS)
        madvise(stack, STACK_SIZE - GUARD_SIZE - 4096, MADV_DONTNEED);
    push(pool, stack);
}

void stack_trim(void *stack)
{
    /* What is below our own frame is unused, but for what the call to the system needs. */
    uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - CALL_ROOM) & ~(uintptr_t)4095;
    if (end > (uintptr_t)stack)
        madvise(stack, end - (uintptr_t)stack, MADV_DONTNEED);
}

void stack_pool_free(struct stack_pool *pool)
{
    for (struct slab *slab = pool->slabs, *next; slab; slab = next) {
        next = slab->next;
        munmap(slab->mapping, SLAB_SIZE);
    }
    memset(pool, 0, sizeof *pool);
}
