/* SPDX-License-Identifier: ISC */
/*
 * bench_task.c - what waiting costs
 *
 * A switch between two tasks, a task from start to end, a round trip to an offload thread, and a
 * message to another loop and back.
 */
#include "net/loop.h"
#include "net/offload.h"
#include "net/switch.h"
#include "net/task.h"
#include "os/clock.h"
#include "os/thread.h"

#include <stdio.h>
#include <stdlib.h>

enum { SWITCHES = 5000000, YIELDS = 2000000, TASKS = 1000000, TRIPS = 100000 };

static void report(const char *what, int64_t begin_ns, int64_t count)
{
    printf("%-44s %9.1f ns\n", what, (double)(clock_now_ns() - begin_ns) / (double)count);
}

static struct switch_context here, there;

static void bounce(void *arg)
{
    (void)arg;
    switch_entered(&there);
    for (;;)
        switch_to(&there, &here);
}

static void measure_switch(void)
{
    enum { SIZE = 64 * 1024 };
    void *stack = aligned_alloc(4096, SIZE);
    if (!stack)
        abort();
    switch_init_thread(&here);
    switch_init(&there, stack, SIZE, bounce, NULL);
    int64_t begin = clock_now_ns();
    for (int i = 0; i < SWITCHES / 2; i++)
        switch_to(&here, &there);
    report("switch of stacks", begin, SWITCHES);
    switch_free(&there);
    free(stack);
}

static void yield_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < YIELDS / 2; i++)
        task_yield();
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static void measure_tasks(void)
{
    struct scope scope;
    scope_init(&scope);
    int64_t begin = clock_now_ns();
    task_start(&scope, "one", yield_often, NULL);
    task_start(&scope, "other", yield_often, NULL);
    scope_join(&scope);
    report("task_yield between two tasks", begin, YIELDS);
    begin = clock_now_ns();
    for (int i = 0; i < TASKS; i++) {
        task_start(&scope, "short", do_nothing, NULL);
        scope_join(&scope);
    }
    report("task from start to end", begin, TASKS);
    begin = clock_now_ns();
    for (int i = 0; i < TRIPS; i++)
        offload(do_nothing, NULL);
    report("offload and back", begin, TRIPS);
}

/* A message that goes to the other loop and back. */
struct ball {
    struct loop_message message;
    struct loop *home, *away;
    struct task *task;
};

static void return_home(struct loop_message *message)
{
    task_wake(((struct ball *)(void *)message)->task);
}

static void turn_round(struct loop_message *message)
{
    struct ball *b = (struct ball *)(void *)message;
    message->run = return_home;
    loop_post(b->home, message);
}

static void measure_messages(struct loop *away)
{
    struct ball b = {.home = loop_current(), .away = away, .task = task_current()};
    int64_t begin = clock_now_ns();
    for (int i = 0; i < TRIPS; i++) {
        b.message.run = turn_round;
        loop_post(away, &b.message);
        task_wait_answer();
    }
    report("message to another loop and back", begin, TRIPS);
}

struct other {
    struct mutex mutex;
    struct cond changed;
    struct loop *loop;
};

static void run_other(void *arg)
{
    struct other *o = arg;
    struct loop *l = loop_make();
    mutex_lock(&o->mutex);
    o->loop = l;
    cond_signal(&o->changed);
    mutex_unlock(&o->mutex);
    loop_run(l);
    loop_free(l);
}

static void measure(void *arg)
{
    struct other *o = arg;
    measure_tasks();
    measure_messages(o->loop);
    loop_stop(o->loop);
    loop_stop(loop_current());
}

int main(void)
{
    struct other o = {.loop = NULL};
    struct thread thread;
    measure_switch();
    mutex_init(&o.mutex);
    cond_init(&o.changed);
    thread_start(&thread, "other loop", run_other, &o);
    mutex_lock(&o.mutex);
    while (!o.loop)
        cond_wait(&o.changed, &o.mutex);
    mutex_unlock(&o.mutex);
    offload_start(2);
    struct loop *l = loop_make();
    struct scope scope;
    scope_init(&scope);
    task_start(&scope, "measure", measure, &o);
    loop_run(l);
    thread_join(&thread);
    loop_free(l);
    offload_stop();
    cond_destroy(&o.changed);
    mutex_destroy(&o.mutex);
    return 0;
}
