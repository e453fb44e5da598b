/* SPDX-License-Identifier: ISC */
/*
 * clock.h - what time it is
 *
 * Durations and deadlines use the monotonic clock; the real time is for what people and other
 * hosts see, and may jump.
 */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>

/* Monotonic time in nanoseconds and milliseconds; never goes back. */
int64_t clock_now_ns(void);
int64_t clock_now_ms(void);

/* Time since 1970-01-01 UTC in milliseconds. */
int64_t clock_real_ms(void);

/* The local zone's offset from UTC at that time, in minutes east. */
int clock_zone_minutes(int64_t unix_seconds);

/* Blocks the calling thread for that time (not negative); never for a thread that runs a loop. */
void clock_sleep_us(int64_t us);

#endif
