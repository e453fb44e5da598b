/* SPDX-License-Identifier: ISC */
/*
 * bench_tally.h - what a thread of eilbote bench source has seen
 */
#ifndef CLI_BENCH_TALLY_H
#define CLI_BENCH_TALLY_H

#include "cli/cli.h"

enum { BENCH_REPLY_CODES = 600, BENCH_SAMPLES_MAX = 1 << 22, BENCH_QUIET_MS = 60000 };

struct bench_tally {
    uint64_t done, connects;
    uint64_t errors[BENCH_REPLY_CODES]; /* by reply code; 0: connection lost */
    uint64_t turned;                    /* connections that the server has ended with a reply */
    int64_t longest_ms;                 /* that a reply was waited for */
    int64_t first_ns, last_ns;
    int64_t *latency_ns; /* room for BENCH_SAMPLES_MAX, or NULL */
    size_t latency_count;
    bool is_stuck; /* the server said nothing for BENCH_QUIET_MS */
};

/* Adds what another thread has seen. */
void bench_tally_add(struct bench_tally *t, const struct bench_tally *other);

/* Prints it, as JSON when that is asked for, and gives the exit status; sorts the latencies. */
int bench_tally_print(const struct invocation *i, struct bench_tally *t);

#endif
