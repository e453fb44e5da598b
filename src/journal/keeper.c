/* SPDX-License-Identifier: ISC */
/*
 * keeper.c - segments ahead of need
 *
 * A background thread keeps spares ready: it gives trimmed segments a new header, zeroes new files
 * when there are none, and removes what is too much or failed. A full disk is tried again at each
 * request and each second, so that the journal recovers by itself.
 *
 * Segments go in the order of the log, each when the one before is durably gone: an older one that came
 * back alone would bring records of which later ones say that they are done or refused.
 */
#include "journal/internal.h"

#include "os/clock.h"
#include "os/random.h"

enum { RETRY_NS = 1000000000 };

static bool is_short(const struct journal *j)
{
    return j->spare.count < (int64_t)j->options.spare_segments;
}

/* The next use of a file. With the mutex. */
static struct format_segment next_format(struct journal *j)
{
    struct format_segment format = {
        .generation = j->next_generation++,
        .base = j->next_base,
        .size = (uint64_t)j->options.segment_bytes,
        .salt = random_u64(),
    };
    j->next_base += format.size;
    return format;
}

/* Recycles or removes the oldest trimmed segment. With the mutex, which it gives up for the I/O. */
static struct fault reuse(struct journal *j, struct segment *s)
{
    bool is_wanted = is_short(j) || j->spare.count < (int64_t)j->options.spare_segments_max;
    bool is_kept =
        is_wanted && !s->is_failed && s->format.size == (uint64_t)j->options.segment_bytes;
    struct format_segment format = is_kept ? next_format(j) : s->format;
    struct fault fault = FINE;
    mutex_unlock(&j->mutex);
    if (is_kept)
        fault = segment_recycle(s, &format);
    /* A header that could not be written is not tried again: the file goes. */
    struct fault removal = FINE;
    if (fault.kind || !is_kept)
        removal = segment_remove(j->directory, s);
    mutex_lock(&j->mutex);
    if (removal.kind) {
        s->is_failed = true;
        segment_list_push_front(&j->trimmed, s);
        j->stuck_until_ns = clock_now_ns() + RETRY_NS;
    } else if (is_kept && !fault.kind) {
        segment_list_push(&j->spare, s);
    }
    return fault.kind ? fault : removal;
}

static struct fault make(struct journal *j)
{
    struct format_segment format = next_format(j);
    uint32_t slot = j->next_slot++;
    struct segment *s;
    mutex_unlock(&j->mutex);
    struct fault fault = segment_make(j->directory, slot, &format, &s);
    mutex_lock(&j->mutex);
    if (!fault.kind) {
        segment_list_push(&j->spare, s);
        j->statistics.segments_made++;
    }
    return fault;
}

bool keeper_step(struct journal *j, struct fault *fault)
{
    uint64_t wanted = j->supply_wanted;
    struct segment *oldest = j->trimmed.first;
    if (oldest && oldest->pins == 0 && clock_now_ns() >= j->stuck_until_ns) {
        *fault = reuse(j, segment_list_pop(&j->trimmed));
    } else if (is_short(j)) {
        *fault = make(j);
        if (fault->kind) {
            j->supply_tried = wanted;
            j->supply_fault = *fault;
        }
    } else {
        return false;
    }
    cond_broadcast(&j->supply);
    return true;
}

static void rest(struct journal *j)
{
    if (j->trimmed.first && clock_now_ns() < j->stuck_until_ns)
        cond_wait_until(&j->keep, &j->mutex, j->stuck_until_ns);
    else
        cond_wait(&j->keep, &j->mutex);
}

void keeper_run(void *arg)
{
    struct journal *j = arg;
    bool is_alarmed = false;
    mutex_lock(&j->mutex);
    while (!j->is_keeper_closing) {
        struct fault fault = FINE;
        if (!keeper_step(j, &fault)) {
            is_alarmed = false;
            rest(j);
            continue;
        }
        if (!fault.kind)
            continue;
        if (!is_alarmed) {
            mutex_unlock(&j->mutex);
            journal_alarm(j, &fault);
            mutex_lock(&j->mutex);
            is_alarmed = true;
        }
        if (!j->is_keeper_closing && j->supply_wanted == j->supply_tried)
            cond_wait_until(&j->keep, &j->mutex, clock_now_ns() + RETRY_NS);
    }
    mutex_unlock(&j->mutex);
}
