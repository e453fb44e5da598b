/* SPDX-License-Identifier: ISC */
/*
 * offload.c - blocking or long work on other threads, awaited by a task
 *
 * One queue, several threads. The job lives on the waiting task's stack.
 */
#include "net/offload.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/list.h"
#include "net/loop.h"
#include "net/task.h"
#include "os/thread.h"

struct offload_job {
    struct list link;
    void (*work)(void *);
    void *arg;
    struct task *task;
    struct loop *loop;
    struct loop_message done;
    bool is_done;
};

enum { MOST_THREADS = 64 };

static struct {
    struct mutex mutex;
    struct cond work_came;
    struct list queue;
    struct thread thread[MOST_THREADS];
    unsigned thread_count;
    bool is_stopping;
} pool;

static void work_on(void *arg)
{
    (void)arg;
    mutex_lock(&pool.mutex);
    for (;;) {
        struct list *link = list_pop_front(&pool.queue);
        if (!link) {
            if (pool.is_stopping)
                break;
            cond_wait(&pool.work_came, &pool.mutex);
            continue;
        }
        mutex_unlock(&pool.mutex);
        struct offload_job *job = LIST_ENTRY(link, struct offload_job, link);
        job->work(job->arg);
        loop_post(job->loop, &job->done);
        mutex_lock(&pool.mutex);
    }
    mutex_unlock(&pool.mutex);
}

void offload_start(unsigned thread_count)
{
    assert(pool.thread_count == 0 && thread_count > 0);
    mutex_init(&pool.mutex);
    cond_init(&pool.work_came);
    list_init(&pool.queue);
    pool.is_stopping = false;
    pool.thread_count = thread_count < MOST_THREADS ? thread_count : MOST_THREADS;
    for (unsigned i = 0; i < pool.thread_count; i++)
        thread_start(&pool.thread[i], "offload", work_on, NULL);
}

void offload_stop(void)
{
    mutex_lock(&pool.mutex);
    pool.is_stopping = true;
    cond_broadcast(&pool.work_came);
    mutex_unlock(&pool.mutex);
    for (unsigned i = 0; i < pool.thread_count; i++)
        thread_join(&pool.thread[i]);
    pool.thread_count = 0;
    cond_destroy(&pool.work_came);
    mutex_destroy(&pool.mutex);
}

static void finish(struct loop_message *message)
{
    struct offload_job *job =
        (struct offload_job *)((char *)message - offsetof(struct offload_job, done));
    job->is_done = true;
    task_wake(job->task);
}

void offload(void (*work)(void *arg), void *arg)
{
    assert(pool.thread_count > 0);
    struct offload_job job = {.work = work,
                              .arg = arg,
                              .task = task_current(),
                              .loop = loop_current(),
                              .done.run = finish};
    mutex_lock(&pool.mutex);
    list_push_back(&pool.queue, &job.link);
    cond_signal(&pool.work_came);
    mutex_unlock(&pool.mutex);
    while (!job.is_done)
        task_wait_answer();
}
