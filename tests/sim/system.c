/* SPDX-License-Identifier: ISC */
/*
 * system.c - descriptors, readiness, waiting for it; what ends a process
 */
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"
#include "net.h"

enum { CALL_NS = 1500, PAUSE_ONE_IN = 64 };

/* Somebody wants to know about an object through an epoll descriptor. */
struct interest {
    struct interest *next; /* of the object */
    struct interest *next_of_epoll, *next_ready;
    struct epoll *epoll;
    struct object *object;
    struct epoll_event event;
    bool is_queued;
};

struct epoll {
    struct object object;
    struct interest *interests;
    struct interest *first_ready, **ready_end;
    struct fiber *waiter;
};

struct event_counter {
    struct object object;
    uint64_t count;
};

/* ---- the life of a process ---- */

/* How a process ends; main.c reads it. */
enum { EXIT_CRASHED = 77 };

void system_crash(enum system_crash how)
{
    sim_note("crash", how);
    sim_say("the process ends by %s", how == CRASH_POWER ? "a power cut" : "a kill");
    if (how == CRASH_POWER)
        disk_lose_power();
    system_end_process();
    _exit(EXIT_CRASHED);
}

void system_pause(void)
{
    fiber_sleep(sim_between(0, 20000));
}

void system_call(void)
{
    if (!fiber_current() || !fiber_current()->is_server)
        return;
    world->now_ns += CALL_NS;
    if (++world->calls >= world->crash_at_call && !world->is_crash_in_sync)
        system_crash(world->has_crashed_so || sim_chance(1, 2) ? CRASH_POWER : CRASH_KILL);
    if (sim_chance(1, PAUSE_ONE_IN))
        system_pause();
}

void system_sync(void)
{
    system_call();
    if (world->is_crash_in_sync && world->calls >= world->crash_at_call)
        system_crash(CRASH_KILL);
}

void system_end_process(void)
{
    struct net *n = world->net;
    disk_forget_some();
    for (size_t i = 0; i < SYSTEM_DESCRIPTORS; i++) {
        struct object *o = n->descriptor[i];
        n->descriptor[i] = NULL;
        if (!o)
            continue;
        if (o->kind == OBJECT_STREAM)
            net_reset((struct stream *)(void *)o);
        else
            object_drop(o);
    }
    n->descriptor_count = 0;
    n->signal_count = 0;
    n->signal_object = NULL;
    n->poller = NULL;
}

/* ---- descriptors ---- */

struct object *system_object(int descriptor)
{
    int at = descriptor - SYSTEM_FIRST;
    struct object *o = at >= 0 && at < SYSTEM_DESCRIPTORS ? world->net->descriptor[at] : NULL;
    if (!o)
        errno = EBADF;
    return o;
}

int system_open(struct object *o)
{
    struct net *n = world->net;
    for (int i = 0; i < (int)n->descriptor_limit; i++)
        if (!n->descriptor[i]) {
            n->descriptor[i] = o;
            n->descriptor_count++;
            return SYSTEM_FIRST + i;
        }
    object_drop(o);
    errno = EMFILE;
    return -1;
}

static void forget_interest(struct interest *gone)
{
    struct epoll *e = gone->epoll;
    for (struct interest **at = &e->interests; *at; at = &(*at)->next_of_epoll)
        if (*at == gone) {
            *at = gone->next_of_epoll;
            break;
        }
    for (struct interest **at = &e->first_ready; *at; at = &(*at)->next_ready)
        if (*at == gone) {
            *at = gone->next_ready;
            if (!*at)
                e->ready_end = at;
            break;
        }
    for (struct interest **at = &gone->object->interests; *at; at = &(*at)->next)
        if (*at == gone) {
            *at = gone->next;
            break;
        }
    world_free(gone, sizeof *gone);
}

static void epoll_end(struct object *o)
{
    struct epoll *e = (struct epoll *)(void *)o;
    while (e->interests)
        forget_interest(e->interests);
    world_free(e, sizeof *e);
}

static void counter_end(struct object *o)
{
    world_free(o, sizeof(struct event_counter));
}

void object_drop(struct object *o)
{
    static void (*const ends[])(struct object *) = {
        [OBJECT_FILE] = file_end,       [OBJECT_DIRECTORY] = file_end,
        [OBJECT_STREAM] = stream_end,   [OBJECT_LISTENER] = listener_end,
        [OBJECT_EPOLL] = epoll_end,     [OBJECT_EVENT] = counter_end,
        [OBJECT_SIGNALS] = counter_end, [OBJECT_CHANNEL] = channel_end,
        [OBJECT_TEXT] = file_end};
    if (--o->references > 0)
        return;
    while (o->interests)
        forget_interest(o->interests);
    ends[o->kind](o);
}

int system_close(int descriptor)
{
    struct object *o = system_object(descriptor);
    if (!o)
        return -1;
    world->net->descriptor[descriptor - SYSTEM_FIRST] = NULL;
    world->net->descriptor_count--;
    object_drop(o);
    return 0;
}

int close(int descriptor)
{
    if (!system_has(descriptor))
        return (int)syscall(SYS_close, descriptor);
    system_call();
    return system_close(descriptor);
}

ssize_t file_read_on(struct object *o, void *memory, size_t size);
ssize_t file_write_on(struct object *o, const void *memory, size_t size);

static ssize_t read_counter(struct object *o, void *memory)
{
    struct event_counter *c = (struct event_counter *)(void *)o;
    if (c->count == 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(memory, &c->count, sizeof c->count);
    c->count = 0;
    return sizeof c->count;
}

static ssize_t read_signal(void *memory, size_t size)
{
    struct signalfd_siginfo info = {0};
    int number;
    if (size < sizeof info || !system_take_signal(&number)) {
        errno = EAGAIN;
        return -1;
    }
    info.ssi_signo = (uint32_t)number;
    memcpy(memory, &info, sizeof info);
    return sizeof info;
}

ssize_t read(int descriptor, void *memory, size_t size)
{
    if (!system_has(descriptor))
        return syscall(SYS_read, descriptor, memory, size);
    struct object *o = system_object(descriptor);
    system_call();
    if (!o)
        return -1;
    switch (o->kind) {
    case OBJECT_FILE:
    case OBJECT_DIRECTORY:
    case OBJECT_TEXT:
        return file_read_on(o, memory, size);
    case OBJECT_STREAM:
        return stream_read(o, memory, size, false);
    case OBJECT_EVENT:
        return read_counter(o, memory);
    case OBJECT_SIGNALS:
        return read_signal(memory, size);
    case OBJECT_LISTENER:
    case OBJECT_EPOLL:
    case OBJECT_CHANNEL:
        break;
    }
    errno = EINVAL;
    return -1;
}

static ssize_t write_counter(struct object *o, const void *memory)
{
    struct event_counter *c = (struct event_counter *)(void *)o;
    uint64_t more;
    memcpy(&more, memory, sizeof more);
    c->count += more;
    object_changed(o, EPOLLIN);
    return sizeof more;
}

ssize_t write(int descriptor, const void *memory, size_t size)
{
    if (!system_has(descriptor))
        return syscall(SYS_write, descriptor, memory, size);
    struct object *o = system_object(descriptor);
    system_call();
    if (!o)
        return -1;
    switch (o->kind) {
    case OBJECT_FILE:
    case OBJECT_TEXT:
        return file_write_on(o, memory, size);
    case OBJECT_STREAM:
        return stream_write(o, memory, size);
    case OBJECT_EVENT:
        return write_counter(o, memory);
    case OBJECT_DIRECTORY:
    case OBJECT_SIGNALS:
    case OBJECT_LISTENER:
    case OBJECT_EPOLL:
    case OBJECT_CHANNEL:
        break;
    }
    errno = EINVAL;
    return -1;
}

/* ---- readiness ---- */

uint32_t object_ready(const struct object *o)
{
    switch (o->kind) {
    case OBJECT_STREAM:
        return stream_ready(o);
    case OBJECT_LISTENER:
        return listener_ready(o);
    case OBJECT_CHANNEL:
        return channel_ready(o);
    case OBJECT_EVENT:
        return ((const struct event_counter *)(const void *)o)->count > 0 ? EPOLLIN : 0;
    case OBJECT_SIGNALS:
        return system_has_signal() ? EPOLLIN : 0;
    case OBJECT_FILE:
    case OBJECT_DIRECTORY:
    case OBJECT_TEXT:
        return EPOLLIN | EPOLLOUT;
    case OBJECT_EPOLL:
        break;
    }
    return 0;
}

static void queue_ready(struct interest *i)
{
    struct epoll *e = i->epoll;
    if (!i->is_queued) {
        i->is_queued = true;
        i->next_ready = NULL;
        *e->ready_end = i;
        e->ready_end = &i->next_ready;
    }
    if (e->waiter)
        fiber_wake(e->waiter);
}

void object_changed(struct object *o, uint32_t what)
{
    for (struct interest *i = o->interests; i; i = i->next)
        if ((i->event.events | EPOLLERR | EPOLLHUP) & what)
            queue_ready(i);
    if (world->net->poller)
        fiber_wake(world->net->poller);
}

int epoll_create1(int flags)
{
    (void)flags;
    struct epoll *e = world_alloc(sizeof *e);
    e->object = (struct object){.kind = OBJECT_EPOLL, .references = 1};
    e->ready_end = &e->first_ready;
    return system_open(&e->object);
}

int epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event)
{
    struct epoll *e = (struct epoll *)(void *)system_object(epoll);
    struct object *o = system_object(descriptor);
    system_call();
    if (!e || !o)
        return -1;
    struct interest *i = o->interests;
    while (i && i->epoll != e)
        i = i->next;
    if (operation == EPOLL_CTL_DEL && i)
        forget_interest(i);
    if (operation == EPOLL_CTL_DEL)
        return 0;
    if (operation != EPOLL_CTL_ADD || i) {
        errno = EEXIST;
        return -1;
    }
    i = world_alloc(sizeof *i);
    *i = (struct interest){.next = o->interests,
                           .next_of_epoll = e->interests,
                           .epoll = e,
                           .object = o,
                           .event = *event};
    o->interests = e->interests = i;
    if (object_ready(o) & (event->events | EPOLLERR | EPOLLHUP))
        queue_ready(i);
    return 0;
}

static int take_ready(struct epoll *e, struct epoll_event *out, int most)
{
    int count = 0;
    struct interest *first = e->first_ready, *next;
    e->first_ready = NULL;
    e->ready_end = &e->first_ready;
    for (struct interest *i = first; i; i = next) {
        next = i->next_ready;
        i->is_queued = false;
        uint32_t ready = object_ready(i->object) & (i->event.events | EPOLLERR | EPOLLHUP);
        if (ready && count < most)
            out[count++] = (struct epoll_event){.events = ready, .data = i->event.data};
        else if (!ready)
            continue;
        else {
            queue_ready(i);
            continue;
        }
        if (!(i->event.events & EPOLLET))
            queue_ready(i);
    }
    return count;
}

int epoll_wait(int epoll, struct epoll_event *out, int most, int timeout)
{
    struct epoll *e = (struct epoll *)(void *)system_object(epoll);
    system_call();
    if (!e)
        return -1;
    int count = take_ready(e, out, most);
    int64_t deadline = timeout < 0 ? SIM_NEVER : world->now_ns + (int64_t)timeout * SIM_MS;
    bool is_over = timeout == 0;
    while (count == 0 && !is_over) {
        e->waiter = fiber_current();
        is_over = !fiber_wait_until(deadline);
        e->waiter = NULL;
        count = take_ready(e, out, most);
    }
    return count;
}

static int look_at(struct pollfd *wait, nfds_t count)
{
    int found = 0;
    for (nfds_t i = 0; i < count; i++) {
        struct object *o = wait[i].fd < 0 ? NULL : system_object(wait[i].fd);
        uint32_t ready = o ? object_ready(o) & ((uint16_t)wait[i].events | EPOLLERR | EPOLLHUP) : 0;
        wait[i].revents = (short)ready;
        found += ready != 0;
    }
    return found;
}

int poll(struct pollfd *wait, nfds_t count, int timeout)
{
    system_call();
    int64_t deadline = timeout < 0 ? SIM_NEVER : world->now_ns + (int64_t)timeout * SIM_MS;
    int found = look_at(wait, count);
    for (bool is_over = timeout == 0; found == 0 && !is_over; found = look_at(wait, count)) {
        struct fiber *before = world->net->poller;
        world->net->poller = fiber_current();
        is_over = !fiber_wait_until(deadline);
        world->net->poller = before;
    }
    return found;
}

int eventfd(unsigned count, int flags)
{
    (void)flags;
    struct event_counter *c = world_alloc(sizeof *c);
    *c = (struct event_counter){{.kind = OBJECT_EVENT, .references = 1}, count};
    return system_open(&c->object);
}

/* ---- signals ---- */

int signalfd(int descriptor, const sigset_t *set, int flags)
{
    (void)descriptor;
    (void)set;
    (void)flags;
    struct event_counter *c = world_alloc(sizeof *c);
    c->object = (struct object){.kind = OBJECT_SIGNALS, .references = 1};
    world->net->signal_object = &c->object;
    return system_open(&c->object);
}

void system_signal(int number)
{
    struct net *n = world->net;
    if (n->signal_count < sizeof n->signals / sizeof n->signals[0])
        n->signals[n->signal_count++] = number;
    if (n->signal_object)
        object_changed(n->signal_object, EPOLLIN);
}

bool system_has_signal(void)
{
    return world->net->signal_count > 0;
}

bool system_take_signal(int *number)
{
    struct net *n = world->net;
    if (n->signal_count == 0)
        return false;
    *number = n->signals[0];
    memmove(n->signals, n->signals + 1, --n->signal_count * sizeof n->signals[0]);
    return true;
}

int kill(pid_t process, int number)
{
    if (!world)
        return (int)syscall(SYS_kill, process, number);
    (void)process;
    system_signal(number);
    return 0;
}

pid_t getpid(void)
{
    return world ? 1000 + (pid_t)world->process : (pid_t)syscall(SYS_getpid);
}

/* ---- time and chance ---- */

int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (!world)
        return (int)syscall(SYS_clock_gettime, clock, out);
    int64_t now = world->now_ns + (clock == CLOCK_REALTIME ? world->real_ns : 0);
    *out = (struct timespec){now / SIM_SECOND, now % SIM_SECOND};
    return 0;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *rest, struct timespec *left)
{
    (void)clock;
    (void)flags;
    (void)left;
    system_call();
    fiber_sleep((int64_t)rest->tv_sec * SIM_SECOND + rest->tv_nsec);
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

ssize_t getrandom(void *memory, size_t size, unsigned flags)
{
    if (!world)
        return syscall(SYS_getrandom, memory, size, flags);
    for (size_t done = 0; done < size;) {
        uint64_t chance = sim_random();
        size_t n = size - done < sizeof chance ? size - done : sizeof chance;
        memcpy((char *)memory + done, &chance, n);
        done += n;
    }
    return (ssize_t)size;
}

int malloc_trim(size_t pad)
{
    (void)pad;
    return 0;
}
