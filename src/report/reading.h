/* SPDX-License-Identifier: ISC */
/*
 * reading.h - a mail to the address for reports: what report is in it
 */
#ifndef REPORT_READING_H
#define REPORT_READING_H

#include "report/shelf.h"

enum { READING_MESSAGE_MAX = 15 << 20 /* octets of a mail that is looked into */ };

/*
 * Finds the first part of the message that is a report (by what is in it, whatever it says it is), unpacks and reads it.
 * The document is the caller's to document_free, in any case. 554 5.6.0 when there is none, or it cannot be read; 552
 * 5.3.4 when it is too large. Blocks for as long as a bomb takes to its bounds.
 */
struct fault report_read(struct str message, struct document *out);

#endif
