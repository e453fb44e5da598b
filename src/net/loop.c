/* SPDX-License-Identifier: ISC */
/*
 * loop.c - one event loop a thread
 *
 * A turn: take the inbox, run jobs, expire timers, poll. The inbox is a lock-free stack that is
 * reversed when taken. A sender wakes the loop through its eventfd only when the inbox was empty
 * and the loop had said that it is about to sleep; it says so before it looks at the inbox for the
 * last time, so no message is overlooked. What is sent may make the loop end before the sender is
 * through with it; loop_free waits for those who are still at it.
 */
#include "net/loop.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "os/clock.h"

enum { EVENTS_A_TURN = 128, JOB_ROUNDS_A_TURN = 8, SLEEP_MOST_MS = 3600000 };

struct loop {
    int epoll;
    int event;
    struct loop_watch event_watch;
    struct list jobs;
    struct heap timers;
    size_t holds;
    int64_t now_ms;
    unsigned number;
    atomic_bool is_stopping;
    atomic_bool is_asleep;
    atomic_uint senders; /* threads in loop_post or loop_stop */
    _Atomic(struct loop_message *) inbox;
    struct epoll_event events[EVENTS_A_TURN]; /* not on the stack, where each turn would zero it */
};

static _Thread_local struct loop *current;
static atomic_uint loops_made;

static void take_event(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    struct loop *l = (struct loop *)((char *)watch - offsetof(struct loop, event_watch));
    uint64_t count;
    while (read(l->event, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

struct loop *loop_make(void)
{
    struct loop *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->epoll < 0 || l->event < 0)
        abort();
    list_init(&l->jobs);
    l->number = atomic_fetch_add(&loops_made, 1);
    l->event_watch.ready = take_event;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &l->event_watch};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->event, &e) != 0)
        abort();
    l->now_ms = clock_now_ms();
    current = l;
    return l;
}

void loop_free(struct loop *l)
{
    while (atomic_load(&l->senders) > 0)
        sched_yield();
    close(l->event);
    close(l->epoll);
    heap_free(&l->timers);
    if (current == l)
        current = NULL;
    free(l);
}

struct loop *loop_current(void)
{
    return current;
}

unsigned loop_number(const struct loop *l)
{
    return l->number;
}

int64_t loop_now_ms(const struct loop *l)
{
    return l->now_ms;
}

int64_t loop_real_ms(const struct loop *l)
{
    (void)l;
    return clock_real_ms();
}

void loop_hold(struct loop *l)
{
    l->holds++;
}

void loop_release(struct loop *l)
{
    l->holds--;
}

static void wake(struct loop *l)
{
    uint64_t one = 1;
    while (write(l->event, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void loop_stop(struct loop *l)
{
    atomic_fetch_add(&l->senders, 1);
    atomic_store(&l->is_stopping, true);
    wake(l);
    atomic_fetch_sub(&l->senders, 1);
}

void loop_post_chain(struct loop *l, struct loop_message *first, struct loop_message *last)
{
    /* The inbox is a stack: turn the chain round so that its first message is taken first. */
    struct loop_message *reversed = NULL;
    for (struct loop_message *m = first, *next;; m = next) {
        next = m->next;
        m->next = reversed;
        reversed = m;
        if (m == last)
            break;
    }
    atomic_fetch_add(&l->senders, 1);
    struct loop_message *head = atomic_load_explicit(&l->inbox, memory_order_relaxed);
    do
        first->next = head;
    while (!atomic_compare_exchange_weak(&l->inbox, &head, reversed));
    if (!head && atomic_load(&l->is_asleep))
        wake(l);
    atomic_fetch_sub(&l->senders, 1);
}

void loop_post(struct loop *l, struct loop_message *message)
{
    loop_post_chain(l, message, message);
}

static void take_inbox(struct loop *l)
{
    struct loop_message *stack = atomic_exchange(&l->inbox, NULL);
    struct loop_message *in_order = NULL;
    while (stack) {
        struct loop_message *next = stack->next;
        stack->next = in_order;
        in_order = stack;
        stack = next;
    }
    while (in_order) {
        struct loop_message *next = in_order->next;
        in_order->run(in_order);
        in_order = next;
    }
}

void loop_schedule(struct loop *l, struct loop_job *job)
{
    if (!job->link.next)
        list_init(&job->link);
    if (list_is_empty(&job->link))
        list_push_back(&l->jobs, &job->link);
}

static void run_jobs(struct loop *l)
{
    struct list round;
    for (int i = 0; i < JOB_ROUNDS_A_TURN && !list_is_empty(&l->jobs); i++) {
        list_init(&round);
        list_append_all(&round, &l->jobs);
        for (struct list *link; (link = list_pop_front(&round));) {
            struct loop_job *job = LIST_ENTRY(link, struct loop_job, link);
            job->run(job);
        }
    }
}

void loop_timer_set(struct loop *l, struct loop_timer *timer, int64_t at_ms)
{
    heap_remove(&l->timers, &timer->node);
    heap_insert(&l->timers, &timer->node, at_ms);
}

void loop_timer_clear(struct loop *l, struct loop_timer *timer)
{
    heap_remove(&l->timers, &timer->node);
}

static void expire_timers(struct loop *l)
{
    for (struct heap_node *n; (n = heap_top(&l->timers)) && n->key <= l->now_ms;) {
        struct loop_timer *timer = HEAP_ENTRY(n, struct loop_timer, node);
        heap_remove(&l->timers, n);
        timer->expire(timer);
    }
}

static struct fault watch_as(struct loop *l, int descriptor, struct loop_watch *watch,
                             uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = watch};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, descriptor, &e) != 0)
        return fault_make(421, FAULT_STATUS(4, 3, 2), "cannot watch a descriptor: %s",
                          strerrorname_np(errno));
    return FINE;
}

struct fault loop_watch(struct loop *l, int descriptor, struct loop_watch *watch)
{
    return watch_as(l, descriptor, watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET);
}

struct fault loop_watch_listener(struct loop *l, int descriptor, struct loop_watch *watch)
{
    return watch_as(l, descriptor, watch, EPOLLIN | (uint32_t)EPOLLEXCLUSIVE);
}

void loop_unwatch(struct loop *l, int descriptor)
{
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, descriptor, NULL);
}

/* How long the poll may sleep. */
static int poll_timeout_ms(struct loop *l)
{
    if (!list_is_empty(&l->jobs))
        return 0;
    struct heap_node *next = heap_top(&l->timers);
    if (!next)
        return -1;
    int64_t left = next->key - clock_now_ms();
    return left <= 0 ? 0 : left > SLEEP_MOST_MS ? SLEEP_MOST_MS : (int)left;
}

static void poll_once(struct loop *l)
{
    int timeout = poll_timeout_ms(l);
    if (timeout != 0) {
        atomic_store(&l->is_asleep, true);
        bool may_sleep =
            !atomic_load(&l->inbox) && !(atomic_load(&l->is_stopping) && l->holds == 0);
        if (!may_sleep)
            timeout = 0;
    }
    int count = epoll_wait(l->epoll, l->events, EVENTS_A_TURN, timeout);
    atomic_store_explicit(&l->is_asleep, false, memory_order_relaxed);
    l->now_ms = clock_now_ms();
    for (int i = 0; i < count; i++) {
        struct loop_watch *watch = l->events[i].data.ptr;
        watch->ready(watch, l->events[i].events);
    }
}

void loop_run(struct loop *l)
{
    while (!(atomic_load(&l->is_stopping) && l->holds == 0 && list_is_empty(&l->jobs))) {
        take_inbox(l);
        run_jobs(l);
        expire_timers(l);
        poll_once(l);
    }
    take_inbox(l);
}
