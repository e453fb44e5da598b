/* SPDX-License-Identifier: ISC */
/*
 * body.c - the content of messages: in memory, in the journal, in files
 */
#include <stdio.h>

#include "queue/internal.h"

enum { PATH_MAX_BYTES = 1024 };

struct fault queue_body_file(struct queue *q, uint64_t id, struct file **out)
{
    char path[PATH_MAX_BYTES];
    if (!cold_body_path(q->cold, id, path, sizeof path))
        return fault_make(451, FAULT_STATUS(4, 3, 0), "the spool's path is too long");
    return file_open(path, FILE_CREATE, out);
}

struct fault queue_body_sync(struct queue *q, uint64_t id, struct file *file)
{
    char path[PATH_MAX_BYTES];
    struct fault f = file_sync(file);
    if (f.kind)
        return f;
    snprintf(path, sizeof path, "%s/bodies/%02x", q->options.directory, (unsigned)(id & 255));
    return file_sync_directory(path);
}

struct fault queue_body_discard(struct queue *q, uint64_t id)
{
    char path[PATH_MAX_BYTES];
    if (!cold_body_path(q->cold, id, path, sizeof path))
        return FINE;
    return file_remove(path);
}

void queue_drop_body(struct queue *q, struct queue_message *m)
{
    if (m->body)
        atomic_fetch_sub(&q->body_bytes, (int_least64_t)m->body_size);
    message_drop_body(m);
    if (m->is_cold)
        m->body_kind = QUEUE_BODY_FILE;
}

/* The body is the last bytes of its file: room for fields that come on top of it may be left there. */
static struct fault read_file(struct file *file, const char *path, size_t body_size, size_t offset,
                              size_t size, struct buf *out)
{
    int64_t all;
    size_t got = 0;
    struct fault f = file_size(file, &all);
    if (!f.kind && all >= (int64_t)body_size)
        f = file_read_at(file, out->data + out->used, size,
                         all - (int64_t)body_size + (int64_t)offset, &got);
    if (!f.kind && got != size)
        f = fault_make(451, FAULT_STATUS(4, 3, 0), "%s is too short", path);
    out->used += got;
    return f;
}

struct fault queue_read_body(struct queue *q, const struct queue_message *m, size_t offset,
                             size_t size, struct buf *out)
{
    if (offset >= m->body_size)
        return FINE;
    if (size > m->body_size - offset)
        size = m->body_size - offset;
    if (m->body_kind == QUEUE_BODY_MEMORY)
        return buf_append(out, str_make(m->body + offset, size))
                   ? FINE
                   : fault_make(451, FAULT_STATUS(4, 3, 0), "the buffer is too small");
    if (m->body_kind == QUEUE_BODY_JOURNAL) {
        struct fault f =
            journal_read(q->journal, m->body_position, m->body_offset + offset, size, out);
        if (!f.kind || m->body_kind == QUEUE_BODY_JOURNAL)
            return f; /* else a checkpoint has moved it just now */
    }
    char path[PATH_MAX_BYTES];
    struct file *file = NULL;
    if (!cold_body_path(q->cold, m->id, path, sizeof path) || !buf_reserve(out, size))
        return fault_make(451, FAULT_STATUS(4, 3, 0), "the buffer is too small");
    struct fault f = file_open(path, FILE_READ, &file);
    if (!f.kind)
        f = read_file(file, path, m->body_size, offset, size, out);
    file_close(file);
    return f;
}
