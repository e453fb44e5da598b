/* SPDX-License-Identifier: ISC */
/*
 * date.c - the date of a message (RFC 5322 3.3, obsolete forms of 4.3 when reading)
 */
#include "mail/date.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "base/time.h"

static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct str date_format(int64_t unix_seconds, int offset_minutes, char text[DATE_MAX])
{
    assert(offset_minutes > -24 * 60 && offset_minutes < 24 * 60);
    struct time_parts t = time_split(unix_seconds + (int64_t)offset_minutes * 60);
    assert(t.year >= 0 && t.year <= 9999);
    int east = abs(offset_minutes);
    int n = snprintf(text, DATE_MAX, "%s, %u %s %04d %02u:%02u:%02u %c%02d%02d",
                     weekdays[t.weekday], t.day, months[t.month - 1], (int)t.year, t.hour, t.minute,
                     t.second, offset_minutes < 0 ? '-' : '+', east / 60, east % 60);
    return str_make(text, (size_t)n);
}

/* Skips blanks, line ends and comments, which may nest. */
static void skip_space(struct str *s)
{
    unsigned depth = 0;
    while (s->n > 0) {
        char c = s->p[0];
        if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
        else if (c == '\\' && depth > 0)
            *s = str_skip(*s, 1);
        else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return;
        *s = str_skip(*s, 1);
    }
}

static bool take_char(struct str *s, char expected)
{
    skip_space(s);
    if (s->n == 0 || s->p[0] != expected)
        return false;
    *s = str_skip(*s, 1);
    return true;
}

/* Takes between low and high digits. */
static bool take_number(struct str *s, size_t low, size_t high, uint64_t *number, size_t *digits)
{
    skip_space(s);
    size_t n = 0;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    if (n < low || n > high)
        return false;
    *digits = n;
    bool is_number = num_parse(str_head(*s, n), 9999, number);
    *s = str_skip(*s, n);
    return is_number;
}

static struct str take_word(struct str *s)
{
    skip_space(s);
    size_t n = 0;
    while (n < s->n && ((s->p[n] | 0x20) >= 'a' && (s->p[n] | 0x20) <= 'z'))
        n++;
    struct str word = str_head(*s, n);
    *s = str_skip(*s, n);
    return word;
}

/* Position of the word in a table of three-letter names, or count. */
static unsigned name_index(struct str word, const char *const *names, unsigned count)
{
    unsigned i = 0;
    while (i < count && !str_equal_nocase(word, str_from(names[i])))
        i++;
    return i;
}

static bool take_day_month_year(struct str *s, struct time_parts *t)
{
    uint64_t number;
    size_t digits;
    if (!take_number(s, 1, 2, &number, &digits))
        return false;
    t->day = (unsigned)number;
    t->month = name_index(take_word(s), months, 12) + 1;
    if (t->month > 12 || !take_number(s, 2, 4, &number, &digits))
        return false;
    t->year = (int64_t)number;
    if (digits == 2)
        t->year += number < 50 ? 2000 : 1900;
    else if (digits == 3)
        t->year += 1900;
    return t->year >= 1900;
}

static bool take_time(struct str *s, struct time_parts *t)
{
    uint64_t hour, minute, second = 0;
    size_t digits;
    if (!take_number(s, 1, 2, &hour, &digits) || !take_char(s, ':') ||
        !take_number(s, 1, 2, &minute, &digits))
        return false;
    if (take_char(s, ':') && !take_number(s, 1, 2, &second, &digits))
        return false;
    t->hour = (unsigned)hour;
    t->minute = (unsigned)minute;
    t->second = (unsigned)second;
    return hour < 24 && minute < 60 && second <= 60;
}

static bool take_zone(struct str *s, int64_t *offset_minutes)
{
    static const struct {
        const char *name;
        int hours;
    } zones[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
                 {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};
    skip_space(s);
    *offset_minutes = 0;
    if (s->n > 0 && (s->p[0] == '+' || s->p[0] == '-')) {
        bool is_west = s->p[0] == '-';
        uint64_t number;
        size_t digits;
        *s = str_skip(*s, 1);
        if (!take_number(s, 4, 4, &number, &digits) || number % 100 > 59)
            return false;
        *offset_minutes = (int64_t)(number / 100 * 60 + number % 100) * (is_west ? -1 : 1);
        return true;
    }
    struct str word = take_word(s);
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
        if (str_equal_nocase(word, str_from(zones[i].name)))
            *offset_minutes = zones[i].hours * 60;
    return word.n > 0;
}

bool date_parse(struct str text, int64_t *unix_seconds)
{
    struct time_parts t = {0};
    int64_t offset_minutes;
    struct str weekday = take_word(&text);
    if (weekday.n > 0 && (name_index(weekday, weekdays, 7) == 7 || !take_char(&text, ',')))
        return false;
    if (!take_day_month_year(&text, &t) || !take_time(&text, &t) ||
        !take_zone(&text, &offset_minutes))
        return false;
    skip_space(&text);
    if (text.n > 0 || t.day == 0 || t.day > 31)
        return false;
    int64_t seconds = time_join(&t);
    t.second = 0; /* a leap second belongs to the next minute, the day must still be real */
    struct time_parts again = time_split(time_join(&t));
    if (again.day != t.day || again.month != t.month)
        return false;
    *unix_seconds = seconds - offset_minutes * 60;
    return true;
}
