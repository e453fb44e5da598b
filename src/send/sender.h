/* SPDX-License-Identifier: ISC */
/*
 * sender.h - the other side of the queue: gives ready deliveries to connections
 *
 * The dispatcher runs on the queue's owner loop and knows the sites; carriers, one task for each
 * connection, run on all loops. A delivery travels as a job: dispatcher -> carrier -> dispatcher,
 * which tells the queue what came of it.
 */
#ifndef SEND_SENDER_H
#define SEND_SENDER_H

#include "conf/live.h"
#include "directory/cache.h"
#include "event/log.h"
#include "net/resolver.h"
#include "net/task.h"
#include "queue/queue.h"
#include "send/tls_outcome.h"
#include "sign/key_ring.h"
#include "sign/srs_ring.h"

struct full_mailboxes;
struct sender;

/* A loop that carriers may run on, and the scope they belong to. */
struct sender_loop {
    struct loop *loop;
    struct scope *scope;
};

struct sender_options {
    struct live_holder *live;
    struct directory_cache *directory;
    struct full_mailboxes *full; /* is told of mailboxes of ours; NULL: nobody wants to know */
    struct key_ring *keys;
    struct srs_ring *srs; /* NULL: no sender is rewritten */
    struct resolver *resolver;
    struct event_log *log;
    const struct sender_loop *loops; /* kept until sender_free */
    size_t loop_count;
    struct scope *scope;    /* for tasks of the owner's loop */
    const char *sts_folder; /* where MTA-STS policies are kept (borrowed); NULL: in memory alone */
    tls_outcome_tell *tell_tls; /* NULL: nobody wants to know */
    void *tell_tls_arg;
};

/* On the queue's owner loop. */
struct sender *sender_make(const struct sender_options *options);

/* The queue to report to; before it starts. */
void sender_set_queue(struct sender *s, struct queue *q);

/* The queue's ready callback; arg is the sender. */
void sender_ready(void *arg, struct queue_delivery *d);

/*
 * The queue's relief callback; arg is the sender. Of what waits for connections or routes, each site
 * and domain keeps what it can deliver soon; the rest is put off, so that memory holds what moves.
 */
void sender_relieve(void *arg);

/* Takes no further delivery and ends idle connections; those that are sending finish. Owner. */
void sender_stop(struct sender *s);

/* Every carrier has ended and every job has come back. Owner. */
bool sender_is_idle(const struct sender *s);
void sender_free(struct sender *s);

/* Keeps the MTA-STS policies fresh until the task is cancelled. Owner task. */
void sender_keep_policies(struct sender *s);

/* Routes are looked up anew and sites that were down are tried again. Owner. */
void sender_refresh(struct sender *s);

/*
 * Fails a delivery that queue_take gave, as an operator wants: its sender gets a notice with the
 * fault. Owner task.
 */
void sender_bounce(struct sender *s, struct queue_delivery *d, const struct fault *fault);

/* What is known about where mail for a domain goes, for people. */
struct sender_site_report {
    struct str site; /* empty when the domain has not been looked up lately */
    struct fault fault;
    size_t connections, connections_most, waiting;
    size_t all_connections, all_connections_most; /* to every site */
    bool is_silent; /* has as many connections as one that has not answered yet may have */
    bool is_down;
    int64_t down_for_ms;
};
void sender_report(const struct sender *s, struct str domain, struct sender_site_report *out);

/* The sites with mail or connections; each is called for every one. */
void sender_each_site(const struct sender *s,
                      void (*each)(void *arg, const struct sender_site_report *r), void *arg);

#endif
