/* SPDX-License-Identifier: ISC */
/*
 * letter.h - a report as a mail (RFC 9990 section 3.5, RFC 8460 section 5.3)
 */
#ifndef REPORT_LETTER_H
#define REPORT_LETTER_H

#include "report/tls_write.h"

enum { LETTER_MAX = 16 << 20, LETTER_RECIPIENTS_MAX = 10 };

struct letter {
    const struct report_draft *draft;
    const struct report_author *by;
    struct str to; /* the addresses, with commas between them */
    struct str boundary;
    int64_t time_s;
    int zone_minutes;
};

/* The report, written and packed; of both kinds. False when it is larger than LETTER_MAX. Blocks. */
bool letter_pack(const struct report_draft *d, const struct report_author *by, struct buf *out);

/* The whole mail around what is packed. False when out is full. */
bool letter_append(const struct letter *l, struct str packed, struct buf *out);

#endif
