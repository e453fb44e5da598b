/* SPDX-License-Identifier: ISC */
/*
 * fuzz.h - what the fuzz targets share
 *
 * A target is fuzz_NAME.c with fuzz_one() and its fuzz_memory; driver.c calls it for libFuzzer and,
 * with replay.c, for the inputs that are kept. README.md says which parser has which target.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/str.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Memory that an input of n octets may take, with the oracle's own: factor * n + base. */
struct fuzz_memory {
    size_t factor, base;
    bool keeps; /* something may stay behind: a database, a journal */
};
extern const struct fuzz_memory fuzz_memory;

/* Runs the parser on an input and aborts when it does not do what it must. */
void fuzz_one(struct str in);

int LLVMFuzzerInitialize(int *argc, char ***argv);
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

/* What the program says to the operator goes nowhere from here on; gives what stderr was. */
static inline FILE *hush(void)
{
    static FILE *nowhere;
    FILE *before = stderr;
    if (!nowhere)
        nowhere = fopen("/dev/null", "we");
    must(nowhere != NULL);
    stderr = nowhere;
    return before;
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

/* How a run cuts its input; from CUT_RANDOM on it is the seed of a small generator. */
enum { CUT_WHOLE = 0, CUT_OCTETS = 1, CUT_RANDOM = 2 };

/* How an input is cut beside whole: in both ways, or when it is long, in one of them. */
enum { CUT_BOTH_MOST = 256 };
struct cuts {
    uint32_t way[2];
    size_t count;
};
static inline struct cuts cut_ways(size_t n, uint8_t seed)
{
    struct cuts c = {{CUT_OCTETS, CUT_RANDOM + seed}, 2};
    if (n > CUT_BOTH_MOST) {
        c.way[0] = c.way[n % 2];
        c.count = 1;
    }
    return c;
}

/* 0..15, by the generator. */
static inline uint32_t next_choice(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 28;
}

/* Takes the next piece from the front of *in. */
static inline struct str take_cut(struct str *in, uint32_t *cut)
{
    size_t n = *cut == CUT_WHOLE ? in->n : 1;
    if (*cut >= CUT_RANDOM) {
        n = 1 + next_choice(cut);
        *cut |= CUT_RANDOM;
    }
    struct str piece = str_head(*in, n);
    *in = str_skip(*in, piece.n);
    return piece;
}

#endif
