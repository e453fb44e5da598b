/* SPDX-License-Identifier: ISC */
/*
 * message.h - a message in the queue and its deliveries
 *
 * A message has one delivery for each domain among its recipients, and one for what was expanded. Both belong to the queue's
 * owner task; while a delivery is with the sender (QUEUE_READY) others may read the envelope, the
 * body and the delivery's recipients, none of which change then.
 */
#ifndef QUEUE_MESSAGE_H
#define QUEUE_MESSAGE_H

#include "base/fault.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "net/loop.h"
#include "queue/envelope.h"

struct queue;

enum queue_state {
    QUEUE_WAITING, /* for its next attempt */
    QUEUE_READY,   /* with the sender */
    QUEUE_HELD,    /* until an operator releases it */
    QUEUE_ENDED    /* nothing is left to do */
};

/* Where a body is. */
enum queue_body {
    QUEUE_BODY_MEMORY,  /* and in the journal */
    QUEUE_BODY_JOURNAL, /* in the record of the message */
    QUEUE_BODY_FILE     /* spool/bodies/.../ID */
};

/* What went wrong last. */
struct queue_trouble {
    struct fault fault;
    int64_t time_ms;     /* real */
    struct str remote;   /* the host that said so, or empty */
    struct str dialogue; /* the last dialogue, or empty */
    char memory[];
};

struct queue_delivery {
    struct queue_message *message;
    struct str domain; /* in the message's arena; empty for Postmaster */
    uint32_t *rcpt;    /* indices of the recipients that are left */
    size_t rcpt_count;
    enum queue_state state;
    bool is_delay_noticed;
    uint32_t attempts;
    int64_t next_attempt_ms;       /* real time */
    struct queue_trouble *trouble; /* NULL before the first */
    struct heap_node due;          /* while WAITING */
    struct list link;              /* the sender's, while READY */
    bool is_hold_wanted;           /* an operator's word about one that is READY */
};

struct queue_message {
    struct map_node by_id;
    uint64_t id;
    struct loop_message arrival; /* on its way to the owner */
    struct queue *queue;
    unsigned arrival_epoch;
    struct arena arena;
    struct queue_envelope envelope;
    /* A checkpoint turns JOURNAL into FILE while others may be reading the body. */
    _Atomic(enum queue_body) body_kind;
    char *body; /* QUEUE_BODY_MEMORY */
    size_t body_size;
    uint64_t position;      /* hot: of its journal record; dirty: of the first change */
    uint64_t body_position; /* of the journal record with the body */
    size_t body_offset;     /* in the record's payload */
    struct list in_order;   /* hot or dirty: by position */
    bool is_cold;           /* queue.db has it */
    bool is_dirty;          /* cold, and queue.db does not have the latest */
    bool is_checkpointed;   /* a checkpoint is writing it now */
    bool is_changed;        /* has changed while a checkpoint wrote it */
    int64_t result_ticket;  /* of its newest record of a delivery, see queue_is_written */
    /* Then: of a record not after the one with the first of these changes. */
    uint64_t changed_position;
    struct queue_delivery *delivery;
    size_t delivery_count;
    size_t open_count;  /* deliveries not ENDED */
    size_t ready_count; /* deliveries with the sender */
    size_t pin_count;   /* holders that need it in memory */
};

/* Bytes of arena that a copy of the envelope and message_make take. */
size_t message_room(const struct queue_envelope *envelope);

/* A message from its id and envelope (in arena, which it takes); deliveries by domain, all WAITING
 * and due at once. */
struct queue_message *message_make(uint64_t id, struct arena *arena,
                                   const struct queue_envelope *envelope);
void message_free(struct queue_message *m);

/* Lets the body's memory go. */
void message_drop_body(struct queue_message *m);

/* Replaces the delivery's trouble by a copy. */
void delivery_set_trouble(struct queue_delivery *d, const struct fault *fault, int64_t time_ms,
                          struct str remote, struct str dialogue);

/* The state that is remembered: what is with the sender waits after a restart, or is held when an
 * operator has said so meanwhile. */
enum queue_state delivery_rest_state(const struct queue_delivery *d);

/* The delivery for a domain, or NULL. */
struct queue_delivery *message_delivery(struct queue_message *m, struct str domain);

/* True for the one of aliases of which the sender is to be told that they were expanded. */
bool delivery_is_expanded(const struct queue_delivery *d);

/* Keeps only these recipients (indices into the envelope); out of range ones are dropped. */
void delivery_set_rcpts(struct queue_delivery *d, const uint32_t *rcpt, size_t count);

#endif
