/* SPDX-License-Identifier: ISC */
/*
 * turn.c - records on their way to the committers
 *
 * A committer that hears of the first record of many writes it alone, and takes the processor from
 * the tasks that are about to submit the others. So what a loop's tasks submit in one turn is
 * handed over when all of them have run, and earlier only when it is a good batch already.
 */
#include "journal/internal.h"
#include "net/task.h"

enum { GOOD_BATCH = 32 };

/* What the tasks of this thread's loop have submitted in its turn. */
static _Thread_local struct {
    struct loop_job end;
    struct journal *journal; /* NULL when there is nothing to hand over */
    struct journal_append *newest, *oldest;
    int64_t count;
} turn;

static void wake(struct journal *j, int64_t pending)
{
    int64_t wake_at = atomic_load(&j->wake_at);
    if (pending < wake_at || !atomic_compare_exchange_strong(&j->wake_at, &wake_at, INT64_MAX))
        return;
    mutex_lock(&j->mutex);
    cond_signal(&j->work);
    mutex_unlock(&j->mutex);
}

static void hand_over(struct journal *j, struct journal_append *newest,
                      struct journal_append *oldest, int64_t count)
{
    struct journal_append *before = atomic_load(&j->incoming);
    do {
        oldest->next = before;
    } while (!atomic_compare_exchange_weak(&j->incoming, &before, newest));
    /* From here on they may be done and gone. */
    wake(j, atomic_fetch_add(&j->incoming_count, count) + count);
}

static void end_turn(struct loop_job *job)
{
    struct journal *j = turn.journal;
    (void)job;
    if (!j)
        return;
    turn.journal = NULL;
    hand_over(j, turn.newest, turn.oldest, turn.count);
}

void journal_end_turn(struct journal *j)
{
    if (turn.journal == j)
        end_turn(NULL);
}

void journal_hand_over(struct journal *j, struct journal_append *append)
{
    if (turn.journal && (turn.journal != j || !task_current()))
        end_turn(NULL);
    if (!task_current()) {
        hand_over(j, append, append, 1);
        return;
    }
    if (!turn.journal) {
        turn.journal = j;
        turn.oldest = append;
        turn.newest = NULL;
        turn.count = 0;
        turn.end.run = end_turn;
        loop_schedule(loop_current(), &turn.end);
    }
    append->next = turn.newest;
    turn.newest = append;
    if (++turn.count == GOOD_BATCH)
        end_turn(NULL);
}
