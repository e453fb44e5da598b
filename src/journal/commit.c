/* SPDX-License-Identifier: ISC */
/*
 * commit.c - the two threads that make records durable
 *
 * Each of them in turn forms a batch, writes and syncs it, waits until the batch before has
 * settled, and completes the records. Forming is exclusive; writing and syncing overlap.
 *
 * When to form: with nothing in flight at once, so that a lone record waits for nobody. A second
 * batch beside one in flight is worth its sync only when it carries its share, so it waits until
 * three eighths of the crowd are there: the crowd is how many records were lately on their way at
 * the same time (in flight or pending), half of which is the best a batch can get with two in
 * flight. The end of a flight lifts the wait, except that for half a sync's time after a batch of a
 * crowd has settled its submitters are given the chance to come back with their next records.
 */
#include "journal/batch.h"

#include "journal/crc32c.h"
#include "os/clock.h"
#include "os/memory.h"

#include <assert.h>
#include <stdlib.h>

enum { SPARE_TRIES = 3 };

/* How many records must be pending to form a batch now. *deadline_ns is when that changes. */
static int64_t records_needed(const struct journal *j, int64_t *deadline_ns)
{
    *deadline_ns = INT64_MAX;
    if (j->is_forming || j->is_failed)
        return INT64_MAX;
    int64_t share = j->crowd * 3 / 8;
    if (share <= 1 || j->is_closing)
        return 1;
    if (j->in_flight > 0)
        return share;
    int64_t patience_ends = j->settle_ns + j->sync_ns / 2;
    if (clock_now_ns() >= patience_ends)
        return 1;
    *deadline_ns = patience_ends;
    return share;
}

/* Tells submitters at how many records to wake a committer: what waits already counts. */
static void set_wake_at(struct journal *j, int64_t needed)
{
    if (needed < INT64_MAX)
        needed -= j->waiting_count;
    atomic_store(&j->wake_at, needed);
}

/* Waits until a batch is to be formed (true) or all work is done for good (false). */
static bool wait_for_work(struct journal *j)
{
    for (;;) {
        int64_t deadline_ns;
        int64_t needed = records_needed(j, &deadline_ns);
        set_wake_at(j, needed);
        /* Looked at after wake_at was set: who submits later sees it and wakes us. */
        if (batch_pending(j) >= needed)
            return true;
        if (j->is_closing && !j->is_forming && !j->is_failed && batch_pending(j) == 0)
            return false;
        if (deadline_ns == INT64_MAX)
            cond_wait(&j->work, &j->mutex);
        else
            cond_wait_until(&j->work, &j->mutex, deadline_ns);
    }
}

/* Sets wake_at for a committer that sleeps while this one is busy, or wakes it. */
static void arm(struct journal *j)
{
    int64_t deadline_ns;
    int64_t needed = records_needed(j, &deadline_ns);
    set_wake_at(j, needed);
    if (batch_pending(j) >= needed)
        cond_signal(&j->work);
}

static void watch_crowd(struct journal *j)
{
    int64_t seen = j->in_flight_records + batch_pending(j);
    int64_t faded = j->crowd - (j->crowd + 3) / 4;
    j->crowd = seen > faded ? seen : faded;
}

/* The next spare, waiting for the keeper; NULL and a fault when it cannot make one. */
static struct segment *take_spare(struct journal *j, struct fault *fault)
{
    uint64_t ticket = ++j->supply_wanted;
    while (!j->spare.first && j->supply_tried < ticket) {
        cond_signal(&j->keep);
        cond_wait(&j->supply, &j->mutex);
    }
    struct segment *s = segment_list_pop(&j->spare);
    if (!s)
        *fault = j->supply_fault;
    cond_signal(&j->keep);
    return s;
}

/* The first batch of a segment that follows a failure or a start. Without the mutex. */
static struct fault write_void(struct journal *j, struct segment *s, unsigned committer,
                               uint64_t cut)
{
    unsigned char *page = memory_zero_pages(FORMAT_PAGE);
    unsigned char *payload = page + FORMAT_RECORD_HEADER;
    format_put_position(cut, payload);
    struct format_record header = {
        .sequence = j->next_sequence,
        .batch = j->next_batch,
        .length = FORMAT_VOID_PAYLOAD,
        .payload_crc = crc32c(0, payload, FORMAT_VOID_PAYLOAD),
        .type = FORMAT_VOID,
        .flags = FORMAT_IS_FIRST | FORMAT_IS_LAST,
    };
    format_put_record(&s->format, &header, page);
    struct iovec part = {page, FORMAT_PAGE};
    struct fault fault = file_write_at(s->file[committer], &part, 1, FORMAT_PAGE);
    free(page);
    return fault.kind ? fault : batch_sync(j, s->file[committer]);
}

/* Says in the new segment what is void; with the mutex, which it gives up for the I/O. */
static struct fault open_with_void(struct journal *j, struct segment *s, unsigned committer)
{
    assert(j->in_flight == 0);
    uint64_t cut = j->statistics.end_position;
    mutex_unlock(&j->mutex);
    struct fault fault = write_void(j, s, committer, cut);
    if (fault.kind)
        journal_alarm(j, &fault);
    mutex_lock(&j->mutex);
    j->settled = j->next_batch++;
    j->active_offset += FORMAT_PAGE;
    if (fault.kind) {
        s->is_failed = true;
        j->active = NULL;
        j->statistics.failures++;
        return fault;
    }
    j->statistics.bytes_written += FORMAT_PAGE;
    j->statistics.syncs++;
    j->has_void = false;
    return FINE;
}

struct fault commit_next_segment(struct journal *j, unsigned committer)
{
    struct fault fault = FINE;
    mutex_lock(&j->mutex);
    for (int i = 0; i < SPARE_TRIES; i++) {
        struct segment *s = take_spare(j, &fault);
        if (!s)
            break;
        segment_list_push(&j->live, s);
        j->active = s;
        j->active_offset = FORMAT_PAGE;
        fault = j->has_void ? open_with_void(j, s, committer) : FINE;
        if (!fault.kind)
            break;
    }
    mutex_unlock(&j->mutex);
    return fault;
}

/*
 * After a failure, once nothing is in flight: goes to a fresh segment that says that the refused
 * records are void, and only then tells their submitters. With the mutex.
 */
static void recover(struct journal *j, unsigned committer)
{
    if (!j->is_failed || j->in_flight > 0 || j->is_forming)
        return;
    j->active = NULL;
    j->has_void = true;
    j->is_forming = true;
    mutex_unlock(&j->mutex);
    journal_alarm(j, &j->refusal);
    /* Without a segment the next record tries again and is refused with the reason. */
    (void)commit_next_segment(j, committer);
    struct append_queue refused = {NULL, NULL, 0};
    mutex_lock(&j->mutex);
    append_queue_move(&refused, &j->refused);
    struct fault refusal = j->refusal;
    mutex_unlock(&j->mutex);
    journal_complete(&refused, &refusal);
    mutex_lock(&j->mutex);
    j->is_forming = false;
    j->is_failed = false;
}

static void unpin(struct journal *j, struct segment *s)
{
    s->pins--;
    if (s->pins == 0 && j->trimmed.first)
        cond_signal(&j->keep);
}

/* Counts an acknowledged batch. What the disk got is never less than what was promised. */
static void count_batch(struct journal *j, const struct committer *c)
{
    struct journal_statistics *st = &j->statistics;
    st->records += (int64_t)c->records.count;
    st->bytes_acknowledged += (int64_t)c->bytes;
    st->bytes_written += (int64_t)format_page_up(c->bytes);
    st->batches++;
    st->syncs++;
    assert(st->bytes_written >= st->bytes_acknowledged);
    assert(c->end > st->end_position);
    st->end_position = c->end;
}

/* Acknowledges or refuses a batch whose write has ended, in the order of the log. */
static void settle(struct journal *j, struct committer *c, const struct fault *fault)
{
    while (j->settled + 1 != c->number)
        cond_wait(&j->turn, &j->mutex);
    if (fault->kind && !j->is_failed) {
        j->is_failed = true;
        j->refusal = *fault;
        j->statistics.failures++;
    }
    j->in_flight--;
    j->in_flight_records -= (int64_t)c->records.count;
    j->settle_ns = clock_now_ns();
    if (j->is_failed) {
        /* The one that failed, and those behind it in the log whatever became of them. */
        c->segment->is_failed = true;
        append_queue_move(&j->refused, &c->records);
    } else {
        count_batch(j, c);
        arm(j);
        mutex_unlock(&j->mutex);
        const struct fault fine = FINE;
        journal_complete(&c->records, &fine);
        mutex_lock(&j->mutex);
    }
    unpin(j, c->segment);
    j->settled = c->number;
    cond_broadcast(&j->turn);
    recover(j, c->index);
}

/* One batch from forming to completion; with the mutex. */
static void commit_batch(struct journal *j, struct committer *c)
{
    j->is_forming = true;
    mutex_unlock(&j->mutex);
    batch_form(j, c);
    mutex_lock(&j->mutex);
    bool has_batch = c->records.count > 0;
    j->waiting_count = (int64_t)j->waiting.count;
    j->is_forming = false;
    if (has_batch) {
        j->in_flight++;
        j->in_flight_records += (int64_t)c->records.count;
        c->segment->pins++;
        watch_crowd(j);
    }
    arm(j);
    mutex_unlock(&j->mutex);
    journal_complete(&c->refused, NULL);
    struct fault fault = FINE;
    int64_t begin_ns = clock_now_ns();
    if (has_batch)
        fault = batch_write(j, c);
    int64_t taken_ns = clock_now_ns() - begin_ns;
    mutex_lock(&j->mutex);
    if (has_batch) {
        j->sync_ns += (taken_ns - j->sync_ns) / 8;
        settle(j, c, &fault);
    } else {
        recover(j, c->index);
    }
}

void commit_run(void *arg)
{
    struct committer *c = arg;
    struct journal *j = c->journal;
    mutex_lock(&j->mutex);
    while (wait_for_work(j))
        commit_batch(j, c);
    cond_broadcast(&j->work); /* the other one may wait for the end of what this one did */
    mutex_unlock(&j->mutex);
}
