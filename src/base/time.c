/* SPDX-License-Identifier: ISC */
/*
 * time.c - calendar arithmetic on Unix time, in UTC
 *
 * Days are counted in a year that starts on 1 March, so that the leap day is the last one; 400 such
 * years have 146,097 days.
 */
#include "base/time.h"

enum { DAYS_TO_1970 = 719468, DAYS_IN_400_YEARS = 146097, DAY = 86400 };

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

struct time_parts time_split(int64_t unix_seconds)
{
    int64_t day_number = floor_divide(unix_seconds, DAY);
    int64_t second = unix_seconds - day_number * DAY;
    int64_t days = day_number + DAYS_TO_1970;
    int64_t era = floor_divide(days, DAYS_IN_400_YEARS);
    int64_t day_of_era = days - era * DAYS_IN_400_YEARS;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    struct time_parts parts;
    parts.day = (unsigned)(day_of_year - (153 * march_month + 2) / 5 + 1);
    parts.month = (unsigned)(march_month < 10 ? march_month + 3 : march_month - 9);
    parts.year = era * 400 + year_of_era + (parts.month <= 2);
    parts.hour = (unsigned)(second / 3600);
    parts.minute = (unsigned)(second / 60 % 60);
    parts.second = (unsigned)(second % 60);
    parts.weekday = (unsigned)(day_number - floor_divide(day_number + 4, 7) * 7 + 4);
    return parts;
}

int64_t time_join(const struct time_parts *parts)
{
    int64_t year = parts->year - (parts->month <= 2);
    int64_t era = floor_divide(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t march_month = parts->month > 2 ? parts->month - 3 : parts->month + 9;
    int64_t day_of_year = (153 * march_month + 2) / 5 + parts->day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    int64_t days = era * DAYS_IN_400_YEARS + day_of_era - DAYS_TO_1970;
    return days * DAY + parts->hour * 3600 + parts->minute * 60 + parts->second;
}
