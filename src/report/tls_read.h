/* SPDX-License-Identifier: ISC */
/*
 * tls_read.h - reports about TLS (RFC 8460 section 4)
 */
#ifndef REPORT_TLS_READ_H
#define REPORT_TLS_READ_H

#include "report/document.h"

enum { TLS_READ_MAX = 8 << 20 /* octets of JSON */, TLS_READ_DEPTH_MAX = 16 };

/*
 * Reads a whole document into out, which was started; its domain is that of the first policy, unless it has one. A record is a policy with its counts, or a kind of failure under
 * it. 554 5.6.0 with the reason when it is no report.
 */
struct fault tls_report_read(struct str json, struct document *out);

#endif
