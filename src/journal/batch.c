/* SPDX-License-Identifier: ISC */
/*
 * batch.c - from submitted records to bytes in a segment
 *
 * Records are taken in the order of submission and copied, with the headers that are made here, to
 * pages from which they go to the disk past the system's cache.
 */
#include "journal/batch.h"

#include "os/clock.h"
#include "os/memory.h"

#include <assert.h>
#include <stdlib.h>

enum {
    BATCH_BYTES_MAX = 4 << 20, /* a larger one makes its records wait longer than they gain */
    STAGE_BYTES = 1 << 20
};

static const unsigned char zeros[FORMAT_PAGE];

int64_t batch_pending(const struct journal *j)
{
    return atomic_load(&j->incoming_count) + j->waiting_count;
}

/* Moves what was pushed, newest first, to the end of the queue, oldest first. */
static void take_incoming(struct journal *j)
{
    struct journal_append *newest = atomic_exchange(&j->incoming, NULL);
    struct append_queue taken = {NULL, newest, 0};
    while (newest) {
        struct journal_append *older = newest->next;
        newest->next = taken.first;
        taken.first = newest;
        taken.count++;
        newest = older;
    }
    /* Below zero for a moment when one of them is not counted up yet. */
    atomic_fetch_sub(&j->incoming_count, (int64_t)taken.count);
    append_queue_move(&j->waiting, &taken);
}

static struct journal_append *pop_waiting(struct journal *j)
{
    struct journal_append *a = j->waiting.first;
    j->waiting.first = a->next;
    if (!j->waiting.first)
        j->waiting.last = NULL;
    j->waiting.count--;
    return a;
}

static size_t record_bytes(const struct journal_append *a)
{
    return FORMAT_RECORD_HEADER + (size_t)a->length;
}

static void refuse(struct committer *c, struct journal_append *a, const struct fault *fault)
{
    a->result = *fault;
    append_queue_push(&c->refused, a);
}

static bool has_room(const struct journal *j, size_t bytes)
{
    return j->active && j->active_offset + bytes <= j->active->format.size;
}

static void collect(struct journal *j, struct committer *c)
{
    while (j->waiting.first) {
        size_t bytes = record_bytes(j->waiting.first);
        if (j->waiting.first->length > journal_payload_max(j)) {
            struct fault fault = fault_make(552, FAULT_STATUS(5, 3, 4),
                                            "a record of the journal takes at most %zu bytes",
                                            journal_payload_max(j));
            refuse(c, pop_waiting(j), &fault);
            continue;
        }
        if (c->records.count > 0 &&
            (!has_room(j, c->bytes + bytes) || c->bytes + bytes > BATCH_BYTES_MAX))
            return;
        if (!has_room(j, c->bytes + bytes)) {
            struct fault fault = commit_next_segment(j, c->index);
            if (fault.kind) {
                while (j->waiting.first)
                    refuse(c, pop_waiting(j), &fault);
                return;
            }
        }
        append_queue_push(&c->records, pop_waiting(j));
        c->bytes += bytes;
    }
}

/* Gives the records of the batch their numbers, places and headers. */
static void seal(struct journal *j, struct committer *c)
{
    mutex_lock(&j->mutex);
    uint64_t settled = j->settled;
    mutex_unlock(&j->mutex);
    c->segment = j->active;
    c->number = j->next_batch++;
    c->position = j->active->format.base + j->active_offset;
    uint64_t position = c->position;
    uint64_t open_batches = c->number - 1 - settled;
    assert(open_batches < SEGMENT_COMMITTERS);
    for (struct journal_append *a = c->records.first; a; a = a->next) {
        struct format_record header = {
            .sequence = j->next_sequence++,
            .batch = c->number,
            .length = a->length,
            .payload_crc = a->payload_crc,
            .type = a->type,
            .flags = (uint8_t)((a == c->records.first ? FORMAT_IS_FIRST : 0) |
                               (a == c->records.last ? FORMAT_IS_LAST : 0)),
            .open_batches = (uint8_t)open_batches,
        };
        format_put_record(&c->segment->format, &header, a->header);
        a->position = position;
        position += record_bytes(a);
    }
    c->end = position;
    assert(c->end - c->position == c->bytes);
    j->active_offset = format_page_up(j->active_offset + c->bytes);
    assert(j->active_offset <= c->segment->format.size);
}

void batch_form(struct journal *j, struct committer *c)
{
    assert(c->records.count == 0 && c->refused.count == 0);
    c->bytes = 0;
    take_incoming(j);
    collect(j, c);
    if (c->records.count > 0)
        seal(j, c);
}

struct fault batch_sync(struct journal *j, struct file *f)
{
    struct fault fault = j->options.is_sync_off ? FINE : file_sync(f);
    if (j->options.extra_sync_delay_us > 0)
        clock_sleep_us(j->options.extra_sync_delay_us);
    return fault;
}

/* Bytes on their way to the disk. */
struct stage {
    unsigned char *memory;
    size_t used;
    struct file *file;
    int64_t offset; /* in the file, of the memory's first byte */
    struct fault fault;
};

static void flush(struct stage *s)
{
    struct iovec part = {s->memory, s->used};
    s->fault = file_write_at(s->file, &part, 1, s->offset);
    s->offset += (int64_t)s->used;
    s->used = 0;
}

static void put(struct stage *s, const void *memory, size_t size_bytes)
{
    const char *from = memory;
    while (size_bytes > 0 && !s->fault.kind) {
        size_t room = STAGE_BYTES - s->used, n = size_bytes < room ? size_bytes : room;
        memcpy(s->memory + s->used, from, n);
        s->used += n;
        from += n;
        size_bytes -= n;
        if (s->used == STAGE_BYTES)
            flush(s);
    }
}

struct fault batch_write(struct journal *j, struct committer *c)
{
    if (!c->stage)
        c->stage = memory_pages(STAGE_BYTES);
    struct stage s = {.memory = c->stage,
                      .file = c->segment->file[c->index],
                      .offset = (int64_t)(c->position - c->segment->format.base)};
    for (struct journal_append *a = c->records.first; a; a = a->next) {
        put(&s, a->header, sizeof a->header);
        for (size_t i = 0; i < a->part_count; i++)
            put(&s, a->parts[i].iov_base, a->parts[i].iov_len);
    }
    put(&s, zeros, (size_t)format_page_up(c->bytes) - c->bytes);
    if (s.used > 0 && !s.fault.kind)
        flush(&s);
    return s.fault.kind ? s.fault : batch_sync(j, s.file);
}
