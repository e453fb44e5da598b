/* SPDX-License-Identifier: ISC */
/*
 * stack.h - memory for the stacks of tasks
 *
 * Stacks are cut from slabs of address space; a page is used only once it is touched, and a guard
 * below each stack turns an overflow into an immediate end. A pool belongs to one loop.
 */
#ifndef NET_STACK_H
#define NET_STACK_H

#include <stdbool.h>
#include <stddef.h>

struct stack_pool {
    void *free; /* stacks not in use, linked through their top */
    size_t free_count;
    void *slabs;
    size_t cut; /* stacks of the newest slab that were handed out at least once */
};

/* A stack: its lowest usable address; NULL when the system gives no memory. */
void *stack_get(struct stack_pool *pool, size_t *size_bytes);

/* Gives a stack back. A few keep their pages, the others return them to the system. */
void stack_put(struct stack_pool *pool, void *stack);

/* Returns the pages below the caller's frame, on the stack that it runs on, to the system. */
void stack_trim(void *stack);

/* Unmaps everything; no stack may be in use. */
void stack_pool_free(struct stack_pool *pool);

#endif
