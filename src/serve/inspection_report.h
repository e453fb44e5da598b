/* SPDX-License-Identifier: ISC */
/*
 * inspection_report.h - what the checks said of a message is counted for the report to its domain (RFC 9990)
 */
#ifndef SERVE_INSPECTION_REPORT_H
#define SERVE_INSPECTION_REPORT_H

#include "report/store.h"
#include "serve/inspection.h"

/* When it is settled what becomes of the message: one that was put off comes again. Without inspection_decide there is
 * nothing to count. */
void inspection_report(const struct inspection *i, const struct inspection_visit *visit,
                       struct report_store *store);

#endif
