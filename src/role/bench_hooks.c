/* SPDX-License-Identifier: ISC */
/*
 * bench_hooks.c - what builds for measuring and for torture let the environment change
 */
#include "role/bench_hooks.h"

#include <stdlib.h>

#include "base/num.h"

void bench_hooks_take(struct journal_options *o)
{
#ifdef BENCH_HOOKS
    enum { PAGE = 4096, DELAY_US_MOST = 1000000, SEGMENT_MOST = 1 << 30 };
    struct str sync = str_from(getenv("EILBOTE_BENCH_SYNC"));
    uint64_t number = 0;
    o->is_sync_off = str_equal(sync, STR("off"));
    if (str_starts(sync, STR("delay-us:")) && num_parse(str_skip(sync, 9), DELAY_US_MOST, &number))
        o->extra_sync_delay_us = (int64_t)number;
    if (num_parse(str_from(getenv("EILBOTE_BENCH_SEGMENT")), SEGMENT_MOST, &number) &&
        number >= 4 * PAGE)
        o->segment_bytes = (int64_t)(number / PAGE * PAGE);
#else
    (void)o;
#endif
}
