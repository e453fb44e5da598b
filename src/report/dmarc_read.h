/* SPDX-License-Identifier: ISC */
/*
 * dmarc_read.h - aggregate reports about DMARC: RFC 9990, and RFC 7489 appendix C
 *
 * expat reads, in pieces; a document type declaration ends it, so there are no entities. What is kept is known by its
 * path; names count without their prefix, whatever the namespace, as old reports have none or wrong ones.
 */
#ifndef REPORT_DMARC_READ_H
#define REPORT_DMARC_READ_H

#include "report/document.h"

enum {
    DMARC_READ_DEPTH_MAX = 16,
    DMARC_READ_TOKEN_MAX = 1 << 20, /* octets of a tag, comment or the like */
    DMARC_READ_ELEMENTS_MAX = 4000000
};

struct dmarc_reader;

/* Fills the document, which is borrowed until dmarc_reader_free. */
struct dmarc_reader *dmarc_reader_make(struct document *out);
void dmarc_reader_free(struct dmarc_reader *r); /* NULL is allowed */

/* The next octets; false when they are no report, or pass a bound: then there is no more to say. */
bool dmarc_reader_feed(struct dmarc_reader *r, struct str piece);

/* The end. 554 5.6.0 with the reason when it was none; FINE: document_is_whole. */
struct fault dmarc_reader_end(struct dmarc_reader *r);

#endif
