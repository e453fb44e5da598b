/* SPDX-License-Identifier: ISC */
/*
 * threads.c - POSIX threads as fibers
 *
 * These definitions stand before those of the C library, also for the libraries: whoever locks or
 * waits, one fiber runs at a time and the scheduler chooses the next. The records overlay what the
 * C library has there; all zero is unlocked, as its initialisers make it.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "system.h"
#include "world.h"

enum { THREAD_STACK_BYTES = 512 * 1024, YIELD_ONE_IN = 24 };

struct lock {
    struct fiber *owner;
    struct fiber *waiting; /* the first */
    int kind;              /* where the C library's static initialiser puts it */
    unsigned count;
};

struct condition {
    struct fiber *waiting;
};

_Static_assert(sizeof(struct lock) <= sizeof(pthread_mutex_t), "fits");
_Static_assert(offsetof(struct lock, kind) == offsetof(pthread_mutex_t, __data.__kind), "there");
_Static_assert(sizeof(struct condition) <= sizeof(pthread_cond_t), "fits");

struct thread_record {
    struct fiber *fiber, *joiner;
    void *(*run)(void *);
    void *arg;
    bool has_ended;
};

static void enqueue(struct fiber **first, struct fiber *f)
{
    f->next_waiter = NULL;
    while (*first)
        first = &(*first)->next_waiter;
    *first = f;
}

static bool dequeue(struct fiber **first, const struct fiber *f)
{
    while (*first && *first != f)
        first = &(*first)->next_waiter;
    if (!*first)
        return false;
    *first = f->next_waiter;
    return true;
}

static void run_thread(void *arg)
{
    struct thread_record *t = arg;
    t->run(t->arg);
    t->has_ended = true;
    if (t->joiner)
        fiber_wake(t->joiner);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *arg)
{
    (void)attributes;
    struct thread_record *t = world_alloc(sizeof *t);
    t->run = run;
    t->arg = arg;
    t->fiber = fiber_start("thread", true, THREAD_STACK_BYTES, run_thread, t);
    memcpy(thread, &t, sizeof t);
    return 0;
}

int pthread_join(pthread_t thread, void **result)
{
    struct thread_record *t;
    memcpy(&t, &thread, sizeof t);
    while (!t->has_ended) {
        t->joiner = fiber_current();
        fiber_wait_until(SIM_NEVER);
    }
    world_free(t, sizeof *t);
    if (result)
        *result = NULL;
    return 0;
}

int pthread_setname_np(pthread_t thread, const char *name)
{
    (void)thread;
    (void)name;
    return 0;
}

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    struct lock *l = (struct lock *)(void *)mutex;
    int kind = PTHREAD_MUTEX_NORMAL;
    if (attributes)
        pthread_mutexattr_gettype(attributes, &kind);
    *l = (struct lock){.kind = kind};
    return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    struct lock *l = (struct lock *)(void *)mutex;
    return l->owner ? EBUSY : 0;
}

/* Outside of fibers nothing runs beside the caller. */
int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    struct lock *l = (struct lock *)(void *)mutex;
    struct fiber *self = fiber_current();
    if (!self)
        return 0;
    if (!l->owner && sim_chance(1, YIELD_ONE_IN))
        system_pause();
    if (l->owner == self && l->kind != PTHREAD_MUTEX_RECURSIVE)
        sim_broken("a thread locks what it has locked");
    while (l->owner && l->owner != self) {
        enqueue(&l->waiting, self);
        fiber_wait_until(SIM_NEVER);
        dequeue(&l->waiting, self);
    }
    l->owner = self;
    l->count++;
    return 0;
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    struct lock *l = (struct lock *)(void *)mutex;
    struct fiber *self = fiber_current();
    if (l->owner && (l->owner != self || l->kind != PTHREAD_MUTEX_RECURSIVE))
        return EBUSY;
    return self ? pthread_mutex_lock(mutex) : 0;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    struct lock *l = (struct lock *)(void *)mutex;
    if (!fiber_current())
        return 0;
    if (l->owner != fiber_current())
        sim_broken("a thread unlocks what it has not locked");
    if (--l->count > 0)
        return 0;
    l->owner = NULL;
    if (l->waiting)
        fiber_wake(l->waiting);
    return 0;
}

int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    (void)attributes;
    memset(condition, 0, sizeof *condition);
    return 0;
}

int pthread_cond_destroy(pthread_cond_t *condition)
{
    const struct condition *c = (const struct condition *)(const void *)condition;
    return c->waiting ? EBUSY : 0;
}

static int wait_on(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t at_ns)
{
    struct condition *c = (struct condition *)(void *)condition;
    struct fiber *self = fiber_current();
    enqueue(&c->waiting, self);
    pthread_mutex_unlock(mutex);
    fiber_wait_until(at_ns);
    bool was_signalled = !dequeue(&c->waiting, self);
    pthread_mutex_lock(mutex);
    return was_signalled ? 0 : ETIMEDOUT;
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    wait_on(condition, mutex, SIM_NEVER);
    return 0;
}

/* On the monotonic clock: os/thread asks for nothing else. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *deadline)
{
    return wait_on(condition, mutex, (int64_t)deadline->tv_sec * SIM_SECOND + deadline->tv_nsec);
}

int pthread_cond_signal(pthread_cond_t *condition)
{
    struct condition *c = (struct condition *)(void *)condition;
    struct fiber *first = c->waiting;
    if (first) {
        c->waiting = first->next_waiter;
        fiber_wake(first);
    }
    return 0;
}

int pthread_cond_broadcast(pthread_cond_t *condition)
{
    const struct condition *c = (const struct condition *)(const void *)condition;
    while (c->waiting)
        pthread_cond_signal(condition);
    return 0;
}

int sched_yield(void)
{
    fiber_yield();
    return 0;
}
