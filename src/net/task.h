/* SPDX-License-Identifier: ISC */
/*
 * task.h - straight-line code that waits: stackful tasks
 *
 * A task runs on a stack of its own (64 KiB, guarded, touched on demand) and belongs to the loop
 * that started it for ever. Waiting suspends the task, never the loop. Every wait has a deadline
 * and may return a fault because the time is over or the task was cancelled; a cancelled task gets
 * that fault from every further wait, so it ends by returning.
 */
#ifndef NET_TASK_H
#define NET_TASK_H

#include "base/fault.h"
#include "base/list.h"

#include <stdint.h>

struct task;

/* Deadlines are absolute times of loop_now_ms. */
#define TASK_NO_DEADLINE INT64_MAX

/* The tasks that belong to a parent, which must not end before them. */
struct scope {
    struct list tasks;
    struct task *waiter; /* in scope_join */
    size_t count;
};

void scope_init(struct scope *s);

/* Cancels every task of the scope. */
void scope_cancel(struct scope *s);

/* Wakes every task of the scope, so that those that wait for anything look around. */
void scope_nudge(struct scope *s);

/* Waits until every task of the scope has ended, whatever the caller's own cancellation says. */
void scope_join(struct scope *s);

/*
 * Starts run(arg) as a task of the scope on the calling thread's loop; it runs when the loop comes
 * to it. The name (borrowed, static) is for people. NULL when memory for the stack is missing.
 */
struct task *task_start(struct scope *s, const char *name, void (*run)(void *arg), void *arg);

/* The running task, or NULL outside of tasks. */
struct task *task_current(void);

/* Makes the task's present or next wait return a fault with task_is_cancelled() true. */
void task_cancel(struct task *t);
bool task_is_cancelled(void);

/*
 * Suspends until task_wake, the deadline or cancellation. FINE when woken (a wake that came before
 * the wait counts), else 421 4.4.2 (time is over) or 421 4.3.2 (cancelled).
 */
struct fault task_wait(int64_t deadline_ms);

/*
 * Suspends until task_wake only: for waits whose answer surely comes and must be awaited, as it
 * refers to memory of the task. Another's wake may end it early: look whether the answer is there
 * and wait again.
 */
void task_wait_answer(void);

/* Lets a suspended task of this loop go on; a running one keeps the wake for its next wait. */
void task_wake(struct task *t);

/* Gives the stack's pages below the caller's frame back to the system: for after deep calls. */
void task_trim_stack(void);

/* Lets the others run once. */
void task_yield(void);

/* Suspends for that time. The fault is cancellation. */
struct fault task_sleep(int64_t ms);

#endif
