/* SPDX-License-Identifier: ISC */
/*
 * fuzz.h - what the fuzz targets share
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/str.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An oracle's claim. */
static inline void must(bool is_true)
{
    if (!is_true)
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
