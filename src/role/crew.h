/* SPDX-License-Identifier: ISC */
/*
 * crew.h - the loops of a role, each on a thread of its own
 *
 * Loop 0 is the thread that made the crew; the others are started here. Each has a scope for the
 * sessions it serves, one for other work, and an acceptor.
 */
#ifndef ROLE_CREW_H
#define ROLE_CREW_H

#include "net/listen.h"
#include "os/thread.h"

enum { CREW_MOST = 256 };

struct crew_member {
    struct thread thread;
    struct loop *loop;
    struct scope sessions;
    struct scope work;
    struct acceptor *acceptor;
    struct crew *crew;
};

struct crew {
    struct crew_member member[CREW_MOST];
    struct acceptor *acceptors[CREW_MOST];
    size_t count;
    struct mutex mutex;
    struct cond changed;
    size_t running;
};

/* Starts count loops (0: one a processor). The caller runs loop 0 with loop_run. */
void crew_start(struct crew *c, size_t count);

/* Calls run(member, arg) on each loop in turn and waits for it. From a task of loop 0. */
void crew_each(struct crew *c, void (*run)(struct crew_member *m, void *arg), void *arg);

/* Accepts connections for the listener (kept) on every loop, or on none: on a fault, and after
 * crew_unlisten, when its descriptor may be closed; streams go on. */
struct fault crew_listen(struct crew *c, struct listener *l);
void crew_unlisten(struct crew *c, struct listener *l);
void crew_stop_listening(struct crew *c);

/* Wakes, or cancels, every session (and other work); waits until none is left or the deadline. */
void crew_nudge(struct crew *c);
void crew_cancel(struct crew *c);
bool crew_await_sessions(struct crew *c, int64_t deadline_ms);
bool crew_await_work(struct crew *c, int64_t deadline_ms);

/* Stops the loops 1 and up and waits for their threads; no task may be left there. */
void crew_stop(struct crew *c);

#endif
