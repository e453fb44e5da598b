/* SPDX-License-Identifier: ISC */
/*
 * rouse.c - telling the committers of new records
 *
 * A committer that hears of the first record of many writes it alone, and takes the processor from
 * the tasks that are about to submit the others. So what a loop's tasks submit in one turn is told
 * when all of them have run, and earlier only when it is a good batch already.
 */
#include "journal/internal.h"
#include "net/task.h"

enum { GOOD_BATCH = 16 };

/* What the tasks of this thread's loop have submitted in its turn. */
static _Thread_local struct {
    struct loop_job end;
    struct journal *journal; /* NULL when there is nothing to tell */
    unsigned records;
} turn;

static void wake(struct journal *j)
{
    int64_t wake_at = atomic_load(&j->wake_at);
    if (atomic_load(&j->incoming_count) < wake_at ||
        !atomic_compare_exchange_strong(&j->wake_at, &wake_at, INT64_MAX))
        return;
    mutex_lock(&j->mutex);
    cond_signal(&j->work);
    mutex_unlock(&j->mutex);
}

static void tell(void)
{
    struct journal *j = turn.journal;
    turn.journal = NULL;
    turn.records = 0;
    if (j)
        wake(j);
}

static void end_turn(struct loop_job *job)
{
    (void)job;
    tell();
}

void journal_rouse(struct journal *j)
{
    if (!task_current()) {
        wake(j);
        return;
    }
    if (turn.journal != j)
        tell();
    turn.journal = j;
    turn.end.run = end_turn;
    loop_schedule(loop_current(), &turn.end);
    if (++turn.records >= GOOD_BATCH)
        tell();
}

void journal_forget_turn(struct journal *j)
{
    if (turn.journal == j)
        turn.journal = NULL;
}
