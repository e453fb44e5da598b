/* SPDX-License-Identifier: ISC */
/*
 * stand_threads.c - threads one at a time in the place of os/thread.c, for the journal's target
 *
 * One runs until it waits for a condition or the end of another; then the next does whose turn it
 * is. A time is up when nobody else can run. The linker sends the calls here (--wrap), but for the
 * sanitizers, which see real threads.
 */
#include <ucontext.h>

#include "fuzz.h"
#include "stand_threads.h"

enum { THREADS_MOST = 5, STACK_BYTES = 1 << 17 };

enum state { STATE_FREE, STATE_RUNS, STATE_WAITS, STATE_WAITS_UNTIL, STATE_JOINS, STATE_ENDED };

/* The first is the target itself. */
static struct fiber {
    enum state state;
    const void *awaited; /* a condition, or the fiber that is joined */
    void (*run)(void *arg);
    void *arg;
    ucontext_t context;
    _Alignas(64) char stack[STACK_BYTES];
} fibers[THREADS_MOST] = {{.state = STATE_RUNS}};
static size_t current;

static size_t next_in(enum state state)
{
    for (size_t i = 1; i <= THREADS_MOST; i++)
        if (fibers[(current + i) % THREADS_MOST].state == state)
            return (current + i) % THREADS_MOST;
    return THREADS_MOST;
}

static void yield(void)
{
    size_t next = next_in(STATE_RUNS), before = current;
    if (next == THREADS_MOST)
        next = next_in(STATE_WAITS_UNTIL);
    must(next < THREADS_MOST);
    fibers[next].state = STATE_RUNS;
    if (next == before)
        return;
    current = next;
    must(swapcontext(&fibers[before].context, &fibers[next].context) == 0);
}

static void wake(enum state state, const void *awaited, size_t most)
{
    for (size_t i = 0; i < THREADS_MOST && most > 0; i++)
        if (fibers[i].state == state && fibers[i].awaited == awaited) {
            fibers[i].state = STATE_RUNS;
            most--;
        }
}

static void run(void)
{
    struct fiber *f = &fibers[current];
    f->run(f->arg);
    f->state = STATE_ENDED;
    wake(STATE_JOINS, f, THREADS_MOST);
    yield();
}

static void prepare(ucontext_t *context, char stack[STACK_BYTES])
{
    must(getcontext(context) == 0);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK_BYTES;
    makecontext(context, run, 0);
}

void __wrap_thread_start(struct thread *t, const char *name, void (*work)(void *arg), void *arg)
{
    size_t i = next_in(STATE_FREE);
    (void)name;
    must(i < THREADS_MOST);
    t->handle = (pthread_t)i;
    fibers[i].state = STATE_RUNS;
    fibers[i].run = work;
    fibers[i].arg = arg;
    prepare(&fibers[i].context, fibers[i].stack);
}

void __wrap_thread_join(struct thread *t)
{
    struct fiber *f = &fibers[t->handle];
    while (f->state != STATE_ENDED) {
        fibers[current].state = STATE_JOINS;
        fibers[current].awaited = f;
        yield();
    }
    f->state = STATE_FREE;
}

static void wait_as(enum state state, const struct cond *c, struct mutex *m)
{
    fibers[current].state = state;
    fibers[current].awaited = c;
    mutex_unlock(m);
    yield();
    mutex_lock(m);
}

void __wrap_cond_wait(struct cond *c, struct mutex *m)
{
    wait_as(STATE_WAITS, c, m);
}

void __wrap_cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_ns)
{
    (void)deadline_ns;
    wait_as(STATE_WAITS_UNTIL, c, m);
}

static void wake_waiting(const struct cond *c, size_t most)
{
    wake(STATE_WAITS, c, most);
    wake(STATE_WAITS_UNTIL, c, most);
}

void __wrap_cond_signal(struct cond *c)
{
    wake_waiting(c, 1);
}

void __wrap_cond_broadcast(struct cond *c)
{
    wake_waiting(c, THREADS_MOST);
}
