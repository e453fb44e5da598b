/* SPDX-License-Identifier: ISC */
/*
 * tls_gather.h - what came of TLS is held until it is known who wants to hear of it, and then counted (RFC 8460 section 3)
 *
 * Deliveries tell and go on: the question for a domain's record is asked here, by tasks of one loop, once for all that is
 * held about the domain. Every domain is asked, as a report is for whom asks for one, whatever its policy; answers are
 * in the resolver's memory for their time to live. What is not counted, for want of room or of an answer, is the event
 * report.uncounted.
 */
#ifndef REPORT_TLS_GATHER_H
#define REPORT_TLS_GATHER_H

#include "event/log.h"
#include "net/resolver.h"
#include "report/count.h"

struct scope;
struct tls_gather;

enum {
    TLS_GATHER_HELD_MAX = 4096, /* outcomes that are held; those beyond are not counted */
    TLS_GATHER_ASKED_MAX = 8,   /* domains at a time */
    TLS_GATHER_TIME_MS = 10000  /* for the answer of one */
};

/* On the loop whose tasks shall ask; everything is borrowed until tls_gather_free. */
struct tls_gather *tls_gather_make(struct report_store *store, struct resolver *resolver,
                                   struct event_log *log);

/* The loop's run has ended. NULL is allowed. */
void tls_gather_free(struct tls_gather *g);

/* Starts the task that asks, on the loop of tls_gather_make, and with it those that wait for answers. */
bool tls_gather_start(struct tls_gather *g, struct scope *scope);

/* A session; everything is copied. Any thread; never blocks for long. */
void tls_gather_tell(struct tls_gather *g, const struct report_tls *t);

#endif
