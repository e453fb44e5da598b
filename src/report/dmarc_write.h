/* SPDX-License-Identifier: ISC */
/*
 * dmarc_write.h - an aggregate report as XML (RFC 9990 section 3)
 */
#ifndef REPORT_DMARC_WRITE_H
#define REPORT_DMARC_WRITE_H

#include "base/buf.h"
#include "report/outbox.h"

/* Who reports; texts are borrowed. */
struct report_author {
    struct str organization, address, hostname;
    struct str report_id; /* without brackets */
};

/* Appends the document. False when out is full. */
bool dmarc_report_write(const struct report_draft *d, const struct report_author *by,
                        struct buf *out);

#endif
