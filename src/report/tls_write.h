/* SPDX-License-Identifier: ISC */
/*
 * tls_write.h - a report about TLS as JSON (RFC 8460 section 4)
 */
#ifndef REPORT_TLS_WRITE_H
#define REPORT_TLS_WRITE_H

#include "report/dmarc_write.h"

/* Appends the document. False when out is full. */
bool tls_report_write(const struct report_draft *d, const struct report_author *by,
                      struct buf *out);

#endif
