/* SPDX-License-Identifier: ISC */
/*
 * thread.c - threads, mutexes and conditions
 *
 * Thin over pthreads. Conditions wait on the monotonic clock.
 */
#include "os/thread.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What a new thread has to do; it frees it. */
struct start {
    void (*run)(void *arg);
    void *arg;
    char name[16];
};

static void must(int error)
{
    if (error != 0)
        abort();
}

enum { ENDINGS_MOST = 4 };

static _Thread_local struct {
    void (*run[ENDINGS_MOST])(void);
    size_t count;
} endings;

static void *run_start(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    pthread_setname_np(pthread_self(), start.name);
    start.run(start.arg);
    while (endings.count > 0)
        endings.run[--endings.count]();
    return NULL;
}

void thread_at_end(void (*run)(void))
{
    for (size_t i = 0; i < endings.count; i++)
        if (endings.run[i] == run)
            return;
    assert(endings.count < ENDINGS_MOST);
    endings.run[endings.count++] = run;
}

void thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg)
{
    struct start *start = calloc(1, sizeof *start);
    if (!start)
        abort();
    start->run = run;
    start->arg = arg;
    memcpy(start->name, name, strnlen(name, sizeof start->name - 1));
    /* The new thread inherits the mask, so that it never sees a signal, not even at birth. */
    sigset_t all, before;
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before));
    must(pthread_create(&t->handle, NULL, run_start, start));
    must(pthread_sigmask(SIG_SETMASK, &before, NULL));
}

void thread_join(struct thread *t)
{
    must(pthread_join(t->handle, NULL));
}

void mutex_init(struct mutex *m)
{
    must(pthread_mutex_init(&m->handle, NULL));
}

void mutex_destroy(struct mutex *m)
{
    must(pthread_mutex_destroy(&m->handle));
}

void mutex_lock(struct mutex *m)
{
    must(pthread_mutex_lock(&m->handle));
}

void mutex_unlock(struct mutex *m)
{
    must(pthread_mutex_unlock(&m->handle));
}

void cond_init(struct cond *c)
{
    pthread_condattr_t attributes;
    must(pthread_condattr_init(&attributes));
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    must(pthread_cond_init(&c->handle, &attributes));
    must(pthread_condattr_destroy(&attributes));
}

void cond_destroy(struct cond *c)
{
    must(pthread_cond_destroy(&c->handle));
}

void cond_wait(struct cond *c, struct mutex *m)
{
    must(pthread_cond_wait(&c->handle, &m->handle));
}

void cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_ns)
{
    if (deadline_ns < 0)
        deadline_ns = 0;
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                .tv_nsec = deadline_ns % 1000000000};
    int error = pthread_cond_timedwait(&c->handle, &m->handle, &deadline);
    if (error != ETIMEDOUT)
        must(error);
}

void cond_signal(struct cond *c)
{
    must(pthread_cond_signal(&c->handle));
}

void cond_broadcast(struct cond *c)
{
    must(pthread_cond_broadcast(&c->handle));
}

unsigned thread_processor_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1; /* more processors than the set can name: the caller chooses by configuration */
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}
