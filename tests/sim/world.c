/* SPDX-License-Identifier: ISC */
/*
 * world.c - memory, chance and time of a run
 */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct world *world;

enum {
    SMALLEST_SHIFT = 5,
    SMALL_BYTES = 4096,
    BATCH_BYTES = 32 * SMALL_BYTES,
    EPOCH_S = 1800000000
};

static uint64_t mix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

void world_seed(uint64_t seed)
{
    world->seed = seed;
    world->random[0] = mix(&seed);
    world->random[1] = mix(&seed);
}

void world_make(void *memory, size_t size_bytes, uint64_t seed)
{
    world = memory;
    memset(world, 0, sizeof *world);
    world_seed(seed);
    world->memory = (char *)memory + ((sizeof *world + 63) & ~(size_t)63);
    world->memory_end = (char *)memory + size_bytes;
    world->now_ns = SIM_SECOND;
    world->real_ns = (int64_t)EPOCH_S * SIM_SECOND;
    world->events = world_alloc(EVENTS_MOST * sizeof *world->events);
    world->fibers = world_alloc(FIBERS_MOST * sizeof *world->fibers);
    world->runnable = world_alloc(FIBERS_MOST * sizeof *world->runnable);
    world->crash_at_call = UINT64_MAX;
}

void sim_broken(const char *format, ...)
{
    va_list args;
    fprintf(stderr, "simulation of seed %llu: ", world ? (unsigned long long)world->seed : 0);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

static unsigned class_of(size_t size_bytes)
{
    unsigned class = 0;
    while (((size_t)1 << (SMALLEST_SHIFT + class)) < size_bytes)
        class ++;
    if (class >= CLASSES)
        sim_broken("%zu bytes asked of the world", size_bytes);
    return class;
}

static char *new_memory(size_t room)
{
    char *at = world->memory;
    if ((size_t)(world->memory_end - at) < room)
        sim_broken("the world is full");
    world->memory += room;
    return at;
}

/* The pages of a batch are asked for together: one by one they cost far more. */
static char *new_piece(size_t room)
{
    if ((size_t)(world->batch_end - world->batch) < room) {
        world->batch = new_memory(BATCH_BYTES);
        world->batch_end = world->batch + BATCH_BYTES;
        char *first = world->batch - (uintptr_t)world->batch % SMALL_BYTES;
        madvise(first, BATCH_BYTES, MADV_POPULATE_WRITE);
    }
    char *at = world->batch;
    world->batch += room;
    return at;
}

void *world_take(size_t size_bytes)
{
    unsigned class = class_of(size_bytes);
    size_t room = (size_t)1 << (SMALLEST_SHIFT + class);
    void *at = world->free[class];
    if (at)
        memcpy(&world->free[class], at, sizeof at);
    else
        at = room <= SMALL_BYTES ? new_piece(room) : new_memory(room);
    return at;
}

void *world_alloc(size_t size_bytes)
{
    return memset(world_take(size_bytes), 0, size_bytes);
}

void world_free(void *memory, size_t size_bytes)
{
    if (!memory)
        return;
    unsigned class = class_of(size_bytes);
    memcpy(memory, &world->free[class], sizeof world->free[class]);
    world->free[class] = memory;
}

/* xoroshiro128+ (Blackman, Vigna) */
uint64_t sim_random(void)
{
    uint64_t a = world->random[0], b = world->random[1], sum = a + b;
    b ^= a;
    world->random[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
    world->random[1] = (b << 37) | (b >> 27);
    return sum;
}

uint64_t sim_below(uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)sim_random() * limit) >> 64);
}

int64_t sim_between(int64_t least, int64_t most)
{
    return least + (int64_t)sim_below((uint64_t)(most - least) + 1);
}

bool sim_chance(uint64_t n, uint64_t of)
{
    return sim_below(of) < n;
}

void sim_note(const char *what, uint64_t number)
{
    uint64_t d = world->digest;
    for (; *what; what++)
        d = (d ^ (unsigned char)*what) * 0x100000001b3;
    d = (d ^ number) * 0x100000001b3;
    d = (d ^ (uint64_t)world->now_ns) * 0x100000001b3;
    world->digest = d ^ (d >> 29);
}

void sim_tell(const char *lines, size_t size)
{
    if (!world->story[0])
        return;
    for (const char *line = lines, *end; line < lines + size; line = end + 1) {
        end = memchr(line, '\n', (size_t)(lines + size - line));
        if (!end)
            break;
        if (memmem(line, (size_t)(end - line), world->story, strlen(world->story)))
            fprintf(stderr, "%.*s\n", (int)(end - line), line);
    }
}

void sim_say(const char *format, ...)
{
    va_list args;
    if (!world->story[0])
        return;
    fprintf(stderr, "%.6f s: ", (double)world->now_ns / (double)SIM_SECOND);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

void sim_after(int64_t ns, void (*run)(void *arg, uint64_t number), void *arg, uint64_t number)
{
    if (world->event_count == EVENTS_MOST)
        sim_broken("too many events");
    struct sim_event e = {world->now_ns + (ns > 0 ? ns : 0), world->event_order++, run, arg,
                          number};
    size_t at = world->event_count++;
    for (; at > 0 && is_before(&e, &world->events[(at - 1) / 2]); at = (at - 1) / 2)
        world->events[at] = world->events[(at - 1) / 2];
    world->events[at] = e;
}

static struct sim_event take_event(void)
{
    struct sim_event *events = world->events, first = events[0];
    struct sim_event last = events[--world->event_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < world->event_count; at = child) {
        if (child + 1 < world->event_count && is_before(&events[child + 1], &events[child]))
            child++;
        if (!is_before(&events[child], &last))
            break;
        events[at] = events[child];
    }
    events[at] = last;
    return first;
}

bool world_run(bool (*done)(void))
{
    while (!done()) {
        bool is_due = world->event_count > 0 && world->events[0].at_ns <= world->now_ns;
        if (world->runnable_count > 0 && !is_due) {
            fiber_run_one();
            continue;
        }
        if (world->event_count == 0)
            return false;
        struct sim_event e = take_event();
        if (e.at_ns > world->now_ns)
            world->now_ns = e.at_ns;
        e.run(e.arg, e.number);
    }
    return true;
}
