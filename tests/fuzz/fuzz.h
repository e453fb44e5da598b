/* SPDX-License-Identifier: ISC */
/*
 * fuzz.h - what the fuzz targets share
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/str.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An oracle's claim. */
#define must(claim) must_be(claim, #claim, __FILE__, __LINE__)
static inline void must_be(bool is_true, const char *claim, const char *file, int line)
{
    if (is_true)
        return;
    fprintf(stderr, "%s:%d: it must be that %s\n", file, line, claim);
    abort();
}

/* The first octets of the input steer the target. */
static inline uint8_t take_octet(struct str *in)
{
    if (in->n == 0)
        return 0;
    uint8_t octet = (uint8_t)in->p[0];
    *in = str_skip(*in, 1);
    return octet;
}

/* The next cut of the input: 1..16 octets, by a small generator. */
static inline size_t next_cut(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return 1 + (*seed >> 28);
}

#endif
