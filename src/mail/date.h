/* SPDX-License-Identifier: ISC */
/*
 * date.h - the date of a message (RFC 5322 3.3, obsolete forms of 4.3 when reading)
 */
#ifndef MAIL_DATE_H
#define MAIL_DATE_H

#include "base/str.h"

#include <stdint.h>

enum { DATE_MAX = 40 };

/*
 * Writes "Sat, 21 Nov 2026 19:41:37 +0000" into text. The offset is in minutes east of UTC, within
 * a day; the year must be 0..9999.
 */
struct str date_format(int64_t unix_seconds, int offset_minutes, char text[DATE_MAX]);

/*
 * Reads a date field's value. Accepted too: no weekday, no seconds, comments, two- and three-digit
 * years, the named zones of RFC 822. False when it is no real date.
 */
bool date_parse(struct str text, int64_t *unix_seconds);

#endif
