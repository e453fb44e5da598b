/* SPDX-License-Identifier: ISC */
/*
 * queue_room.h - a queue with a spool of its own, for tests that play the sender
 *
 * What the queue gives away is put on a list, from which the test finishes it.
 */
#ifndef QUEUE_ROOM_H
#define QUEUE_ROOM_H

#include "net/loop.h"
#include "net/offload.h"
#include "os/clock.h"
#include "os/file.h"
#include "queue/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { READY_MOST = 4096, PATIENCE_MS = 120000 };

struct world {
    char directory[64];
    struct queue *queue;
    struct queue_options options;
    struct scope keeping;
    struct queue_delivery *ready[READY_MOST];
    size_t ready_count;
    size_t relief_count; /* how often the queue has asked for it */
    size_t put_off_count;
    void (*act)(struct world *w);
};

static inline void take(void *arg, struct queue_delivery *d)
{
    struct world *w = arg;
    assert_in_range(w->ready_count, 0, READY_MOST - 1);
    w->ready[w->ready_count++] = d;
}

static inline void note_relief(void *arg)
{
    struct world *w = arg;
    w->relief_count++;
}

static inline void make_world(struct world *w)
{
    *w = (struct world){0};
    snprintf(w->directory, sizeof w->directory, "/tmp/test_queue.XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    w->options = (struct queue_options){
        .directory = w->directory,
        .journal = {.segment_bytes = 1 << 20, .spare_segments = 1, .spare_segments_max = 2},
        .retry_first_ms = 60000,
        .retry_most_ms = 4 * 3600 * 1000,
        .memory_bytes = 1 << 20,
        .journal_bytes = 64 << 20,
        .checkpoint_ms = 3600 * 1000,
        .hot_most = 10000,
        .ready_most = 100000,
        .loaded_most = 10000,
        .ready = take,
        .relieve = note_relief,
        .sender = w,
    };
}

static inline void remove_world(struct world *w)
{
    assert_int_equal(file_remove_tree(w->directory).kind, FAULT_FINE);
}

static inline void lead(void *arg)
{
    struct world *w = arg;
    assert_int_equal(queue_open(&w->options, &w->queue).kind, FAULT_FINE);
    queue_start(w->queue, &w->keeping);
    w->act(w);
    scope_cancel(&w->keeping);
    scope_join(&w->keeping);
    queue_close(w->queue);
    loop_stop(loop_current());
}

/* One run of the server: opens the spool, acts, closes it. */
static inline void run(struct world *w, void (*act)(struct world *w))
{
    struct loop *l = loop_make();
    struct scope scope;
    scope_init(&scope);
    scope_init(&w->keeping);
    w->act = act;
    w->ready_count = w->relief_count = 0;
    task_start(&scope, "test", lead, w);
    loop_run(l);
    loop_free(l);
}

static inline void accept_for(struct world *w, const char *const *rcpts, size_t count,
                              size_t body_size)
{
    struct queue_rcpt rcpt[8] = {{{0}}};
    for (size_t i = 0; i < count; i++)
        rcpt[i] = (struct queue_rcpt){.address = str_from(rcpts[i]), .notify = 4};
    struct queue_envelope e = {.sender = STR("alice@example.test"),
                               .envid = STR("id+2B"),
                               .arrival_ms = clock_real_ms(),
                               .rcpt = rcpt,
                               .rcpt_count = count};
    struct buf body = buf_make(body_size);
    assert_true(buf_reserve(&body, body_size));
    memset(body.data, 'x', body_size);
    body.used = body_size;
    assert_int_equal(queue_accept(w->queue, queue_new_id(w->queue), &e, &body, 0).kind, FAULT_FINE);
}

/* One run in a world of its own; set changes the options when it is not NULL. */
static inline void run_alone(void (*act)(struct world *w), void (*set)(struct queue_options *o))
{
    static struct world w;
    make_world(&w);
    if (set)
        set(&w.options);
    run(&w, act);
    remove_world(&w);
}

static const char *const two_domains[] = {"bob@one.test", "carol@two.test", "dave@one.test"};

static inline void wait_for_ready(struct world *w, size_t count)
{
    int64_t end = clock_now_ms() + PATIENCE_MS;
    while (w->ready_count < count && clock_now_ms() < end)
        task_sleep(2);
    assert_int_equal(w->ready_count, count);
}

/* The only message that there is, for queue_unpin. */
static inline struct queue_message *pin_only(struct world *w)
{
    uint64_t ids[2];
    size_t count;
    struct queue_message *m = NULL;
    assert_int_equal(queue_ids(w->queue, 0, ids, 2, &count).kind, FAULT_FINE);
    assert_int_equal(count, 1);
    assert_int_equal(queue_pin(w->queue, ids[0], &m).kind, FAULT_FINE);
    assert_non_null(m);
    return m;
}

static inline int start_queue_room(void **state)
{
    (void)state;
    offload_start(2);
    return 0;
}

static inline int stop_queue_room(void **state)
{
    (void)state;
    offload_stop();
    return 0;
}

#endif
