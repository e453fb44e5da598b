/* SPDX-License-Identifier: ISC */
/*
 * descriptors.h - how many descriptors the program holds
 */
#ifndef TESTS_FUZZ_DESCRIPTORS_H
#define TESTS_FUZZ_DESCRIPTORS_H

#include <stddef.h>

/* Those that are open; with stand_descriptors.c also what they and messages stand for. */
size_t descriptors_held(void);

#endif
