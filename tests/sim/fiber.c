/* SPDX-License-Identifier: ISC */
/*
 * fiber.c - the server's threads and the peers, one at a time
 *
 * The scheduler runs on the process's own stack. A fiber of the server has thread-local variables of
 * its own: the block that holds the program's is exchanged when another of them runs. Stacks and
 * records of peers are in the world, those of the server's fibers, too, so that they can be
 * forgotten after its process has ended.
 */
#include "world.h"

#include <errno.h>
#include <link.h>
#include <string.h>

#ifndef PT_TLS
#define PT_TLS 7
#endif

static struct switch_context scheduler;
static struct fiber *current;
static struct fiber *loaded; /* whose thread-local variables are in place */
static char *locals;
static size_t locals_size;
static char pristine[16384];

static int find_locals(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            locals = info->dlpi_tls_data;
            locals_size = info->dlpi_phdr[i].p_memsz;
        }
    return 1; /* the program comes first, and is all that is asked for */
}

void fibers_prepare(void)
{
    dl_iterate_phdr(find_locals, NULL);
    if (locals_size > sizeof pristine)
        sim_broken("%zu bytes of thread-local variables", locals_size);
    memcpy(pristine, locals, locals_size);
    switch_init_thread(&scheduler);
}

struct fiber *fiber_current(void)
{
    return current;
}

static void become_runnable(struct fiber *f)
{
    f->is_runnable = true;
    world->runnable[world->runnable_count++] = f;
}

static void run_fiber(void *arg)
{
    struct fiber *f = arg;
    switch_entered(&f->context);
    f->run(f->arg);
    f->has_ended = true;
    switch_leave(&f->context, &scheduler);
}

struct fiber *fiber_start(const char *name, bool is_server, size_t stack_bytes,
                          void (*run)(void *arg), void *arg)
{
    if (world->fiber_count == FIBERS_MOST)
        sim_broken("too many fibers");
    struct fiber *f = world_alloc(sizeof *f);
    *f = (struct fiber){.name = name,
                        .run = run,
                        .arg = arg,
                        .is_server = is_server,
                        .stack_size = stack_bytes,
                        .alarm_ns = SIM_NEVER,
                        .deadline_ns = SIM_NEVER,
                        .number = ++world->fiber_last};
    f->stack = world_take(stack_bytes);
    if (is_server) {
        f->locals = world_alloc(locals_size + 1);
        memcpy(f->locals, pristine, locals_size);
    }
    switch_init(&f->context, f->stack, stack_bytes, run_fiber, f);
    world->fibers[world->fiber_count++] = f;
    become_runnable(f);
    return f;
}

static void release(struct fiber *f)
{
    for (size_t i = 0; i < world->fiber_count; i++)
        if (world->fibers[i] == f) {
            world->fibers[i] = world->fibers[--world->fiber_count];
            break;
        }
    if (loaded == f)
        loaded = NULL;
    switch_free(&f->context);
    world_free(f->stack, f->stack_size);
    if (f->locals)
        world_free(f->locals, locals_size + 1);
    world_free(f, sizeof *f);
}

static void load_locals(struct fiber *f)
{
    if (!f->is_server || loaded == f)
        return;
    if (loaded)
        memcpy(loaded->locals, locals, locals_size);
    memcpy(locals, f->locals, locals_size);
    loaded = f;
}

void fiber_run_one(void)
{
    size_t at = world->runnable_count == 1 ? 0 : (size_t)sim_below(world->runnable_count);
    struct fiber *f = world->runnable[at];
    world->runnable[at] = world->runnable[--world->runnable_count];
    f->is_runnable = false;
    current = f;
    load_locals(f);
    errno = f->saved_errno;
    switch_to(&scheduler, &f->context);
    f->saved_errno = errno;
    current = NULL;
    if (f->has_ended)
        release(f);
}

static void leave(struct fiber *f)
{
    int error = errno;
    switch_to(&f->context, &scheduler);
    errno = error;
}

/* One alarm of a fiber is under way at most: it rings when the earliest wait would be over, and is
 * set again for a later one. */
static void alarm_rings(void *arg, uint64_t number);

static void set_alarm(struct fiber *f, int64_t at_ns)
{
    if (at_ns >= f->alarm_ns)
        return;
    f->alarm_ns = at_ns;
    sim_after(at_ns - world->now_ns, alarm_rings, f, f->number);
}

static bool is_alive(const struct fiber *f, uint64_t number)
{
    for (size_t i = 0; i < world->fiber_count; i++)
        if (world->fibers[i] == f)
            return f->number == number;
    return false;
}

static void alarm_rings(void *arg, uint64_t number)
{
    struct fiber *f = arg;
    if (!is_alive(f, number) || f->alarm_ns > world->now_ns)
        return;
    f->alarm_ns = SIM_NEVER;
    if (f->is_runnable || f->deadline_ns == SIM_NEVER)
        return;
    if (f->deadline_ns > world->now_ns) {
        set_alarm(f, f->deadline_ns);
        return;
    }
    f->is_timed_out = true;
    become_runnable(f);
}

bool fiber_wait_until(int64_t at_ns)
{
    struct fiber *f = current;
    f->is_timed_out = false;
    f->deadline_ns = at_ns;
    if (at_ns != SIM_NEVER)
        set_alarm(f, at_ns);
    leave(f);
    f->deadline_ns = SIM_NEVER;
    return !f->is_timed_out;
}

void fiber_wake(struct fiber *f)
{
    if (!f->is_runnable && f != current)
        become_runnable(f);
}

void fiber_sleep(int64_t ns)
{
    int64_t end = world->now_ns + ns;
    while (world->now_ns < end)
        fiber_wait_until(end);
}

void fiber_yield(void)
{
    become_runnable(current);
    leave(current);
}

void fibers_forget_server(void)
{
    world->runnable_count = 0;
    for (size_t i = 0; i < world->fiber_count;) {
        struct fiber *f = world->fibers[i];
        if (f->is_server) {
            release(f);
            continue;
        }
        if (f->is_runnable)
            world->runnable[world->runnable_count++] = f;
        i++;
    }
    loaded = NULL;
}
