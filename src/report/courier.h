/* SPDX-License-Identifier: ISC */
/*
 * courier.h - the reports of a day that has ended go to who wants them
 *
 * Each at a moment of its own in the first hours (UTC) after the day, so that the world's reports do not come at midnight.
 * A report is in reports.db until queue_accept has promised its mail; a crash in between sends it twice, under the same
 * Report-ID, never not at all. Where the DNS fails it waits, REPORT_PATIENCE_S at most.
 */
#ifndef REPORT_COURIER_H
#define REPORT_COURIER_H

#include "conf/live.h"
#include "event/log.h"
#include "net/bell.h"
#include "net/resolver.h"
#include "queue/queue.h"
#include "report/store.h"
#include "sign/key_ring.h"

enum {
    REPORT_FLUSH_MS = 5000,     /* what a crash may lose of the counts */
    REPORT_ROUND_MS = 60000,    /* between two looks at what is due */
    REPORT_REST_S = 600,        /* after midnight nothing is sent that long */
    REPORT_SPREAD_S = 6 * 3600, /* then each domain at its moment */
    REPORT_PATIENCE_S = 3 * 86400
};

/* All borrowed until the task has ended. */
struct courier {
    struct report_store *store;
    struct queue *queue;
    struct live_holder *live;
    struct key_ring *keys;
    struct resolver *resolver;
    struct event_log *log;
    struct bell bell; /* of the store: there is something to write down */
    bool is_busy;
};

/* The task (of a struct courier): writes down what was counted, sends what is due, until it is cancelled. */
void courier_run(void *courier);

/* How many reports were given to the queue, wait on, and went because nobody wants them. */
struct courier_tally {
    int64_t sent, waiting, dropped;
};

/* Sends what there is about the domain (empty: about all) now, the part of the present day too. Suspends; on the
 * courier's loop. */
struct fault courier_send(struct courier *c, struct str domain, struct courier_tally *out);

#endif
