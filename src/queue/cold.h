/* SPDX-License-Identifier: ISC */
/*
 * cold.h - deferred messages at rest: queue.db and body files
 *
 * A row for each message (packed envelope) and each of its deliveries (packed state), the latter
 * ordered by next attempt. Every call blocks on the disk and is made through offload; calls exclude
 * each other. Faults: 451 4.3.0, 452 4.3.1 when the disk is full.
 */
#ifndef QUEUE_COLD_H
#define QUEUE_COLD_H

#include "queue/message.h"

struct cold;

/* Opens or makes DIRECTORY/queue.db and DIRECTORY/bodies. */
struct fault cold_open(const char *directory, struct cold **out);
void cold_close(struct cold *c); /* NULL is allowed */

/* The path of a message's body file; false when it does not fit. */
bool cold_body_path(const struct cold *c, uint64_t id, char *path, size_t size);

/* What a checkpoint does to one message. */
struct cold_change {
    uint64_t id;
    bool is_removed;   /* rows and body file go */
    struct str sender; /* the rest is for one that stays */
    int64_t arrival_ms;
    uint64_t body_size;
    struct str envelope; /* packed */
    size_t delivery_count;
    struct cold_delivery {
        struct str domain;
        enum queue_state state;
        int64_t next_attempt_ms;
        struct str packed; /* record_pack_delivery */
    } * delivery;
};

/* Makes all changes durable in one transaction, after everything written before to body files. */
struct fault cold_apply(struct cold *c, const struct cold_change *changes, size_t count);

/*
 * After a fault of cold_apply: makes sure that no later start finds changes that were refused. Until then
 * nothing may go that a message needs which would be at rest then, or what says that it has ended.
 */
struct fault cold_settle(struct cold *c);

/* Whether that has something to do; for who makes all changes. */
bool cold_is_in_doubt(const struct cold *c);

/* True when the message is at rest here. */
struct fault cold_has(struct cold *c, uint64_t id, bool *is_there);

/* A message with its deliveries; *out is NULL when it is not here. */
struct fault cold_load(struct cold *c, uint64_t id, struct queue_message **out);

/*
 * The ids of at most limit messages with a WAITING delivery due at or before now_ms, earliest
 * first, behind the cursor (time and id of the last one given; zeroed at the start).
 */
struct cold_cursor {
    int64_t time_ms;
    uint64_t id;
};
struct fault cold_due(struct cold *c, int64_t now_ms, struct cold_cursor *cursor, uint64_t *ids,
                      size_t limit, size_t *count);

/* WAITING deliveries whose time is later than latest_ms are due now: the clock has gone back. */
struct fault cold_bring_forward(struct cold *c, int64_t now_ms, int64_t latest_ms);

/* The time of the first WAITING delivery behind the cursor; INT64_MAX when there is none. */
struct fault cold_next_due(struct cold *c, const struct cold_cursor *cursor, int64_t *time_ms);

/* At most limit ids above the given one, ascending, and how many messages there are. */
struct fault cold_ids(struct cold *c, uint64_t above, uint64_t *ids, size_t limit, size_t *count);
struct fault cold_count(struct cold *c, int64_t *messages, uint64_t *largest_id);

#endif
