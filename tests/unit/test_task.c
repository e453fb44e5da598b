/* SPDX-License-Identifier: ISC */
/*
 * test_task.c - tasks: waking, deadlines, cancellation, scopes, offload, messages between loops
 */
#include "net/bell.h"
#include "net/loop.h"
#include "net/offload.h"
#include "net/task.h"
#include "os/clock.h"
#include "os/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Runs one task on a loop of its own until it and all it started have ended. */
static void run_as_task(void (*run)(void *), void *arg)
{
    struct loop *l = loop_make();
    struct scope scope;
    scope_init(&scope);
    assert_non_null(task_start(&scope, "test", run, arg));
    loop_stop(l);
    loop_run(l);
    assert_int_equal(scope.count, 0);
    loop_free(l);
}

struct pair {
    struct task *first, *second;
    int turns;
    char order[64];
};

static void ping(void *arg)
{
    struct pair *p = arg;
    struct task **me = p->first ? &p->second : &p->first;
    char name = me == &p->first ? 'a' : 'b';
    *me = task_current();
    for (int i = 0; i < 3; i++) {
        p->order[p->turns++] = name;
        task_yield();
    }
}

static void start_two(void *arg)
{
    struct scope children;
    scope_init(&children);
    task_start(&children, "one", ping, arg);
    task_start(&children, "two", ping, arg);
    scope_join(&children);
    assert_int_equal(children.count, 0);
}

static void test_tasks_take_turns_and_parents_wait_for_children(void **state)
{
    (void)state;
    struct pair p = {0};
    run_as_task(start_two, &p);
    assert_string_equal(p.order, "ababab");
}

static void time_out(void *arg)
{
    (void)arg;
    int64_t start = loop_now_ms(loop_current());
    struct fault f = task_wait(start + 20);
    assert_int_equal(f.kind, FAULT_LATER);
    assert_int_equal(f.status.detail, 2);
    assert_true(clock_now_ms() - start >= 19);
    assert_false(task_is_cancelled());
    /* A wake that came first counts. */
    task_wake(task_current());
    f = task_wait(TASK_NO_DEADLINE);
    assert_int_equal(f.kind, FAULT_FINE);
}

static void test_a_wait_ends_at_its_deadline(void **state)
{
    (void)state;
    run_as_task(time_out, NULL);
}

static void wait_for_ever(void *arg)
{
    int *faults = arg;
    struct fault f = task_wait(TASK_NO_DEADLINE);
    *faults += f.kind == FAULT_LATER && task_is_cancelled();
    f = task_sleep(100000);
    *faults += f.kind == FAULT_LATER;
}

static void cancel_children(void *arg)
{
    struct scope children;
    scope_init(&children);
    for (int i = 0; i < 10; i++)
        task_start(&children, "child", wait_for_ever, arg);
    task_yield();
    scope_cancel(&children);
    scope_join(&children);
}

static void test_cancelled_tasks_get_faults_from_every_wait(void **state)
{
    (void)state;
    int faults = 0;
    run_as_task(cancel_children, &faults);
    assert_int_equal(faults, 20);
}

static void later_deadline(void *arg)
{
    int64_t *slept = arg;
    int64_t start = loop_now_ms(loop_current());
    task_wake(task_current());
    assert_int_equal(task_wait(loop_now_ms(loop_current()) + 5).kind, FAULT_FINE);
    task_yield();
    assert_int_equal(task_wait(loop_now_ms(loop_current()) + 30).kind, FAULT_LATER);
    *slept = clock_now_ms() - start;
}

static void test_an_early_timer_is_moved_to_the_later_deadline(void **state)
{
    (void)state;
    int64_t slept = 0;
    run_as_task(later_deadline, &slept);
    assert_true(slept >= 29);
}

static void add(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void offload_ten(void *arg)
{
    for (int i = 0; i < 10; i++)
        offload(add, arg);
}

static void offload_from_many(void *arg)
{
    struct scope children;
    scope_init(&children);
    for (int i = 0; i < 50; i++)
        task_start(&children, "child", offload_ten, arg);
    scope_cancel(&children);
    scope_join(&children);
}

static void test_offloaded_work_is_awaited_even_when_cancelled(void **state)
{
    (void)state;
    atomic_int sum = 0;
    offload_start(3);
    run_as_task(offload_from_many, &sum);
    offload_stop();
    assert_int_equal(sum, 500);
}

struct counted_message {
    struct loop_message message;
    int sequence;
};

enum { MESSAGES = 20000 };
static struct counted_message messages[2][MESSAGES];
static int next_sequence[2];
static int received;
static struct loop *receiver;

static void receive(struct loop_message *message)
{
    struct counted_message *m = (struct counted_message *)(void *)message;
    int sender = m >= messages[1];
    assert_int_equal(m->sequence, next_sequence[sender]++);
    if (++received == 2 * MESSAGES)
        loop_stop(receiver);
}

static void post_all(void *arg)
{
    struct counted_message *mine = arg;
    for (int i = 0; i < MESSAGES; i++) {
        mine[i] = (struct counted_message){{NULL, receive}, i};
        loop_post(receiver, &mine[i].message);
    }
}

static void test_messages_arrive_once_and_in_order(void **state)
{
    (void)state;
    receiver = loop_make();
    struct thread t[2];
    thread_start(&t[0], "sender 0", post_all, messages[0]);
    thread_start(&t[1], "sender 1", post_all, messages[1]);
    loop_run(receiver);
    thread_join(&t[0]);
    thread_join(&t[1]);
    assert_int_equal(received, 2 * MESSAGES);
    loop_free(receiver);
}

/* Values kept in registers and on the stack must survive switches at any depth. */
static uint64_t dig(unsigned depth, uint64_t seed)
{
    volatile double kept = (double)seed;
    uint64_t a = seed * 3, b = seed ^ 0x5555, c = seed + depth, d = seed - 7, e = ~seed;
    if (depth == 0)
        task_yield();
    else
        a += dig(depth - 1, seed + 1);
    assert_true(kept == (double)seed);
    return a + b + c + d + e;
}

static void stress(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    for (unsigned i = 0; i < 20; i++) {
        unsigned depth = (unsigned)(seed + i) % 40;
        uint64_t first = dig(depth, seed), second = dig(depth, seed);
        assert_true(first == second);
    }
}

static void start_many(void *arg)
{
    (void)arg;
    struct scope children;
    scope_init(&children);
    for (uintptr_t i = 0; i < 2000; i++)
        assert_non_null(task_start(&children, "stress", stress, (void *)i));
    scope_join(&children);
}

static void test_two_thousand_stacks_stay_apart(void **state)
{
    (void)state;
    run_as_task(start_many, NULL);
}

struct ringing {
    struct bell bell;
    atomic_bool has_heard;
    struct fault last;
    int count;
};

static void listen_for_rings(void *arg)
{
    struct ringing *r = arg;
    int64_t now = loop_now_ms(loop_current());
    assert_int_equal(bell_wait_until(&r->bell, now + 1).kind, FAULT_FINE);
    assert_true(loop_now_ms(loop_current()) > now);
    bell_ring(&r->bell);
    bell_ring(&r->bell);
    assert_int_equal(bell_wait_until(&r->bell, TASK_NO_DEADLINE).kind, FAULT_FINE);
    r->has_heard = true;
    while (!(r->last = bell_wait_until(&r->bell, TASK_NO_DEADLINE)).kind)
        r->count++;
}

static void ring_and_cancel(void *arg)
{
    struct ringing r = {.count = 0};
    struct scope children;
    (void)arg;
    scope_init(&children);
    bell_init(&r.bell);
    struct task *listener = task_start(&children, "listener", listen_for_rings, &r);
    while (!r.has_heard)
        task_yield();
    task_cancel(listener);
    scope_join(&children);
    assert_int_equal(r.count, 0);
    assert_string_equal(r.last.text, "shutting down");
}

static void test_a_bell_is_waited_for_until_a_time(void **state)
{
    (void)state;
    run_as_task(ring_and_cancel, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tasks_take_turns_and_parents_wait_for_children),
        cmocka_unit_test(test_a_wait_ends_at_its_deadline),
        cmocka_unit_test(test_cancelled_tasks_get_faults_from_every_wait),
        cmocka_unit_test(test_an_early_timer_is_moved_to_the_later_deadline),
        cmocka_unit_test(test_offloaded_work_is_awaited_even_when_cancelled),
        cmocka_unit_test(test_messages_arrive_once_and_in_order),
        cmocka_unit_test(test_two_thousand_stacks_stay_apart),
        cmocka_unit_test(test_a_bell_is_waited_for_until_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
