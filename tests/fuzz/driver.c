/* SPDX-License-Identifier: ISC */
/*
 * driver.c - what surrounds every target: one input, and what it may take of memory
 */
#include <malloc.h>

#include "fuzz.h"
#include "meter.h"

enum { KEPT_BYTES = 1 << 28 };

/* What an execution has given back is for the next one: the system need not hear of it. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mallopt(M_TOP_PAD, 1 << 22);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    long long before = meter_start();
    fuzz_one(str_make((const char *)data, size));
    size_t most = (size_t)(meter_peak() - before);
    long long kept = meter_held() - before;
    bool is_bounded = most <= fuzz_memory.base + fuzz_memory.factor * size;
    if (!is_bounded)
        fprintf(stderr, "%zu octets of input took %zu octets of memory\n", size, most);
    must(is_bounded);
    must(kept <= 0 || fuzz_memory.keeps);
    return 0;
}
