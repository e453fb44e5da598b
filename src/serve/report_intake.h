/* SPDX-License-Identifier: ISC */
/*
 * report_intake.h - mail to the address for reports is read while it is taken in
 *
 * What a report says is in reports.db before 250 is said. When a mailbox gets the mail as well, one that cannot be read
 * is mail like any other; else it is refused, so that nothing is taken and forgotten.
 */
#ifndef SERVE_REPORT_INTAKE_H
#define SERVE_REPORT_INTAKE_H

#include "serve/intake.h"
#include "serve/server.h"

enum { REPORT_READERS_MAX = 4 /* mails that are read at a time; more are put off */ };

struct report_intake;

/* Reads along: the reader of the content, which has an arg, is wrapped, and judge takes the place of its own. The server
 * is borrowed until report_intake_free. */
struct report_intake *report_intake_make(struct server *server, struct intake_reader *reader,
                                         struct fault (*judge)(void *arg, struct buf *top));
void report_intake_free(struct report_intake *r); /* NULL is allowed */

/* What is known of the mail when it is judged. */
struct report_visit {
    struct str submitter; /* its author's domain, lower case */
    bool is_authentic;
    bool is_mail_too; /* a mailbox gets it as well */
    int64_t now_s;
    struct str message, session; /* ids, for the event */
};

/*
 * All of it has been read: finds the report and keeps it, tells of it. 451 when that is not possible now; 554 5.6.0 or
 * 552 5.3.4 when there is no report in it and no mailbox gets it. Suspends.
 */
struct fault report_intake_finish(struct report_intake *r, const struct report_visit *visit);

#endif
