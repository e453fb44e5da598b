/* SPDX-License-Identifier: ISC */
/*
 * time.h - calendar arithmetic on Unix time, in UTC
 *
 * No clock is read here; the time is always an argument.
 */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include <stdint.h>

struct time_parts {
    int64_t year;
    unsigned month; /* 1..12 */
    unsigned day;   /* 1..31 */
    unsigned hour, minute, second;
    unsigned weekday; /* 0 is Sunday */
};

/* Seconds since 1970-01-01 00:00:00 UTC, before it negative. */
struct time_parts time_split(int64_t unix_seconds);

/* The inverse for a valid date; the weekday is not looked at. */
int64_t time_join(const struct time_parts *parts);

#endif
