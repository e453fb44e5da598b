/* SPDX-License-Identifier: ISC */
/*
 * internal.h - what the files of the sender share: sites, jobs and carriers
 */
#ifndef SEND_INTERNAL_H
#define SEND_INTERNAL_H

#include "base/heap.h"
#include "send/route.h"
#include "send/sender.h"

enum {
    JOBS_A_CARRIER = 3
}; /* under way on a connection: one sending, one behind it, one in reserve */

struct sender {
    struct sender_options options;
    struct sts *sts;
    struct queue *queue;
    struct loop *owner;
    struct map domains;    /* struct destination by domain */
    struct map sites;      /* struct site by name */
    struct heap starved;   /* sites with mail that found no connection left, by whose turn it is */
    struct list promised;  /* such sites for which a carrier is about to leave */
    struct heap holders;   /* sites with connections that work, those with most first */
    struct list idle;      /* carriers without jobs, for the longest time first */
    int64_t starved_turns; /* how often a site has starved */
    size_t carrier_count;
    size_t job_count;     /* with carriers or settling */
    size_t waiting;       /* deliveries at all sites */
    int64_t last_done_ms; /* when a job came back with an answer */
    size_t lookup_count;  /* route lookups under way */
    size_t next_loop;
    int64_t next_purge_ms;   /* of idle destinations */
    atomic_bool is_stopping; /* carriers of all loops look at it */
};

/* A domain and where it leads at the moment; for mail with a wish, apart. */
struct destination {
    struct map_node node;
    struct sender *sender;
    char *name; /* the domain and the mark of the wish */
    size_t domain_size;
    enum route_wish wish;
    struct route *route; /* NULL before the first lookup */
    struct site *site;
    struct list waiting; /* deliveries that wait for the lookup */
    size_t waiting_count;
    bool is_looking_up;
};

/* The deliveries of one sender to a site. */
struct flow {
    struct map_node node;
    struct list link; /* in site->turn, while it has deliveries */
    struct list deliveries;
    size_t count;
    char key[];
};

/* Hosts that share limits: a provider, a smarthost, our mailboxes. */
struct site {
    struct map_node node;
    struct sender *sender;
    char *name;
    struct route *route; /* the latest that leads here, for new connections */
    struct map flows;
    struct list turn; /* flows with deliveries, whose turn it is first */
    size_t waiting;
    struct list carriers;
    size_t carrier_count;
    size_t starting_count;    /* carriers that have not connected yet */
    size_t held_count;        /* carriers that are not about to leave */
    size_t working_count;     /* those of them that have brought a result back */
    struct heap_node starved; /* in sender->starved; or */
    struct list promised;     /* in sender->promised; or in neither */
    int64_t starved_turn;     /* when it was that */
    struct heap_node holder;  /* in sender->holders */
    int64_t down_until_ms;    /* of loop_now_ms; 0: not known to be down */
    int64_t down_pause_ms;
    struct fault down_fault;
    int64_t done_count;    /* jobs that came back with an answer */
    int64_t done_since_ms; /* since then */
    char down_remote[300]; /* who said so; empty when it is our own finding about nobody */
    size_t references;     /* destinations that lead here */
};

/* One attempt at a delivery. */
struct job {
    struct loop_message message; /* to the carrier, then back */
    struct list link;            /* in carrier->jobs */
    struct sender *sender;
    struct carrier *carrier;
    struct queue_delivery *delivery;
    struct fault *result; /* of each recipient of the delivery; FINE with reply 0: not known */
    bool *is_settled;     /* has a result */
    size_t begun;         /* recipients whose transaction has begun */
    bool has_dsn;         /* the next hop takes over the notices (RFC 3461 section 5.2) */
    bool is_local;        /* delivered to a mailbox of ours */
    bool is_untried;      /* the carrier went away before it came to this job */
    bool is_site_down;    /* no connection could be made at all */
    char remote[300];     /* "mx.example.net [192.0.2.1]:25" */
    struct buf dialogue;
    int64_t started_ms;
};

/* One connection and the task that drives it. */
struct carrier {
    struct list link; /* in site->carriers; the owner's, as the next ones */
    struct sender *sender;
    struct site *site;
    struct list idle;      /* in sender->idle, or alone */
    size_t load;           /* jobs with it */
    int64_t turn_began_ms; /* of loop_now_ms */
    bool is_leaving;       /* has asked to go or was asked to; gets no further job */
    bool is_started;       /* has brought a result back */

    struct loop *loop; /* the carrier's own from here on */
    struct scope *scope;
    struct loop_message message;   /* start, asking to go, leave to go */
    struct loop_message dismissal; /* carrier_dismiss */
    struct task *task;
    struct list jobs; /* taken over, in order */
    bool is_dismissed;
    bool may_go;
    struct route *route;
};

/* carrier.c */
void carrier_start(struct sender *s, struct site *site, struct route *route);
void carrier_give(struct carrier *c, struct job *j);

/* The carrier leaves when the transactions that it has begun have ended. Once, at most. */
void carrier_dismiss(struct carrier *c);

/* From the carrier's loop to the dispatcher. */
void dispatch_job_back(struct job *j);
void dispatch_carrier_gone(struct carrier *c);

/* dispatch.c: jobs. A delivery's route is the job's; results are for settle_job to judge. */
struct job *job_make(struct sender *s, struct queue_delivery *d);
void job_fail(struct job *j, const struct fault *f); /* every recipient without a result */
void job_free(struct job *j);

/* Tells the queue whether more waits than is good while things are moving. */
void dispatch_look_at_crowd(struct sender *s);

/* settle.c: tells the queue, the event log and the message's sender what came of a job; frees it.
 */
void settle_job(struct job *j);

#endif
