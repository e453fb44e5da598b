/* SPDX-License-Identifier: ISC */
/*
 * journal.c - opening, closing, submitting, trimming and reading back
 *
 * Submitting is a push to a lock-free stack; the mutex is taken only to wake a committer that may
 * sleep.
 */
#include "journal/internal.h"

#include "base/num.h"
#include "journal/crc32c.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void journal_alarm(struct journal *j, const struct fault *fault)
{
    if (j->options.alarm)
        j->options.alarm(j->options.alarm_arg, fault);
}

static struct journal *allocate(const struct journal_options *options)
{
    struct journal *j = calloc(1, sizeof *j);
    if (!j || asprintf(&j->directory, "%s", options->directory) < 0)
        abort();
    j->options = *options;
    j->options.directory = j->directory;
    if (j->options.spare_segments_max <= j->options.spare_segments)
        j->options.spare_segments_max = j->options.spare_segments + 1;
    atomic_store(&j->wake_at, INT64_MAX);
    mutex_init(&j->mutex);
    cond_init(&j->work);
    cond_init(&j->turn);
    cond_init(&j->keep);
    cond_init(&j->supply);
    for (unsigned i = 0; i < SEGMENT_COMMITTERS; i++) {
        j->committer[i].journal = j;
        j->committer[i].index = i;
    }
    return j;
}

static void free_list(struct segment_list *l)
{
    struct segment *s;
    while ((s = segment_list_pop(l)) != NULL)
        segment_free(s);
}

static void release(struct journal *j)
{
    free_list(&j->live);
    free_list(&j->trimmed);
    free_list(&j->spare);
    for (unsigned i = 0; i < SEGMENT_COMMITTERS; i++)
        free(j->committer[i].stage);
    cond_destroy(&j->supply);
    cond_destroy(&j->keep);
    cond_destroy(&j->turn);
    cond_destroy(&j->work);
    mutex_destroy(&j->mutex);
    file_close(j->lock); /* last: whoever gets the lock finds everything written */
    free(j->directory);
    free(j);
}

/* Who holds the lock, from the file that it wrote. */
static struct fault locked_fault(const char *directory, struct file *lock)
{
    char pid[NUM_DECIMAL_MAX];
    size_t got;
    uint64_t number;
    struct fault fault = file_read_at(lock, pid, sizeof pid, 0, &got);
    if (!fault.kind && num_parse(str_trim(str_make(pid, got)), INT32_MAX, &number))
        return fault_make(451, FAULT_STATUS(4, 3, 0), "the journal %s is in use by process %llu",
                          directory, (unsigned long long)number);
    return fault_make(451, FAULT_STATUS(4, 3, 0), "the journal %s is in use", directory);
}

static struct fault take_lock(struct journal *j)
{
    char *path;
    if (asprintf(&path, "%s/lock", j->directory) < 0)
        abort();
    struct fault fault = file_open(path, FILE_CREATE, &j->lock);
    free(path);
    if (fault.kind)
        return fault;
    if (!file_try_lock(j->lock))
        return locked_fault(j->directory, j->lock);
    char pid[NUM_DECIMAL_MAX + 1];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    struct iovec part = {pid, (size_t)n};
    /* For people only: a full disk must not keep the journal from being read. */
    if (!file_truncate(j->lock, 0).kind)
        (void)file_write_at(j->lock, &part, 1, 0);
    return FINE;
}

/*
 * Lets go of segments from which nothing was delivered. Those that begin with a good record, maybe
 * a void that others need, only when the void in the new segment is durable.
 */
static void trim_empty(struct journal *j, bool is_void_durable)
{
    struct segment_list kept = {NULL, NULL, 0};
    struct segment *s;
    while ((s = segment_list_pop(&j->live)) != NULL) {
        bool is_kept = s == j->active || s->has_records || (s->has_head && !is_void_durable);
        segment_list_push(is_kept ? &kept : &j->trimmed, s);
    }
    j->live = kept;
}

static void stop_keeper(struct journal *j)
{
    mutex_lock(&j->mutex);
    j->is_keeper_closing = true;
    cond_broadcast(&j->keep);
    mutex_unlock(&j->mutex);
    thread_join(&j->keeper);
}

static void start_committers(struct journal *j)
{
    for (unsigned i = 0; i < SEGMENT_COMMITTERS; i++)
        thread_start(&j->committer[i].thread, "journal commit", commit_run, &j->committer[i]);
}

/*
 * The log goes on in a fresh segment, which says where the old one ends. On a full disk there is
 * none yet: records are refused until there is, and what is there can be read, sent and removed.
 */
static struct fault start(struct journal *j)
{
    trim_empty(j, false);
    thread_start(&j->keeper, "journal keeper", keeper_run, j);
    j->has_void = true;
    struct fault fault = commit_next_segment(j, 0);
    if (fault.kind && fault.reply != 452) {
        stop_keeper(j);
        return fault;
    }
    if (!fault.kind) {
        mutex_lock(&j->mutex);
        trim_empty(j, true);
        cond_signal(&j->keep);
        mutex_unlock(&j->mutex);
    }
    start_committers(j);
    return FINE;
}

struct fault journal_open(const struct journal_options *options,
                          const struct journal_replay *replay, struct journal **out)
{
    assert(options->segment_bytes >= 4 * FORMAT_PAGE && options->segment_bytes % FORMAT_PAGE == 0 &&
           options->segment_bytes <= UINT32_MAX);
    assert(options->spare_segments >= 1);
    *out = NULL;
    struct journal *j = allocate(options);
    struct fault fault = file_establish_directory(j->directory, NULL, 0);
    if (!fault.kind)
        fault = take_lock(j);
    if (!fault.kind)
        fault = replay_run(j, replay);
    if (!fault.kind)
        fault = start(j);
    if (fault.kind)
        release(j);
    else
        *out = j;
    return fault;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    journal_end_turn(j);
    mutex_lock(&j->mutex);
    j->is_closing = true;
    cond_broadcast(&j->work);
    mutex_unlock(&j->mutex);
    for (unsigned i = 0; i < SEGMENT_COMMITTERS; i++)
        thread_join(&j->committer[i].thread);
    assert(!atomic_load(&j->incoming) && j->waiting.count == 0 && j->in_flight == 0);
    stop_keeper(j);
    release(j);
}

size_t journal_payload_max(const struct journal *j)
{
    /* Beside the header of the segment and a void. */
    return (size_t)j->options.segment_bytes - 2 * FORMAT_PAGE - FORMAT_RECORD_HEADER;
}

void journal_submit(struct journal *j, struct journal_append *append)
{
    assert(append->type < FORMAT_VOID);
    size_t length = 0;
    uint32_t crc = 0;
    for (size_t i = 0; i < append->part_count; i++) {
        length = num_add_saturating(length, append->parts[i].iov_len);
        crc = crc32c(crc, append->parts[i].iov_base, append->parts[i].iov_len);
    }
    append->length = length < UINT32_MAX ? (uint32_t)length : UINT32_MAX;
    append->payload_crc = crc;
    journal_hand_over(j, append);
}

void journal_trim(struct journal *j, uint64_t position)
{
    mutex_lock(&j->mutex);
    bool is_any = false;
    while (j->live.first && j->live.first->next && j->live.first->next->format.base <= position) {
        segment_list_push(&j->trimmed, segment_list_pop(&j->live));
        is_any = true;
    }
    if (is_any)
        cond_signal(&j->keep);
    mutex_unlock(&j->mutex);
}

static struct fault no_record(const struct journal *j, uint64_t position)
{
    return fault_make(451, FAULT_STATUS(4, 3, 0), "the journal %s has no good record at %llu",
                      j->directory, (unsigned long long)position);
}

static struct fault read_payload(const struct journal *j, struct segment *s, uint64_t position,
                                 size_t offset, size_t length, struct buf *out)
{
    int64_t at = (int64_t)(position - s->format.base);
    unsigned char header[FORMAT_RECORD_HEADER];
    struct format_record record;
    size_t got;
    struct fault fault = file_read_at(s->reader, header, sizeof header, at, &got);
    if (fault.kind)
        return fault;
    if (got < sizeof header || !format_get_record(&s->format, header, &record))
        return no_record(j, position);
    if (offset > record.length)
        offset = record.length;
    if (length > record.length - offset)
        length = record.length - offset;
    if (!buf_reserve(out, length))
        return fault_make(451, FAULT_STATUS(4, 3, 0), "a record of %zu bytes is too large here",
                          length);
    fault = file_read_at(s->reader, out->data + out->used, length,
                         at + FORMAT_RECORD_HEADER + (int64_t)offset, &got);
    if (fault.kind)
        return fault;
    if (got < length ||
        (length == record.length && crc32c(0, out->data + out->used, got) != record.payload_crc))
        return no_record(j, position);
    out->used += length;
    return FINE;
}

struct fault journal_read(struct journal *j, uint64_t position, size_t offset, size_t length,
                          struct buf *out)
{
    mutex_lock(&j->mutex);
    struct segment *s = NULL;
    if (position < j->statistics.end_position)
        for (s = j->live.first; s && position >= segment_end(s);)
            s = s->next;
    if (!s || position < s->format.base || position >= s->valid_end) {
        mutex_unlock(&j->mutex);
        return no_record(j, position);
    }
    s->pins++;
    mutex_unlock(&j->mutex);
    struct fault fault = read_payload(j, s, position, offset, length, out);
    mutex_lock(&j->mutex);
    s->pins--;
    if (s->pins == 0 && j->trimmed.first)
        cond_signal(&j->keep);
    mutex_unlock(&j->mutex);
    return fault;
}

void journal_statistics(struct journal *j, struct journal_statistics *out)
{
    mutex_lock(&j->mutex);
    *out = j->statistics;
    out->segments = j->live.count + j->trimmed.count;
    out->spares = j->spare.count;
    out->oldest_position = j->live.first ? j->live.first->format.base : out->end_position;
    mutex_unlock(&j->mutex);
    int64_t total_bytes;
    (void)file_space(j->directory, &out->free_bytes, &total_bytes); /* 0 when unknown */
}
