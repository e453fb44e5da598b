/* SPDX-License-Identifier: ISC */
/*
 * compare.c - what libFuzzer is told of the program's comparisons
 *
 * It keeps the operands of those of four and eight octets and puts one where it finds the other in an
 * input. From those of one and two it learns nothing (that would be its -use_value_profile), and a
 * call for each octet of a loop costs more than the loop: they end here. Those of eight are mostly
 * lengths, those by strcmp mostly libconfuse's search for an option; its table has room for few, so
 * that the last of a loop would be all it keeps. Of these one in PERIOD goes on.
 * The linker sends the calls through here (--wrap).
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { PERIOD = 7 }; /* in step with no loop */

void __wrap___sanitizer_cov_trace_cmp1(uint8_t a, uint8_t b);
void __wrap___sanitizer_cov_trace_cmp2(uint16_t a, uint16_t b);
void __wrap___sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b);
void __wrap___sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b);
void __wrap___sanitizer_cov_trace_const_cmp1(uint8_t a, uint8_t b);
void __wrap___sanitizer_cov_trace_const_cmp2(uint16_t a, uint16_t b);
void __wrap___sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b);
void __wrap___sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b);
void __wrap___sanitizer_weak_hook_strcmp(void *pc, const char *a, const char *b, int result);
void __real___sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b);
void __real___sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b);
void __real___sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b);
void __real___sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b);
void __real___sanitizer_weak_hook_strcmp(void *pc, const char *a, const char *b, int result);

void __wrap___sanitizer_cov_trace_cmp1(uint8_t a, uint8_t b)
{
    (void)a;
    (void)b;
}

void __wrap___sanitizer_cov_trace_cmp2(uint16_t a, uint16_t b)
{
    (void)a;
    (void)b;
}

void __wrap___sanitizer_cov_trace_const_cmp1(uint8_t a, uint8_t b)
{
    (void)a;
    (void)b;
}

void __wrap___sanitizer_cov_trace_const_cmp2(uint16_t a, uint16_t b)
{
    (void)a;
    (void)b;
}

/* Threads may count past each other: then one more or less goes on. */
static bool is_next(void)
{
    static atomic_uint left;
    unsigned now = atomic_load_explicit(&left, memory_order_relaxed);
    atomic_store_explicit(&left, now > 0 ? now - 1 : PERIOD - 1, memory_order_relaxed);
    return now == 0;
}

void __wrap___sanitizer_cov_trace_cmp4(uint32_t a, uint32_t b)
{
    if (is_next())
        __real___sanitizer_cov_trace_cmp4(a, b);
}

void __wrap___sanitizer_cov_trace_const_cmp4(uint32_t a, uint32_t b)
{
    if (is_next())
        __real___sanitizer_cov_trace_const_cmp4(a, b);
}

void __wrap___sanitizer_cov_trace_cmp8(uint64_t a, uint64_t b)
{
    if (is_next())
        __real___sanitizer_cov_trace_cmp8(a, b);
}

void __wrap___sanitizer_cov_trace_const_cmp8(uint64_t a, uint64_t b)
{
    if (is_next())
        __real___sanitizer_cov_trace_const_cmp8(a, b);
}

void __wrap___sanitizer_weak_hook_strcmp(void *pc, const char *a, const char *b, int result)
{
    if (is_next())
        __real___sanitizer_weak_hook_strcmp(pc, a, b, result);
}
