/* SPDX-License-Identifier: ISC */
/*
 * outbox.h - reports of ours from their first outcome until the queue has them
 *
 * A report is of a kind, a policy domain, a day (UTC) and a policy. While its day lasts it is open and counts; closed,
 * it stays as it is until it is removed. All functions block.
 */
#ifndef REPORT_OUTBOX_H
#define REPORT_OUTBOX_H

#include "report/store.h"

/* A report that is there. */
struct report_ticket {
    int64_t id;
    enum report_about kind;
    struct str domain;
    int64_t day; /* since 1970 */
};

/* All of them, by id, at most REPORT_OUTBOX_MAX; in the arena, for which 16 MiB suffice. */
struct fault report_outbox_list(struct report_store *s, struct arena *a, struct report_ticket **out,
                                size_t *count);

struct report_row {
    json_t *outcome;
    int64_t count;
};

struct report_draft {
    struct report_ticket ticket;
    struct str rua;
    int64_t begin_s, end_s; /* of the outcomes; end is the last second */
    json_t *policy;
    struct report_row *row; /* at most REPORT_OUTBOX_ROWS_MAX */
    size_t row_count;
    int64_t lost; /* messages that had no room in a row of their own */
    struct arena arena;
};

/*
 * Closes the report at now_s, or at the end of its day, and reads it; *out is the caller's to report_draft_free, in
 * any case. 550 5.0.0 when it is not there any more.
 */
struct fault report_outbox_close(struct report_store *s, int64_t id, int64_t now_s,
                                 struct report_draft *out);
void report_draft_free(struct report_draft *d);

/* Removes a report that the queue has, or that nobody wants. */
struct fault report_outbox_remove(struct report_store *s, int64_t id);

#endif
