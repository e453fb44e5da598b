/* SPDX-License-Identifier: ISC */
/*
 * bench_idle.c - eilbote bench source --idle: many connections that do nothing
 *
 * Each is a task that says hello (under TLS when asked) and then waits. "holding N" is printed when
 * all of them have got there; then the server's memory can be looked at.
 */
#include "cli/bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/conn.h"
#include "net/dial.h"
#include "net/loop.h"
#include "net/task.h"
#include "net/tls.h"
#include "os/thread.h"
#include "proto/smtp_client.h"

enum { STEP_MS = 30000, AT_ONCE = 100 };

struct crowd {
    const struct bench_source_options *options;
    struct thread thread;
    struct loop *loop;
    struct scope scope;
    struct scope root;
    struct tls_context *tls;
    struct mutex mutex;
    struct cond changed;
    uint64_t begun, ready, failed; /* begun belongs to the loop */
    uint64_t under_way;            /* of the loop: not ready yet */
    size_t next_source;            /* of the loop */
    struct task *starter;
    struct loop_message end;
    struct fault first_fault;
};

static void count(struct crowd *c, const struct fault *fault)
{
    mutex_lock(&c->mutex);
    if (fault->kind && c->failed++ == 0)
        c->first_fault = *fault;
    c->ready += !fault->kind;
    cond_signal(&c->changed);
    mutex_unlock(&c->mutex);
    c->under_way--;
    task_wake(c->starter);
}

/* Writes what the engine has to say and reads until it has an event. */
static struct fault next_event(struct conn *stream, struct smtp_client *engine,
                               struct smtp_client_event *event)
{
    for (;;) {
        int64_t deadline_ms = loop_now_ms(loop_current()) + STEP_MS;
        struct str out = smtp_client_output(engine), in;
        struct fault f = conn_write(stream, &out, 1, deadline_ms);
        smtp_client_sent(engine, out.n);
        if (!f.kind)
            f = conn_read(stream, deadline_ms, &in);
        if (!f.kind && in.n == 0)
            f = fault_make(421, FAULT_STATUS(4, 4, 2), "the server closed the connection");
        if (f.kind)
            return f;
        conn_consume(stream, smtp_client_feed(engine, in, event));
        if (event->kind != SMTP_CLIENT_MORE)
            return event->fault;
    }
}

static struct fault greet(struct crowd *c, struct conn *stream)
{
    const struct smtp_client_options options = {.is_lmtp = c->options->is_lmtp,
                                                .hello_name = STR("source.example.test")};
    struct tls_peer nobody = {.name = NULL}; /* that is checked */
    struct smtp_client engine;
    struct smtp_client_event event;
    smtp_client_init(&engine, &options);
    struct fault f = next_event(stream, &engine, &event);
    if (!f.kind && c->options->is_tls) {
        smtp_client_starttls(&engine);
        f = next_event(stream, &engine, &event);
        if (!f.kind)
            f = conn_start_tls_client(stream, c->tls, &nobody, loop_now_ms(c->loop) + STEP_MS);
        if (!f.kind) {
            smtp_client_tls_started(&engine);
            f = next_event(stream, &engine, &event);
        }
    }
    smtp_client_free(&engine);
    return f;
}

static void hold(void *arg)
{
    struct crowd *c = arg;
    struct conn *stream = NULL;
    size_t source_count = c->options->source_count;
    struct endpoint source = {0};
    if (source_count > 0)
        source = endpoint_from_ip(&c->options->source[c->next_source++ % source_count], 0);
    struct fault f = dial(&c->options->to, source_count ? &source : NULL,
                          loop_now_ms(c->loop) + STEP_MS, &stream);
    if (!f.kind)
        f = greet(c, stream);
    count(c, &f);
    while (!f.kind && !conn_has_input(stream))
        f = conn_wait_input(stream, TASK_NO_DEADLINE);
    conn_close(stream);
}

/* Starts the connections, not all at once, so that the server's queue of new ones holds them. */
static void start_all(void *arg)
{
    struct crowd *c = arg;
    c->starter = task_current();
    while (c->begun < c->options->idle && !task_is_cancelled()) {
        if (c->under_way >= AT_ONCE) {
            (void)task_wait(TASK_NO_DEADLINE);
            continue;
        }
        c->begun++;
        c->under_way++;
        if (!task_start(&c->scope, "idle", hold, c)) {
            struct fault f = fault_make(451, FAULT_STATUS(4, 3, 0), "no memory for a task");
            count(c, &f);
        }
    }
    while (!task_is_cancelled())
        (void)task_wait(TASK_NO_DEADLINE);
    scope_cancel(&c->scope);
    scope_join(&c->scope);
    loop_stop(c->loop);
}

static void end(struct loop_message *message)
{
    struct crowd *c = (struct crowd *)((char *)message - offsetof(struct crowd, end));
    scope_cancel(&c->root);
}

static void work(void *arg)
{
    struct crowd *c = arg;
    struct loop *l = loop_make();
    scope_init(&c->scope);
    scope_init(&c->root);
    if (!task_start(&c->root, "crowd", start_all, c))
        abort();
    mutex_lock(&c->mutex);
    c->loop = l;
    cond_signal(&c->changed);
    mutex_unlock(&c->mutex);
    loop_run(l);
    loop_free(l);
}

/* Waits until every connection is ready or failed. */
static void await_ready(struct crowd *c)
{
    mutex_lock(&c->mutex);
    while (!c->loop || c->ready + c->failed < c->options->idle)
        cond_wait(&c->changed, &c->mutex);
    mutex_unlock(&c->mutex);
}

int bench_idle_run(const struct invocation *i, const struct bench_source_options *options)
{
    struct crowd c = {.options = options, .end.run = end};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    struct fault f = options->is_tls ? tls_context_client(TLS_1_2, NULL, &c.tls) : FINE;
    if (f.kind)
        return cli_result(i, f);
    mutex_init(&c.mutex);
    cond_init(&c.changed);
    thread_start(&c.thread, "bench idle", work, &c);
    await_ready(&c);
    printf("holding %llu\n", (unsigned long long)c.ready);
    fflush(stdout);
    struct timespec limit = {(time_t)(options->seconds ? options->seconds : 86400), 0};
    sigtimedwait(&signals, NULL, &limit);
    loop_post(c.loop, &c.end);
    thread_join(&c.thread);
    tls_context_drop(c.tls);
    cond_destroy(&c.changed);
    mutex_destroy(&c.mutex);
    if (c.failed > 0)
        return cli_fail(i, "%llu connections failed: %s", (unsigned long long)c.failed,
                        c.first_fault.text);
    return CLI_DONE;
}
