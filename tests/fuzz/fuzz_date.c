/* SPDX-License-Identifier: ISC */
/*
 * fuzz_date.c - an accepted date is written and read again as the same moment
 */
#include "mail/date.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);
    int offset_minutes = (int)take_octet(&in) * 5 - 640;
    int64_t moment, again;
    const int64_t first = -2208988800 + 86400 * 2, last = 253402300799 - 86400 * 2;
    if (date_parse(in, &moment) && moment > first && moment < last) {
        char text[DATE_MAX];
        must(date_parse(date_format(moment, offset_minutes, text), &again));
        must(moment == again);
    }
    return 0;
}
