/* SPDX-License-Identifier: ISC */
/*
 * wait.c - one record, awaited
 *
 * A task is suspended and woken on its loop; a plain thread blocks.
 */
#include "journal/journal.h"

#include "net/task.h"
#include "os/thread.h"

struct task_wait {
    struct journal_append append;
    struct task *task;
    bool is_done;
};

static void wake_task(struct loop_message *message)
{
    struct task_wait *w = (struct task_wait *)(void *)message; /* append, message come first */
    w->is_done = true;
    task_wake(w->task);
}

static void await_in_task(struct journal *j, struct journal_append *append)
{
    struct task_wait w = {.append = *append, .task = task_current()};
    w.append.message.run = wake_task;
    w.append.loop = loop_current();
    journal_submit(j, &w.append);
    while (!w.is_done)
        task_wait_answer();
    append->result = w.append.result;
    append->position = w.append.position;
}

struct thread_wait {
    struct journal_append append;
    struct mutex mutex;
    struct cond cond;
    bool is_done;
};

static void wake_thread(struct loop_message *message)
{
    struct thread_wait *w = (struct thread_wait *)(void *)message;
    mutex_lock(&w->mutex);
    w->is_done = true;
    cond_signal(&w->cond); /* while locked: the waiter frees both as soon as it can look */
    mutex_unlock(&w->mutex);
}

static void await_in_thread(struct journal *j, struct journal_append *append)
{
    struct thread_wait w = {.append = *append};
    w.append.message.run = wake_thread;
    mutex_init(&w.mutex);
    cond_init(&w.cond);
    journal_submit(j, &w.append);
    mutex_lock(&w.mutex);
    while (!w.is_done)
        cond_wait(&w.cond, &w.mutex);
    mutex_unlock(&w.mutex);
    cond_destroy(&w.cond);
    mutex_destroy(&w.mutex);
    append->result = w.append.result;
    append->position = w.append.position;
}

struct fault journal_wait(struct journal *j, uint16_t type, const struct iovec *parts,
                          size_t part_count, uint64_t *position)
{
    struct journal_append append = {.parts = parts, .part_count = part_count, .type = type};
    if (task_current())
        await_in_task(j, &append);
    else
        await_in_thread(j, &append);
    *position = append.position;
    return append.result;
}
