/* SPDX-License-Identifier: ISC */
/*
 * queue.h - the durable queue: accept, schedule, remember
 *
 * Sessions on any loop hand messages in with queue_accept, which returns once the message is
 * durable. From there on everything belongs to the owner, the loop that opened the queue: it keeps
 * time, gives each due delivery to the sender (the ready callback) and takes back the outcome.
 *
 * Where a message is: first hot, in the journal and in memory; when it has waited longer than a
 * checkpoint allows, cold, in queue.db and a body file, and in memory only around its attempts.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include "base/buf.h"
#include "journal/journal.h"
#include "net/task.h"
#include "os/file.h"
#include "queue/message.h"

struct queue_options {
    const char *directory;          /* spool: journal/, queue.db, bodies/ */
    struct journal_options journal; /* its directory is set by the queue */
    int64_t retry_first_ms;         /* before the second attempt */
    int64_t retry_most_ms;          /* the longest pause */
    int64_t memory_bytes;           /* bodies kept in memory */
    int64_t journal_bytes;          /* beyond this the oldest messages are moved out */
    int64_t checkpoint_ms;          /* between checkpoints */
    size_t hot_most;                /* waiting messages kept in memory before a checkpoint */
    size_t ready_most;              /* deliveries with the sender before it is asked for relief */
    size_t loaded_most;             /* messages at rest that are in memory at a time */
    /* Gives a delivery to the sender, on the owner's loop; ended by queue_finish
     * or queue_put_off. */
    void (*ready)(void *arg, struct queue_delivery *d);
    /* Asks the sender to put off what it cannot deliver soon; on the owner's loop. */
    void (*relieve)(void *arg);
    void *sender; /* arg of both */
};

/* Opens the spool and replays the journal; the calling thread's loop becomes the owner. */
struct fault queue_open(const struct queue_options *options, struct queue **out);

/* Starts the owner's tasks in the scope; deliveries become ready from now on. */
void queue_start(struct queue *q, struct scope *scope);

/* No session and no delivery may be under way. */
void queue_close(struct queue *q);

/* The options that a reload may change: retry times and limits. Owner. */
void queue_set_options(struct queue *q, const struct queue_options *options);

/* An id for a new message, above all earlier ones. Any thread. */
uint64_t queue_new_id(struct queue *q);

/* Makes the file for the body of a large message, which is the last body_size bytes of it; the file is removed by queue_body_discard or
 * belongs to the message once accepted. Blocks. */
struct fault queue_body_file(struct queue *q, uint64_t id, struct file **out);
struct fault queue_body_sync(struct queue *q, uint64_t id, struct file *file); /* and its name */
struct fault queue_body_discard(struct queue *q, uint64_t id);

/*
 * Accepts a message: on FINE it is durable (RFC 5321 section 6.1) and the queue's. The envelope is
 * borrowed. body: its memory is taken in any case; NULL when body_size bytes are in the synced body
 * file. Suspends the task, of any loop.
 */
struct fault queue_accept(struct queue *q, uint64_t id, const struct queue_envelope *envelope,
                          struct buf *body, uint64_t body_size);

/*
 * Holds a session back for a moment (half a second at most) while mail comes in faster than it
 * goes out: otherwise the many who bring it take the processor from the few connections that carry
 * it away, and the backlog leaves memory. The sender says when that is so. A session waits longer
 * (ten seconds at most) while memory holds twice what it should: then mail comes in faster than
 * the disk can put it to rest.
 */
void queue_pace(struct queue *q);
void queue_set_crowded(struct queue *q, bool is_crowded); /* any thread */

/* What came of an attempt. */
struct queue_outcome {
    const uint32_t *left; /* recipients to try again (indices into the envelope); may be none */
    size_t left_count;
    const struct fault *trouble; /* NULL: nothing went wrong */
    struct str remote, dialogue; /* of the trouble */
    bool is_attempt;             /* counts for the back-off */
    bool is_delay_noticed;       /* the sender has been told of the delay */
    int64_t pause_ms;            /* until the next attempt; 0: by back-off */
};

/* Takes a READY delivery back and remembers what came of it. Owner. */
void queue_finish(struct queue *q, struct queue_delivery *d, const struct queue_outcome *outcome);

/*
 * Takes a READY delivery back untried: it waits for pause_ms, or is held when an operator has said
 * so. Owner.
 */
void queue_put_off(struct queue *q, struct queue_delivery *d, int64_t pause_ms);

/* Reads up to size bytes of a message's body at the offset. Blocks on the disk unless the body is
 * in memory; any thread while a delivery of it is READY or the message is pinned. */
struct fault queue_read_body(struct queue *q, const struct queue_message *m, size_t offset,
                             size_t size, struct buf *out);

/*
 * Finds a message for an operator and keeps it in memory until queue_unpin. *out is NULL when there
 * is none. Owner task.
 */
struct fault queue_pin(struct queue *q, uint64_t id, struct queue_message **out);
void queue_unpin(struct queue *q, struct queue_message *m);

/* At most limit ids above the given one, ascending. Owner task. */
struct fault queue_ids(struct queue *q, uint64_t above, uint64_t *ids, size_t limit, size_t *count);

/* Operator's words about a delivery of a pinned message. False when its state does not allow it.
 * One that is READY can be held: before it goes out, else when its attempt has ended. Owner. */
bool queue_hold(struct queue *q, struct queue_delivery *d);
bool queue_release(struct queue *q, struct queue_delivery *d);
bool queue_retry(struct queue *q, struct queue_delivery *d);
bool queue_drop(struct queue *q, struct queue_delivery *d);

/* Waits until every change made so far is durable. Owner task. */
void queue_sync(struct queue *q);

/* Takes a WAITING or HELD delivery as READY, for queue_finish, without calling ready. Owner. */
bool queue_take(struct queue *q, struct queue_delivery *d);

/* True while bodies are within the memory budget and the disk has the reserve. Any thread. */
struct queue_statistics {
    int64_t messages; /* in memory and at rest */
    int64_t hot, cold_loaded;
    int64_t ready, waiting;
    int64_t body_bytes;         /* of bodies in memory */
    int64_t accepted, finished; /* messages since the start */
    struct journal_statistics journal;
};
void queue_statistics(struct queue *q, struct queue_statistics *out);

/* Asks for a checkpoint now, of all that waits, and waits for it. Owner task. */
struct fault queue_checkpoint(struct queue *q);

#endif
