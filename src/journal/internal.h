/* SPDX-License-Identifier: ISC */
/*
 * internal.h - the journal as its own files see it
 *
 * journal.c opens, closes, submits and reads; commit.c has the two threads that write and sync,
 * to which turn.c hands the records; keeper.c the thread that makes and recycles segments; replay.c reads the log
 * at the start.
 */
#ifndef JOURNAL_INTERNAL_H
#define JOURNAL_INTERNAL_H

#include "journal/journal.h"
#include "journal/segment.h"
#include "os/thread.h"

#include <stdatomic.h>

/* Records in the order they were submitted. */
struct append_queue {
    struct journal_append *first;
    struct journal_append *last;
    size_t count;
};

/* A batch on its way and the thread that takes it. */
struct committer {
    struct journal *journal;
    unsigned index; /* which of a segment's files it uses */
    struct thread thread;
    struct append_queue records;
    struct append_queue refused; /* with their results set */
    uint64_t number;
    uint64_t position;       /* of its first record */
    uint64_t end;            /* behind its last record */
    size_t bytes;            /* of all records */
    struct segment *segment; /* pinned while in flight */
    unsigned char *stage;    /* where bytes on their way to the disk are gathered */
};

struct journal {
    struct journal_options options;
    char *directory;
    struct file *lock;

    /* Submitters push here, newest first, and wake a committer once the count reaches wake_at. */
    _Atomic(struct journal_append *) incoming;
    _Atomic int64_t incoming_count;
    _Atomic int64_t wake_at;

    struct mutex mutex; /* for all that follows; never held during I/O or callbacks */
    struct cond work;   /* committers: something to do */
    struct cond turn;   /* committers: the batch before has settled */
    struct cond keep;   /* the keeper: something to do */
    struct cond supply; /* committers: a spare is there, or could not be made */

    /* Only the committer that is forming a batch touches these. */
    struct append_queue waiting; /* taken from incoming */
    struct segment *active;      /* the last one of live, or NULL after a failure */
    uint64_t active_offset;      /* where the next batch goes */
    uint64_t next_sequence;
    uint64_t next_batch;

    bool is_forming;
    int64_t waiting_count; /* what the last forming left in waiting */
    bool is_failed;        /* a batch failed; nothing new until the others in flight have ended */
    bool is_closing;
    bool is_keeper_closing;
    unsigned in_flight; /* batches formed and not settled */
    int64_t in_flight_records;
    int64_t crowd;               /* how many records are on their way at busy times, see commit.c */
    int64_t sync_ns;             /* how long a write and sync takes, a moving average */
    int64_t settle_ns;           /* when the last batch was settled */
    uint64_t settled;            /* number of the last settled batch */
    bool has_void;               /* the next segment must say so first */
    struct append_queue refused; /* by a failure; told when the void is durable */
    struct fault refusal;
    struct committer committer[SEGMENT_COMMITTERS];

    struct thread keeper;
    struct segment_list live;    /* hold records or receive them */
    struct segment_list trimmed; /* to be recycled or removed, oldest first */
    int64_t stuck_until_ns;      /* the oldest could not be removed, and is not tried before */
    struct segment_list spare;   /* ready, in order of their bases */
    uint64_t next_base;
    uint32_t next_generation;
    uint32_t next_slot;
    uint64_t supply_wanted; /* requests of committers */
    uint64_t supply_tried;  /* the last request that could not be fulfilled */
    struct fault supply_fault;

    struct journal_statistics statistics;
};

void append_queue_push(struct append_queue *q, struct journal_append *a);
void append_queue_move(struct append_queue *to, struct append_queue *from);

/* Runs every record's message with this result (NULL: the one it has) and empties the queue. */
void journal_complete(struct append_queue *q, const struct fault *result);

/* Calls the alarm, if there is one. Without the mutex. */
void journal_alarm(struct journal *j, const struct fault *fault);

/* Hands a record to the committers: in a task at the end of the loop's turn, elsewhere now. */
void journal_hand_over(struct journal *j, struct journal_append *append);

/* Does now what this thread would do for that journal at the end of its turn. */
void journal_end_turn(struct journal *j);

/* The thread of a committer. */
void commit_run(void *arg);

/*
 * Makes the next spare the active segment; when something is void, it says so there first and
 * durably. Called by the committer that is forming or when none is. Without the mutex.
 */
struct fault commit_next_segment(struct journal *j, unsigned committer);

/* The thread of the keeper. */
void keeper_run(void *arg);

/* Recycles, makes or removes one segment. False when nothing was to do. With the mutex. */
bool keeper_step(struct journal *j, struct fault *fault);

/* Reads the log and makes what was found durable; sets live, end_position, next_sequence and next_batch, and has_void. */
struct fault replay_run(struct journal *j, const struct journal_replay *replay);

#endif
