/* SPDX-License-Identifier: ISC */
/*
 * loop.h - one event loop a thread
 *
 * A loop waits for descriptors (edge-triggered epoll), timers and messages and runs the tasks they
 * wake. Everything of a loop belongs to its thread; the only way in from outside is loop_post.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/fault.h"

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

/* A loop for the calling thread, which becomes loop_current(). Free with loop_free there. */
struct loop *loop_make(void);
void loop_free(struct loop *l);

/* The calling thread's loop, or NULL. */
struct loop *loop_current(void);

/* Runs until loop_stop was called and no task is left. */
void loop_run(struct loop *l);

/* Lets loop_run return once the last task has ended. Any thread. */
void loop_stop(struct loop *l);

/* Hands a message over, in order for one sender. Any thread; costs a system call only when the
 * loop may be asleep. */
void loop_post(struct loop *l, struct loop_message *message);

/* Monotonic and real time as of this turn of the loop, in milliseconds. */
int64_t loop_now_ms(const struct loop *l);
int64_t loop_real_ms(const struct loop *l);

#endif
