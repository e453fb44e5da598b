/* SPDX-License-Identifier: ISC */
/*
 * driver.c - what surrounds every target: one input, and what it may take of memory
 */
#include "fuzz.h"
#include "meter.h"

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
