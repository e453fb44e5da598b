/* SPDX-License-Identifier: ISC */
/*
 * fuzz_date.c - a moment is written as the C library would, and read again as itself
 */
#include "mail/date.h"

#include <time.h>

#include "fuzz.h"

/* A moment is written as the C library understands it. */
static void check_format(int64_t moment, int offset_minutes)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char text[DATE_MAX], expected[128];
    time_t local = (time_t)(moment + offset_minutes * 60);
    struct tm t;
    must(gmtime_r(&local, &t) != NULL);
    unsigned east = (unsigned)abs(offset_minutes);
    int n = snprintf(expected, sizeof expected, "%s, %d %s %04d %02d:%02d:%02d %c%02u%02u",
                     days[t.tm_wday], t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour,
                     t.tm_min, t.tm_sec, offset_minutes < 0 ? '-' : '+', east / 60, east % 60);
    int64_t again;
    struct str written = date_format(moment, offset_minutes, text);
    must(str_equal(written, str_make(expected, (size_t)n)));
    must(date_parse(written, &again) && again == moment);
}

const struct fuzz_memory fuzz_memory = {.factor = 0, .base = 0};

void fuzz_one(struct str in)
{
    int offset_minutes = (int)take_octet(&in) * 5 - 640;
    int64_t moment;
    const int64_t first = -2208988800 + 86400 * 2, last = 253402300799 - 86400 * 2;
    if (date_parse(in, &moment) && moment > first && moment < last)
        check_format(moment, offset_minutes);
    moment = 0;
    for (size_t i = 0; i < in.n && i < 8; i++)
        moment = (int64_t)((uint64_t)moment << 8 | (uint8_t)in.p[i]);
    check_format(first + (int64_t)((uint64_t)moment % (uint64_t)(last - first)), offset_minutes);
}
