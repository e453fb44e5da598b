/* SPDX-License-Identifier: ISC */
/*
 * system.h - the kernel of the simulated machine: descriptors and what they stand for
 *
 * The server's calls to the C library that would reach the kernel are answered here and in
 * *_calls.c. Descriptors below SYSTEM_FIRST are the real process's and go to the real kernel.
 */
#ifndef SIM_SYSTEM_H
#define SIM_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "world.h"

enum { SYSTEM_FIRST = 1 << 20, SYSTEM_DESCRIPTORS = 4096 };

enum object_kind {
    OBJECT_FILE,
    OBJECT_DIRECTORY,
    OBJECT_STREAM,
    OBJECT_LISTENER,
    OBJECT_EPOLL,
    OBJECT_EVENT,
    OBJECT_SIGNALS,
    OBJECT_CHANNEL,
    OBJECT_TEXT
};

struct interest;

/* What a descriptor refers to; the first member of each kind's own record. */
struct object {
    enum object_kind kind;
    unsigned references;
    struct interest *interests;
    int flags; /* O_NONBLOCK and the like */
};

/* Before each call of the server: it may be its last, and time goes on. */
void system_call(void);

/* In the middle of a sync, of which nothing has happened yet. */
void system_sync(void);

/* Lets the other threads run, and time pass. */
void system_pause(void);

/* The object of a descriptor of the simulated machine, or NULL with errno EBADF. */
struct object *system_object(int descriptor);
static inline bool system_has(int descriptor)
{
    return descriptor >= SYSTEM_FIRST;
}

/* A new descriptor for the object, which it owns one reference to; -1 with errno EMFILE. */
int system_open(struct object *o);
int system_close(int descriptor);

/* Takes a reference back; the last one ends the object. */
void object_drop(struct object *o);

/* What can be done without waiting, as epoll's bits; and that it has just become possible. */
uint32_t object_ready(const struct object *o);
void object_changed(struct object *o, uint32_t what);

/* Forgets every descriptor: the process is gone. Streams are reset. */
void system_end_process(void);

/* Asks the server to stop, as a signal does; cleared when it is gone. */
void system_signal(int number);
bool system_take_signal(int *number);
bool system_has_signal(void);

/* How the process ends in the middle: at a call, or because the power is gone. */
enum system_crash { CRASH_KILL, CRASH_POWER };
_Noreturn void system_crash(enum system_crash how);

/* What each kind does at its end and can do; in the files of their calls. */
void stream_end(struct object *o);
void listener_end(struct object *o);
void file_end(struct object *o);
void channel_end(struct object *o);
uint32_t stream_ready(const struct object *o);
uint32_t listener_ready(const struct object *o);
uint32_t channel_ready(const struct object *o);
ptrdiff_t stream_read(struct object *o, void *memory, size_t size, bool is_peek);
ptrdiff_t stream_write(struct object *o, const void *memory, size_t size);

#endif
