/* SPDX-License-Identifier: ISC */
/*
 * crew.c - the loops of a role, each on a thread of its own
 */
#include "role/crew.h"

#include <assert.h>
#include <stdlib.h>

#include "net/loop.h"

enum { LOOK_MS = 10 };

static void prepare(struct crew_member *m, size_t peer_count)
{
    m->loop = loop_make();
    scope_init(&m->sessions);
    scope_init(&m->work);
    m->acceptor = acceptor_start(&m->sessions, m->crew->acceptors, peer_count);
}

static void run_member(void *arg)
{
    struct crew_member *m = arg;
    struct crew *c = m->crew;
    prepare(m, c->count);
    mutex_lock(&c->mutex);
    c->running++;
    cond_broadcast(&c->changed);
    mutex_unlock(&c->mutex);
    loop_run(m->loop);
    acceptor_free(m->acceptor);
    loop_free(m->loop);
}

void crew_start(struct crew *c, size_t count)
{
    *c = (struct crew){.count = count ? count : thread_processor_count()};
    assert(c->count <= CREW_MOST);
    mutex_init(&c->mutex);
    cond_init(&c->changed);
    for (size_t i = 0; i < c->count; i++)
        c->member[i].crew = c;
    prepare(&c->member[0], c->count);
    for (size_t i = 1; i < c->count; i++) {
        thread_start(&c->member[i].thread, "loop", run_member, &c->member[i]);
    }
    mutex_lock(&c->mutex);
    while (c->running < c->count - 1)
        cond_wait(&c->changed, &c->mutex);
    mutex_unlock(&c->mutex);
    for (size_t i = 0; i < c->count; i++)
        c->acceptors[i] = c->member[i].acceptor;
}

/* A function called on another loop, and its way back. */
struct call {
    struct loop_message message;
    struct crew_member *member;
    void (*run)(struct crew_member *m, void *arg);
    void *arg;
    struct loop *home;
    struct task *task;
    bool is_done;
};

static void come_back(struct loop_message *message)
{
    struct call *call = (struct call *)(void *)message;
    call->is_done = true;
    task_wake(call->task);
}

static void run_call(struct loop_message *message)
{
    struct call *call = (struct call *)(void *)message;
    call->run(call->member, call->arg);
    call->message.run = come_back;
    loop_post(call->home, &call->message);
}

void crew_each(struct crew *c, void (*run)(struct crew_member *m, void *arg), void *arg)
{
    run(&c->member[0], arg);
    for (size_t i = 1; i < c->count; i++) {
        struct call call = {.message.run = run_call,
                            .member = &c->member[i],
                            .run = run,
                            .arg = arg,
                            .home = loop_current(),
                            .task = task_current()};
        loop_post(c->member[i].loop, &call.message);
        while (!call.is_done)
            task_wait_answer();
    }
}

struct listen_request {
    struct listener *listener;
    struct fault fault;
};

static void add_listener(struct crew_member *m, void *arg)
{
    struct listen_request *r = arg;
    if (!r->fault.kind)
        r->fault = acceptor_add(m->acceptor, r->listener);
}

static void remove_listener(struct crew_member *m, void *arg)
{
    acceptor_remove(m->acceptor, arg);
}

struct fault crew_listen(struct crew *c, struct listener *l)
{
    struct listen_request r = {.listener = l};
    crew_each(c, add_listener, &r);
    if (r.fault.kind)
        crew_unlisten(c, l);
    return r.fault;
}

void crew_unlisten(struct crew *c, struct listener *l)
{
    crew_each(c, remove_listener, l);
}

static void stop_acceptor(struct crew_member *m, void *arg)
{
    (void)arg;
    acceptor_stop(m->acceptor);
}

void crew_stop_listening(struct crew *c)
{
    crew_each(c, stop_acceptor, NULL);
}

static void nudge(struct crew_member *m, void *arg)
{
    (void)arg;
    scope_nudge(&m->sessions);
    scope_nudge(&m->work);
}

void crew_nudge(struct crew *c)
{
    crew_each(c, nudge, NULL);
}

static void cancel(struct crew_member *m, void *arg)
{
    (void)arg;
    scope_cancel(&m->sessions);
    scope_cancel(&m->work);
}

void crew_cancel(struct crew *c)
{
    crew_each(c, cancel, NULL);
}

static void count_sessions(struct crew_member *m, void *arg)
{
    *(size_t *)arg += m->sessions.count + acceptor_count(m->acceptor);
}

static void count_work(struct crew_member *m, void *arg)
{
    *(size_t *)arg += m->work.count;
}

static bool await_none(struct crew *c, void (*count)(struct crew_member *, void *),
                       int64_t deadline_ms)
{
    for (;;) {
        size_t left = 0;
        crew_each(c, count, &left);
        if (left == 0)
            return true;
        if (loop_now_ms(loop_current()) >= deadline_ms)
            return false;
        task_sleep(LOOK_MS);
    }
}

bool crew_await_sessions(struct crew *c, int64_t deadline_ms)
{
    return await_none(c, count_sessions, deadline_ms);
}

bool crew_await_work(struct crew *c, int64_t deadline_ms)
{
    return await_none(c, count_work, deadline_ms);
}

void crew_stop(struct crew *c)
{
    for (size_t i = 1; i < c->count; i++)
        loop_stop(c->member[i].loop);
    for (size_t i = 1; i < c->count; i++)
        thread_join(&c->member[i].thread);
    acceptor_free(c->member[0].acceptor);
    cond_destroy(&c->changed);
    mutex_destroy(&c->mutex);
}
