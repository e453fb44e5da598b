/* SPDX-License-Identifier: ISC */
/*
 * random.h - random bytes from the system
 */
#ifndef OS_RANDOM_H
#define OS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills memory with bytes nobody can predict; a system that has none ends the process. */
void random_bytes(void *memory, size_t size_bytes);

uint64_t random_u64(void);

/* A number below limit (not 0), each equally likely. */
uint64_t random_below(uint64_t limit);

#endif
