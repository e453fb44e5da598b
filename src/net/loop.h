/* SPDX-License-Identifier: ISC */
/*
 * loop.h - one event loop a thread
 *
 * A loop waits for descriptors (edge-triggered epoll), timers and messages, and runs the jobs they
 * schedule. Everything of a loop belongs to its thread; the only way in from outside is loop_post.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/fault.h"
#include "base/heap.h"
#include "base/list.h"

#include <stdint.h>

struct loop;

/*
 * A message to a loop: run is called on the loop's thread. The sender embeds it in what it is
 * about; it must stay valid until run is called, and may be posted again from there.
 */
struct loop_message {
    struct loop_message *next;
    void (*run)(struct loop_message *message);
};

/* Something to do on this loop's thread soon; embedded in what it is about. */
struct loop_job {
    struct list link;
    void (*run)(struct loop_job *job);
};

/* Something to do at a time; embedded in what it is about. Zeroed when not set. */
struct loop_timer {
    struct heap_node node;
    void (*expire)(struct loop_timer *timer);
};

/* Interest in a descriptor; ready gets epoll's event bits. */
struct loop_watch {
    void (*ready)(struct loop_watch *watch, uint32_t events);
};

/* A loop for the calling thread, which becomes loop_current(). Free with loop_free there. */
struct loop *loop_make(void);
void loop_free(struct loop *l);

/* The calling thread's loop, or NULL. */
struct loop *loop_current(void);

/* Runs until loop_stop was called and nobody holds the loop. */
void loop_run(struct loop *l);

/* Lets loop_run return once nobody holds the loop. Any thread. */
void loop_stop(struct loop *l);

/* While held a stopped loop goes on running; each task holds its loop. */
void loop_hold(struct loop *l);
void loop_release(struct loop *l);

/* Hands a message over, in order for one sender. Any thread; costs a system call only when the
 * loop may be asleep. */
void loop_post(struct loop *l, struct loop_message *message);

/* Hands a chain of messages (linked by next, first to last) over in one go. */
void loop_post_chain(struct loop *l, struct loop_message *first, struct loop_message *last);

/* Runs the job in this turn or the next; one that is scheduled already is left alone. */
void loop_schedule(struct loop *l, struct loop_job *job);

/* Sets the timer to an absolute time of loop_now_ms, or clears it. */
void loop_timer_set(struct loop *l, struct loop_timer *timer, int64_t at_ms);
void loop_timer_clear(struct loop *l, struct loop_timer *timer);

/*
 * Watches a descriptor for EPOLLIN, EPOLLOUT and EPOLLRDHUP, edge-triggered, until it is closed.
 * loop_watch_listener watches for EPOLLIN, level-triggered, and wakes one loop of several.
 */
struct fault loop_watch(struct loop *l, int descriptor, struct loop_watch *watch);
struct fault loop_watch_listener(struct loop *l, int descriptor, struct loop_watch *watch);

/* Ends the interest in a descriptor that stays open. */
void loop_unwatch(struct loop *l, int descriptor);

/* Monotonic and real time as of this turn of the loop, in milliseconds. */
int64_t loop_now_ms(const struct loop *l);
int64_t loop_real_ms(const struct loop *l);

/* The loop's own number, counted from 0 in order of making. */
unsigned loop_number(const struct loop *l);

#endif
