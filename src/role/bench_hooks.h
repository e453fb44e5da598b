/* SPDX-License-Identifier: ISC */
/*
 * bench_hooks.h - what builds for measuring and for torture let the environment change
 */
#ifndef ROLE_BENCH_HOOKS_H
#define ROLE_BENCH_HOOKS_H

#include "journal/journal.h"

/*
 * In builds with -Dbench_hooks=true: EILBOTE_BENCH_SYNC=off, or delay-us:N, changes the syncs, and
 * EILBOTE_BENCH_SEGMENT=BYTES the size of segments. In others nothing.
 */
void bench_hooks_take(struct journal_options *o);

#endif
