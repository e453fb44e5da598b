/* SPDX-License-Identifier: ISC */
/*
 * intake.h - taking a message's content in: memory first, a file when it grows
 *
 * Content up to a MiB stays in memory and goes into the journal with the envelope; more is written
 * to the body file while it arrives and synced before the record that names it. All content being
 * received in the process is counted against one limit.
 */
#ifndef SERVE_INTAKE_H
#define SERVE_INTAKE_H

#include <stdatomic.h>

#include "queue/queue.h"

enum { INTAKE_MEMORY_MAX = 1 << 20, INTAKE_HEADER_MAX = 256 << 10 };

struct intake {
    struct queue *queue;
    atomic_int_least64_t *in_flight; /* bytes of all intakes */
    int64_t in_flight_limit;
    uint64_t id;
    struct buf content;  /* all of it, or what the file does not have yet */
    struct buf header;   /* the first bytes of content that is in a file */
    struct file *file;
    uint64_t file_size;
    int64_t counted; /* our part of *in_flight */
    /* Called once, while the header section is in memory; may rewrite the content. */
    void (*prepare)(void *arg, struct buf *content);
    void *prepare_arg;
    struct fault fault; /* the first one; content is dropped from then on */
};

/* Starts a message with that id; expected_bytes is a hint. Borrows the queue and the counter. */
void intake_start(struct intake *i, struct queue *q, uint64_t id, atomic_int_least64_t *in_flight,
                  int64_t in_flight_limit, uint64_t expected_bytes);

/* Adds content; a fault is kept for intake_finish. May suspend the task. */
void intake_add(struct intake *i, struct str content);

/* The header section, or as much of it as INTAKE_HEADER_MAX holds. */
struct str intake_header(const struct intake *i);

uint64_t intake_size(const struct intake *i);

/* Makes the message durable and the queue's. The intake is empty afterwards, whatever came of it. */
struct fault intake_finish(struct intake *i, const struct queue_envelope *envelope);

/* Drops what was taken in; an intake that is empty or was never started (zeroed) is left alone. */
void intake_drop(struct intake *i);

#endif
