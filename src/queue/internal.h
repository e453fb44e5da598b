/* SPDX-License-Identifier: ISC */
/*
 * internal.h - what queue.c, checkpoint.c and operator.c share
 */
#ifndef QUEUE_INTERNAL_H
#define QUEUE_INTERNAL_H

#include <stdatomic.h>

#include "queue/cold.h"
#include "queue/queue.h"

/* A body file that goes when all results up to the ticket are written. */
struct queue_discard {
    uint64_t id;
    int64_t ticket;
};

struct queue {
    struct queue_options options;
    struct journal *journal;
    struct cold *cold;
    struct loop *owner;
    struct map by_id;
    struct list hot;   /* messages by position, the oldest first */
    struct list dirty; /* cold messages whose change queue.db does not have yet */
    size_t hot_count, dirty_count, cold_count; /* cold: in memory */
    size_t hot_busy_count;                     /* hot messages of which the sender has a delivery */
    uint64_t cold_forgotten; /* messages at rest that have left memory since the start */
    size_t ready_count;
    int64_t accepted, finished;
    uint64_t trimmed_position;
    uint64_t seen_position; /* of the newest record that has come to the owner */
    struct heap due;        /* WAITING deliveries in memory, by monotonic time */
    struct loop_timer due_timer;
    int64_t cold_messages;    /* at rest, with those in memory */
    int64_t cold_next_due_ms; /* real time of the first one not in memory */
    struct cold_cursor cursor;
    int64_t clock_seen_ms;     /* the wall clock when the keeper last looked */
    struct task *keeper;       /* the task of checkpoint.c */
    bool is_checkpoint_wanted; /* now, not at the interval */
    bool is_rest_wanted;       /* young messages are moved out too */
    bool is_trim_wanted;
    bool is_at_rest; /* there is nothing for a checkpoint, and the keeper waits for something */
    uint64_t checkpoints_begun, checkpoints_ended, checkpoints_wanted;
    struct fault checkpoint_fault;
    struct fault replay_fault; /* the first one; a record was passed over */
    bool is_started, is_closing;
    struct queue_discard *discard; /* body files of ended messages, removed by the keeper */
    size_t discard_count, discard_size;
    int64_t results_done;       /* records of deliveries that the journal has answered */
    struct list sync_waiters;   /* of queue_sync */
    unsigned results_in_flight; /* records of deliveries that the journal has not answered yet */
    struct list results;        /* these, in the order of the log */
    struct list unwritten;      /* those that the disk refused, to be written again */
    int64_t rewrite_ms;         /* when, of loop_now_ms */
    int64_t rewrite_ticket;     /* of the last one that was given to the journal once more */
    bool is_refusal_full;       /* the last one was refused for want of room */
    uint64_t first_id;          /* ids of this start are above it */
    atomic_uint_least64_t last_id;
    atomic_bool is_crowded;
    atomic_bool is_full;                           /* memory holds far more than it should */
    int64_t next_relief_ms;                        /* of loop_now_ms */
    atomic_int_least64_t body_bytes, memory_bytes; /* of bodies in memory; their bound */
    /* Accepts that have begun and not arrived at the owner, by the epoch they began in: a trim
     * waits for those of the epoch before. */
    atomic_uint epoch;
    atomic_size_t accepting[2];
};

/* The message in memory, or NULL. */
struct queue_message *queue_find(const struct queue *q, uint64_t id);

/* Puts a message that is in no list into memory's index; hot ones into the order. */
void queue_insert(struct queue *q, struct queue_message *m);

/* There is something for a checkpoint to do. */
void queue_stir(struct queue *q);

/* Takes a message out of memory and frees it. */
void queue_forget(struct queue *q, struct queue_message *m);

/* Hot messages that wait and could be put to rest. */
static inline size_t queue_hot_waiting(const struct queue *q)
{
    return q->hot_count - q->hot_busy_count;
}

/* The sender has more than it should, or so much that nothing can be loaded. */
static inline bool queue_is_tight(const struct queue *q)
{
    return q->ready_count > q->options.ready_most || q->cold_count >= q->options.loaded_most;
}

/* Looks at what memory holds: asks the sender for relief, now and then, and sessions to wait. */
void queue_watch_memory(struct queue *q);

/* Makes a delivery READY, without telling the sender. */
void queue_hand_out(struct queue *q, struct queue_delivery *d);

/* No back-off makes an attempt later than that: one that is has been given by another clock. */
int64_t queue_latest_attempt_ms(const struct queue *q, int64_t now_ms);

/* Gives every WAITING delivery that is due to the sender, and sets the clock for the others. */
void queue_schedule(struct queue *q, struct queue_message *m);

/* Frees or puts to rest what needs no memory: called when a message's state has changed. */
void queue_settle(struct queue *q, struct queue_message *m);

/* Has the body file of a message that is no more removed by a checkpoint, once its end is written:
 * ticket is the message's. */
void queue_discard_later(struct queue *q, uint64_t id, int64_t ticket);

/*
 * Whether the records of deliveries up to that ticket are in the journal. What ended may lose its
 * body only then, else a start finds a message that nobody can send. A full disk is the exception,
 * as it may need just that room for the records.
 */
bool queue_is_written(const struct queue *q, int64_t ticket);

/* Lets the body's memory go; it is in the journal or a file. */
void queue_drop_body(struct queue *q, struct queue_message *m);

/* Gives what the disk refused to the journal once more. */
void queue_rewrite(struct queue *q);

/* Writes the delivery's present state to the journal, without waiting. */
void queue_record(struct queue *q, struct queue_delivery *d);

/* Notes a change of a message at rest, for the next checkpoint; position: of a record not after the
 * one with the change. */
void queue_mark_dirty(struct queue *q, struct queue_message *m, uint64_t position);

/* Takes a record of the journal, in order and before the loop runs; arg is the queue. */
void queue_replay(void *arg, const struct journal_record *record);

/* The body of checkpoint.c's task. */
void queue_keep(void *arg);

#endif
