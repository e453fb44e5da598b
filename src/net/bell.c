/* SPDX-License-Identifier: ISC */
/*
 * bell.c - telling a task, from any thread, that there is something for it to do
 */
#include "net/bell.h"

static void come(struct loop_message *message)
{
    struct bell *b = (struct bell *)(void *)message;
    b->has_come = true;
    if (b->waiter)
        task_wake(b->waiter);
}

void bell_init(struct bell *b)
{
    *b = (struct bell){.message.run = come, .loop = loop_current()};
}

void bell_ring(struct bell *b)
{
    if (!atomic_load_explicit(&b->is_rung, memory_order_relaxed) &&
        !atomic_exchange(&b->is_rung, true))
        loop_post(b->loop, &b->message);
}

struct fault bell_wait(struct bell *b)
{
    return bell_wait_until(b, TASK_NO_DEADLINE);
}

struct fault bell_wait_until(struct bell *b, int64_t deadline_ms)
{
    struct fault f = FINE;
    b->waiter = task_current();
    while (!b->has_come && !f.kind)
        f = task_wait(deadline_ms);
    b->waiter = NULL;
    if (f.kind)
        return task_is_cancelled() ? f : FINE;
    b->has_come = false;
    atomic_store(&b->is_rung, false);
    return FINE;
}
