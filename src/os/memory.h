/* SPDX-License-Identifier: ISC */
/*
 * memory.h - how the C library's allocator behaves in a server
 */
#ifndef OS_MEMORY_H
#define OS_MEMORY_H

#include <stddef.h>

enum { MEMORY_PAGE = 4096 };

/* Memory that begins at a page, with anything in it; size_bytes is a number of whole pages. For
 * free(). What nobody writes to takes no room. */
void *memory_pages(size_t size_bytes);

/* The same, of zeros. */
void *memory_zero_pages(size_t size_bytes);

/* Heaps grow and shrink in steps of megabytes instead of pages, so that the coming and going of
 * messages does not cost a system call each time. First thing in a role. */
void memory_expect_churn(void);

/* Gives free pages inside the heaps back to the system. Takes milliseconds, during which others
 * that allocate may wait: for quiet moments. */
void memory_give_back(void);

#endif
