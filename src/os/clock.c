/* SPDX-License-Identifier: ISC */
/*
 * clock.c - what time it is
 *
 * The system's clocks, which do not fail for the identifiers used here.
 */
#include "os/clock.h"

#include <time.h>

enum { QUARTER = 900 };

static int64_t read_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_now_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t clock_real_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}

int clock_zone_minutes(int64_t unix_seconds)
{
    /* The offset changes at full quarters of an hour at most; looking it up costs a microsecond. */
    static _Thread_local int64_t known_quarter = INT64_MIN;
    static _Thread_local int known_minutes;
    int64_t quarter = unix_seconds / QUARTER;
    if (quarter == known_quarter)
        return known_minutes;
    time_t t = (time_t)unix_seconds;
    struct tm parts;
    if (!localtime_r(&t, &parts))
        return 0; /* a year that does not fit: such a date is not from here */
    known_quarter = quarter;
    known_minutes = (int)(parts.tm_gmtoff / 60);
    return known_minutes;
}

void clock_sleep_us(int64_t us)
{
    struct timespec rest = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (us % 1000000) * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, &rest) != 0)
        ;
}
