/* SPDX-License-Identifier: ISC */
/*
 * checkpoint.c - making mailboxes durable, and only then letting the journal go
 *
 * What has been applied by the moment of looking is synced with the file system; so the records
 * before the oldest one that was not applied are not needed any more, nor are the spool files that
 * only they named.
 *
 * A sync that fails is never made good by the next one: the system counts as written what it could not
 * write. So the journal keeps everything since the sync before, and a store that is opened anew writes
 * it again.
 */
#include "store/internal.h"

#include "os/clock.h"

enum { PAUSE_NS = 1000000000 };

static void discard_spooled(struct store *s, uint64_t bound)
{
    mutex_lock(&s->mutex);
    size_t kept = 0;
    for (size_t i = 0; i < s->discard_count; i++) {
        struct spool_discard d = s->discard[i];
        if (d.position >= bound) {
            s->discard[kept++] = d;
            continue;
        }
        /* A file that cannot be removed now is found and removed at the next start. */
        (void)store_spool_discard(s, d.id);
    }
    s->discard_count = kept;
    mutex_unlock(&s->mutex);
}

static struct fault sync_applied(struct store *s)
{
    if (s->is_in_doubt)
        return fault_make(451, FAULT_STATUS(4, 3, 0), "%s is in doubt", s->directory);
    struct fault f = file_sync_system(s->system);
    if (!f.kind)
        return FINE;
    s->is_in_doubt = true;
    store_alarm(s, &f);
    if (s->options.give_up)
        s->options.give_up(s->options.journal.alarm_arg, &f);
    return f;
}

/* With the mutex, which is let go meanwhile. */
static struct fault checkpoint(struct store *s)
{
    uint64_t bound = s->seen_position + 1;
    if (!list_is_empty(&s->in_order))
        bound = LIST_ENTRY(s->in_order.next, struct entry, in_order)->position;
    s->checkpoint_position = s->seen_position;
    s->is_checkpoint_wanted = false;
    mutex_unlock(&s->mutex);
    struct fault f = sync_applied(s);
    if (!f.kind) {
        journal_trim(s->journal, bound);
        discard_spooled(s, bound);
    }
    mutex_lock(&s->mutex);
    s->checkpoint_fault = f;
    s->statistics.checkpoints++;
    cond_broadcast(&s->changed);
    return f;
}

void store_keep(void *arg)
{
    struct store *s = arg;
    mutex_lock(&s->mutex);
    int64_t next_ns = clock_now_ns() + s->options.checkpoint_ms * 1000000;
    while (!s->is_keeper_ending) {
        if (!s->is_checkpoint_wanted && s->seen_position == s->checkpoint_position) {
            cond_wait(&s->keeper_work, &s->mutex);
            continue;
        }
        if (!s->is_checkpoint_wanted && clock_now_ns() < next_ns) {
            cond_wait_until(&s->keeper_work, &s->mutex, next_ns);
            continue;
        }
        struct fault f = checkpoint(s);
        next_ns = clock_now_ns() + (f.kind ? PAUSE_NS : s->options.checkpoint_ms * 1000000);
    }
    (void)checkpoint(s);
    mutex_unlock(&s->mutex);
}

struct fault store_checkpoint(struct store *s)
{
    mutex_lock(&s->mutex);
    /* One that is going on may have begun before the caller's reason. */
    int64_t enough = s->statistics.checkpoints + 2;
    while (s->statistics.checkpoints < enough) {
        s->is_checkpoint_wanted = true;
        cond_signal(&s->keeper_work);
        cond_wait(&s->changed, &s->mutex);
    }
    struct fault f = s->checkpoint_fault;
    mutex_unlock(&s->mutex);
    return f;
}
