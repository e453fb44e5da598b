/* SPDX-License-Identifier: ISC */
/*
 * bell.h - telling a task, from any thread, that there is something for it to do
 *
 * For chores that would otherwise look around now and then: while nobody rings, nobody wakes up.
 * Rings before the task has heard the first count as one.
 */
#ifndef NET_BELL_H
#define NET_BELL_H

#include <stdatomic.h>

#include "net/loop.h"
#include "net/task.h"

struct bell {
    struct loop_message message;
    struct loop *loop;
    struct task *waiter;
    atomic_bool is_rung; /* and has not been taken by bell_wait */
    bool has_come;
};

/* A bell for a task of the calling thread's loop; must outlive the loop's run. */
void bell_init(struct bell *b);

/* Any thread, also outside of tasks; costs next to nothing when it was rung already. */
void bell_ring(struct bell *b);

/* Waits for a ring since the last wait; the fault is cancellation. One task of the loop. */
struct fault bell_wait(struct bell *b);

/* The same until loop_now_ms is deadline_ms at most, which is no fault. */
struct fault bell_wait_until(struct bell *b, int64_t deadline_ms);

#endif
