/* SPDX-License-Identifier: ISC */
/*
 * task.c - straight-line code that waits: stackful tasks
 *
 * The task's record stands at the top of its own stack, so an idle task costs the one page that its
 * frames touch. A deadline is only stored: the timer is moved when it goes off too early, not at
 * every wait, because almost no deadline is ever reached.
 */
#include "net/task.h"

#include <assert.h>
#include <stdlib.h>

#include "net/loop.h"
#include "net/stack.h"
#include "net/switch.h"
#include "os/thread.h"

struct task {
    struct switch_context context;
    struct loop_job job;
    struct loop_timer timer;
    struct loop *loop;
    struct scope *scope;
    struct list link; /* in scope->tasks */
    void *stack;
    const char *name;
    void (*run)(void *);
    void *arg;
    int64_t deadline_ms;
    bool is_waiting;
    bool is_answer_wait; /* neither deadline nor cancellation ends this wait */
    bool is_woken;
    bool is_timed_out;
    bool is_cancelled;
};

/* What a thread's tasks share. */
static _Thread_local struct switch_context scheduler;
static _Thread_local struct stack_pool stacks;
static _Thread_local struct task *running;

void scope_init(struct scope *s)
{
    list_init(&s->tasks);
    s->waiter = NULL;
    s->count = 0;
}

void scope_cancel(struct scope *s)
{
    LIST_EACH(link, &s->tasks)
    task_cancel(LIST_ENTRY(link, struct task, link));
}

void scope_nudge(struct scope *s)
{
    LIST_EACH(link, &s->tasks)
    task_wake(LIST_ENTRY(link, struct task, link));
}

void scope_join(struct scope *s)
{
    assert(running && !s->waiter);
    s->waiter = running;
    while (s->count > 0)
        task_wait_answer();
    s->waiter = NULL;
}

struct task *task_current(void)
{
    return running;
}

static void finish(struct task *t)
{
    loop_timer_clear(t->loop, &t->timer);
    list_remove(&t->link);
    t->scope->count--;
    if (t->scope->waiter && t->scope->count == 0)
        task_wake(t->scope->waiter);
    running = NULL;
    switch_leave(&t->context, &scheduler);
}

static void enter(void *arg)
{
    struct task *t = arg;
    switch_entered(&t->context);
    t->run(t->arg);
    t->run = NULL;
    finish(t);
}

/* Switches to the task until it waits or ends. */
static void resume(struct loop_job *job)
{
    struct task *t = (struct task *)((char *)job - offsetof(struct task, job));
    running = t;
    switch_to(&scheduler, &t->context);
    if (running) {
        running = NULL;
        return;
    }
    struct loop *l = t->loop;
    switch_free(&t->context);
    stack_put(&stacks, t->stack);
    loop_release(l);
}

static void make_ready(struct task *t)
{
    t->is_waiting = false;
    loop_schedule(t->loop, &t->job);
}

static void expire(struct loop_timer *timer)
{
    struct task *t = (struct task *)((char *)timer - offsetof(struct task, timer));
    if (!t->is_waiting || t->deadline_ms == TASK_NO_DEADLINE)
        return;
    if (t->deadline_ms > loop_now_ms(t->loop)) {
        loop_timer_set(t->loop, timer, t->deadline_ms);
        return;
    }
    t->is_timed_out = true;
    make_ready(t);
}

/* The thread's tasks have all ended: its loops are gone. */
static void free_stacks(void)
{
    stack_pool_free(&stacks);
}

struct task *task_start(struct scope *s, const char *name, void (*run)(void *arg), void *arg)
{
    if (!scheduler.stack_pointer && !scheduler.fiber)
        switch_init_thread(&scheduler);
    if (!stacks.slabs)
        thread_at_end(free_stacks);
    size_t size;
    char *stack = stack_get(&stacks, &size);
    if (!stack)
        return NULL;
    size_t record = (sizeof(struct task) + 63) & ~(size_t)63;
    struct task *t = (struct task *)(void *)(stack + size - record);
    *t = (struct task){.loop = loop_current(),
                       .scope = s,
                       .stack = stack,
                       .name = name,
                       .run = run,
                       .arg = arg,
                       .job.run = resume,
                       .timer.expire = expire};
    assert(t->loop);
    switch_init(&t->context, stack, size - record, enter, t);
    list_push_back(&s->tasks, &t->link);
    s->count++;
    loop_hold(t->loop);
    loop_schedule(t->loop, &t->job);
    return t;
}

void task_cancel(struct task *t)
{
    t->is_cancelled = true;
    if (t->is_waiting && !t->is_answer_wait)
        make_ready(t);
}

bool task_is_cancelled(void)
{
    return running->is_cancelled;
}

void task_wake(struct task *t)
{
    t->is_woken = true;
    if (t->is_waiting)
        make_ready(t);
}

static void suspend(void)
{
    struct task *t = running;
    t->is_waiting = true;
    switch_to(&t->context, &scheduler);
}

/* Made beforehand: most waits of an idle server end with one of them. */
static const struct fault shutting_down = {
    .kind = FAULT_LATER, .reply = 421, .status = {4, 3, 2}, .text = "shutting down"};
static const struct fault timed_out = {
    .kind = FAULT_LATER, .reply = 421, .status = {4, 4, 2}, .text = "timed out"};

struct fault task_wait(int64_t deadline_ms)
{
    struct task *t = running;
    assert(t);
    if (!t->is_woken && !t->is_cancelled) {
        t->deadline_ms = deadline_ms;
        t->is_timed_out = false;
        if (deadline_ms != TASK_NO_DEADLINE &&
            (!heap_has(&t->timer.node) || t->timer.node.key > deadline_ms))
            loop_timer_set(t->loop, &t->timer, deadline_ms);
        suspend();
    }
    if (t->is_woken) {
        t->is_woken = false;
        return FINE;
    }
    return t->is_cancelled ? shutting_down : timed_out;
}

void task_wait_answer(void)
{
    struct task *t = running;
    assert(t);
    t->deadline_ms = TASK_NO_DEADLINE;
    t->is_answer_wait = true;
    while (!t->is_woken)
        suspend();
    t->is_answer_wait = false;
    t->is_woken = false;
}

void task_trim_stack(void)
{
    stack_trim(running->stack);
}

void task_yield(void)
{
    struct task *t = running;
    loop_schedule(t->loop, &t->job);
    switch_to(&t->context, &scheduler);
}

struct fault task_sleep(int64_t ms)
{
    struct task *t = running;
    int64_t until = loop_now_ms(t->loop) + ms;
    for (;;) {
        struct fault f = task_wait(until);
        if (t->is_cancelled)
            return f;
        if (loop_now_ms(t->loop) >= until)
            return FINE;
    }
}
