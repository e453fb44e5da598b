/* SPDX-License-Identifier: ISC */
/*
 * intake.h - taking a message's content in: memory first, a file when it grows
 *
 * Content up to a MiB stays in memory and goes into a journal with the envelope; more is written to
 * a file while it arrives and synced before the record that names it. All content being
 * received in the process is counted against one limit.
 */
#ifndef SERVE_INTAKE_H
#define SERVE_INTAKE_H

#include <stdatomic.h>

#include "base/buf.h"
#include "os/file.h"

enum {
    INTAKE_MEMORY_MAX = 1 << 20,
    INTAKE_HEADER_MAX = 256 << 10,
    INTAKE_TOP_MAX = 64 << 10 /* octets of fields that come on top in the end */
};

/* Whom the content is for: where its file is. The file's id is unique there. All block. */
struct intake_place {
    struct fault (*file)(void *owner, uint64_t id, struct file **out);
    struct fault (*sync)(void *owner, uint64_t id, struct file *file); /* and its name */
    struct fault (*discard)(void *owner, uint64_t id);
    size_t
        top_room; /* octets left free at the head of a file: INTAKE_TOP_MAX, or none comes on top */
};

struct intake;

/* What has a say in the content; each may be NULL. */
struct intake_reader {
    /* Gets the first INTAKE_MEMORY_MAX bytes, or all there is, once; may rewrite them. */
    struct fault (*prepare)(void *arg, struct buf *content);
    /* Gets all of the content as it will be stored, in order and in pieces; on another thread when
     * there is much of it. */
    void (*read)(void *arg, struct str piece);
    /* After all has been read: refuses the message, or appends what comes on top of it. */
    struct fault (*judge)(void *arg, struct buf *top);
    void *arg;
    /* At last: refuses the message, or changes what was taken in and what comes on top. */
    struct fault (*edit)(void *edit_arg, struct intake *i, struct buf *top);
    void *edit_arg;
};

typedef struct fault intake_accept(void *arg, struct buf *content, uint64_t file_size);

struct intake {
    const struct intake_place *place; /* NULL when nothing is being taken in */
    void *owner;
    atomic_int_least64_t *in_flight; /* bytes of all intakes */
    int64_t in_flight_limit;
    uint64_t id;
    struct buf content; /* all of it, or what the file does not have yet */
    struct buf header;  /* the first bytes of content that is in a file */
    struct file *file;
    uint64_t file_start; /* where it begins in the file; above it is room */
    uint64_t file_size;  /* of the content in it */
    int64_t counted;     /* our part of *in_flight */
    struct intake_reader reader;
    bool is_prepared;
    struct fault fault; /* the first one; content is dropped from then on */
};

/*
 * Starts a message whose file would have that id; expected_bytes is a hint. Borrows the owner and the
 * counter.
 */
void intake_start(struct intake *i, const struct intake_place *place, void *owner, uint64_t id,
                  atomic_int_least64_t *in_flight, int64_t in_flight_limit,
                  uint64_t expected_bytes);

static inline bool intake_is_open(const struct intake *i)
{
    return i->place != NULL;
}

/* Adds content; a fault is kept for intake_finish. May suspend the task. */
void intake_add(struct intake *i, struct str content);

/* The header section, or as much of it as INTAKE_HEADER_MAX holds. */
struct str intake_header(const struct intake *i);

uint64_t intake_size(const struct intake *i);

/*
 * Hands the content over: accept gets it in memory, to be taken, or NULL and the size of what is in
 * the synced file. When accept returns a fault the file is removed. The intake is empty afterwards,
 * whatever came of it.
 */
struct fault intake_finish(struct intake *i, intake_accept *accept, void *arg);

/* Drops what was taken in; an intake that is empty or was never started (zeroed) is left alone. */
void intake_drop(struct intake *i);

#endif
