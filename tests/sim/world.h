/* SPDX-License-Identifier: ISC */
/*
 * world.h - everything that is not the server: time, chance, memory that outlives a crash, fibers
 *
 * A run has one world, in memory that is shared between processes. The server is one process after
 * another: each is forked, works in the world and ends, by a crash or in good order; what it had in
 * its own memory ends with it, what is in the world stays. Nothing in a world depends on anything
 * but its seed and the server.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/switch.h"

enum { SIM_MS = 1000000, EVENTS_MOST = 1 << 13, FIBERS_MOST = 1024, CLASSES = 22 };
#define SIM_SECOND ((int64_t)1000 * SIM_MS)
#define SIM_NEVER  INT64_MAX

/* Something that happens at a time. */
struct sim_event {
    int64_t at_ns;
    uint64_t order; /* of events at the same time */
    void (*run)(void *arg, uint64_t number);
    void *arg;
    uint64_t number;
};

struct fiber;
struct disk;
struct net;
struct plan;
struct ledger;

struct world {
    uint64_t seed;
    uint64_t random[2];
    int64_t now_ns;  /* monotonic */
    int64_t real_ns; /* what the wall clock is ahead of it */
    struct sim_event *events;
    size_t event_count;
    uint64_t event_order;

    struct fiber **fibers; /* all that have not ended */
    size_t fiber_count;
    struct fiber **runnable;
    size_t runnable_count;
    uint64_t fiber_last;

    char *memory; /* what is left to hand out */
    char *memory_end;
    char *batch, *batch_end; /* of that, small pieces */
    void *free[CLASSES];

    uint64_t digest;  /* of all that was observed, to compare two runs of a seed */
    uint64_t process; /* of the server: counted from 1 */
    uint64_t calls;   /* to the system by it */
    uint64_t crash_at_call;
    bool is_crash_in_sync; /* a kill, from that call on in the middle of the first sync */
    bool has_crashed_so;   /* the process before; this one ends by a power cut */
    char story[32]; /* lines of the event log with this word are printed as they are written */
    struct disk *disk;
    struct net *net;
    struct plan *plan;
    struct ledger *ledger;
};

extern struct world *world;

/* Makes the world of a seed in that memory, of which nothing is kept. */
void world_make(void *memory, size_t size_bytes, uint64_t seed);

/* Another seed for a world that was copied. */
void world_seed(uint64_t seed);

/* Zeroed memory of the world; ends the process with a message when there is no more. */
void *world_alloc(size_t size_bytes);
void *world_take(size_t size_bytes); /* not zeroed */
void world_free(void *memory, size_t size_bytes);

/* Chance. chance(n, m): true in n of m cases. between: both ends included. */
uint64_t sim_random(void);
uint64_t sim_below(uint64_t limit);
int64_t sim_between(int64_t least, int64_t most);
bool sim_chance(uint64_t n, uint64_t of);

/* Calls run(arg, number) after that time, outside of any fiber. */
void sim_after(int64_t ns, void (*run)(void *arg, uint64_t number), void *arg, uint64_t number);

/* What happened becomes part of the digest. */
void sim_note(const char *what, uint64_t number);

/* Prints what belongs to the story that was asked for: of size bytes of lines, or a line that always
 * does. */
void sim_tell(const char *lines, size_t size);
void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the process: the simulation itself is wrong. */
_Noreturn void sim_broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Fibers: a thread of the server, or a peer. One runs at a time; it goes on until it waits. Those of
 * the server end with its process, without a word.
 */
struct fiber {
    struct switch_context context;
    char *stack;
    size_t stack_size;
    const char *name;
    void (*run)(void *arg);
    void *arg;
    uint64_t number;
    bool is_server, is_runnable, has_ended;
    bool is_timed_out;
    int64_t deadline_ns; /* of its wait; SIM_NEVER: none */
    int64_t alarm_ns;    /* the event that is under way for it */
    int saved_errno;
    char *locals; /* thread-local variables of a fiber of the server, while it does not run */
    void *thread; /* the pthread it stands for */
    struct fiber *next_waiter;
};

struct fiber *fiber_start(const char *name, bool is_server, size_t stack_bytes,
                          void (*run)(void *arg), void *arg);
struct fiber *fiber_current(void);

/* Suspends the running fiber until fiber_wake or the time (SIM_NEVER: none); false when it is over. */
bool fiber_wait_until(int64_t at_ns);
void fiber_wake(struct fiber *f);
void fiber_sleep(int64_t ns);

/* Lets others run: the server's calls to the system come here. */
void fiber_yield(void);

/* Runs fibers and events until done() or nothing can happen any more (false). */
bool world_run(bool (*done)(void));

/* Runs one fiber of those that can run, chosen by chance. */
void fiber_run_one(void);

/* For a new process: the fibers of the last one are gone. */
void fibers_forget_server(void);

/* Remembers what thread-local variables hold at the start of a thread; once, before any fork. */
void fibers_prepare(void);

#endif
