/* SPDX-License-Identifier: ISC */
/*
 * log.c - the file that the events go to
 *
 * A thread's buffer has a lock that is held for one copy of a line, or for the exchange of the full
 * memory for an empty one; nobody holds it while the file is written. Buffers stay until the log is
 * closed, also those of threads that ended.
 */
#include "event/log.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/list.h"
#include "event/event.h"
#include "os/file.h"
#include "os/random.h"
#include "os/thread.h"

struct thread_buffer {
    struct list link;
    const void *owner; /* the thread, by the address of what it keeps for itself */
    struct mutex lock;
    struct buf lines;
    int64_t dropped;
};

struct event_log {
    uint64_t id; /* tells this log from one that had its address before */
    struct mutex lock;
    struct list buffers;
    atomic_bool has_lines;
    void (*tell)(void *arg);
    void *tell_arg;
    struct mutex flush_lock; /* guards what stands below */
    char *path;
    struct file *file;
    int64_t size;   /* bytes in the file, all of them whole lines */
    bool is_torn;   /* there may be a part of a line behind them */
    bool is_shared; /* another process writes to it, too: size may be too small */
    int64_t size_max;
    unsigned file_count;
    struct buf spare; /* what a buffer's memory is exchanged for */
};

/* The calling thread's buffer of the log it used last. */
static _Thread_local struct {
    uint64_t id;
    struct thread_buffer *buffer;
} mine;

static struct fault open_file(struct event_log *log)
{
    struct fault f = file_open(log->path, FILE_APPEND, &log->file);
    return f.kind ? f : file_size(log->file, &log->size);
}

/* A kill in the middle of a write leaves a part of a line, which the next one must not be behind.
 * It stays as it is: somebody may follow the file. */
static struct fault end_torn_line(struct event_log *log)
{
    struct file *reader;
    char last = '\n';
    size_t got = 0;
    if (log->size == 0)
        return FINE;
    struct fault f = file_open(log->path, FILE_READ, &reader);
    if (f.kind)
        return f;
    f = file_read_at(reader, &last, 1, log->size - 1, &got);
    file_close(reader);
    if (!f.kind && last != '\n')
        f = file_append(log->file, STR("\n"));
    return f.kind ? f : file_size(log->file, &log->size);
}

struct fault event_log_open(const char *path, int64_t size_bytes, unsigned file_count,
                            bool is_shared, struct event_log **out)
{
    struct event_log *log = calloc(1, sizeof *log);
    *out = NULL;
    if (!log || !(log->path = strdup(path)))
        abort();
    log->id = random_u64();
    mutex_init(&log->lock);
    mutex_init(&log->flush_lock);
    list_init(&log->buffers);
    log->size_max = size_bytes;
    log->file_count = file_count;
    log->is_shared = is_shared;
    log->spare = buf_make(EVENT_BUFFER_BYTES);
    struct fault f = open_file(log);
    if (!f.kind && !is_shared)
        (void)end_torn_line(log); /* on a full disk it stays torn: what matters more goes on */
    if (f.kind)
        event_log_close(log);
    else
        *out = log;
    return f;
}

static struct thread_buffer *make_buffer(struct event_log *log)
{
    struct thread_buffer *b = calloc(1, sizeof *b);
    if (!b)
        abort();
    mutex_init(&b->lock);
    b->owner = &mine;
    b->lines = buf_make(EVENT_BUFFER_BYTES);
    list_push_back(&log->buffers, &b->link);
    return b;
}

/* A thread may write to several logs by turns (serve --single); one that began where another had
 * ended takes over its buffer. */
static struct thread_buffer *find_buffer(struct event_log *log)
{
    if (mine.id == log->id && mine.buffer)
        return mine.buffer;
    struct thread_buffer *b = NULL;
    mutex_lock(&log->lock);
    LIST_EACH(link, &log->buffers)
    {
        struct thread_buffer *other = LIST_ENTRY(link, struct thread_buffer, link);
        if (other->owner == &mine)
            b = other;
    }
    if (!b)
        b = make_buffer(log);
    mutex_unlock(&log->lock);
    mine.id = log->id;
    mine.buffer = b;
    return b;
}

void event_log_add(struct event_log *log, struct str line)
{
    struct thread_buffer *b = find_buffer(log);
    mutex_lock(&b->lock);
    if (!buf_append(&b->lines, line))
        b->dropped++;
    mutex_unlock(&b->lock);
    if (!atomic_load_explicit(&log->has_lines, memory_order_relaxed) &&
        !atomic_exchange(&log->has_lines, true) && log->tell)
        log->tell(log->tell_arg);
}

void event_log_tell(struct event_log *log, void (*tell)(void *arg), void *arg)
{
    log->tell = tell;
    log->tell_arg = arg;
}

/* path becomes path.1, path.1 becomes path.2 ...; the oldest goes. */
static struct fault rotate(struct event_log *log)
{
    struct fault f = FINE;
    struct arena a = arena_make(64 * 1024);
    file_close(log->file);
    log->file = NULL;
    for (unsigned i = log->file_count; i > 0 && !f.kind; i--) {
        struct str from =
            i > 1 ? arena_printf(&a, "%s.%u", log->path, i - 1) : arena_printf(&a, "%s", log->path);
        struct str to = arena_printf(&a, "%s.%u", log->path, i);
        if (file_exists(from.p))
            f = file_rename(from.p, to.p);
    }
    arena_free(&a);
    struct fault opened = open_file(log);
    return f.kind ? f : opened;
}

void event_log_share(struct event_log *log, bool is_shared)
{
    mutex_lock(&log->flush_lock);
    if (log->is_shared && !is_shared) {
        file_close(log->file);
        log->file = NULL;
        if (!open_file(log).kind)
            (void)end_torn_line(log);
    }
    log->is_shared = is_shared;
    mutex_unlock(&log->flush_lock);
}

/* A full disk takes a part of what is written: what would come behind it must not be in its line. */
static struct fault mend(struct event_log *log)
{
    struct fault f = FINE;
    if (log->is_torn)
        f = log->is_shared ? file_append(log->file, STR("\n"))
                           : file_truncate(log->file, log->size);
    log->is_torn = log->is_torn && f.kind;
    return f;
}

static struct fault write_lines(struct event_log *log, struct str lines)
{
    struct fault f = FINE;
    if (!log->file)
        f = open_file(log);
    if (!f.kind)
        f = mend(log);
    if (!f.kind && !log->is_shared && log->size > 0 && log->size + (int64_t)lines.n > log->size_max)
        f = rotate(log);
    if (f.kind)
        return f;
    f = file_append(log->file, lines);
    log->is_torn = f.kind != 0;
    if (!f.kind)
        log->size += (int64_t)lines.n;
    else
        (void)mend(log); /* if not now, before the next line */
    return f;
}

/* Writes what one thread has collected. */
static struct fault flush_buffer(struct event_log *log, struct thread_buffer *b)
{
    mutex_lock(&b->lock);
    struct buf full = b->lines;
    int64_t dropped = b->dropped;
    b->lines = log->spare;
    b->dropped = 0;
    mutex_unlock(&b->lock);
    struct fault f = full.used > 0 ? write_lines(log, buf_str(&full)) : FINE;
    if (f.kind)
        for (size_t i = 0; i < full.used; i++)
            dropped += full.data[i] == '\n';
    full.used = 0;
    log->spare = full;
    if (dropped > 0 && !f.kind) {
        struct event e;
        event_begin(&e, log, "log.dropped");
        event_number(&e, "count", dropped);
        event_end(&e);
    } else if (dropped > 0) {
        mutex_lock(&b->lock);
        b->dropped += dropped;
        mutex_unlock(&b->lock);
    }
    return f;
}

struct fault event_flush(struct event_log *log)
{
    struct fault first = FINE;
    mutex_lock(&log->flush_lock);
    atomic_store(&log->has_lines, false); /* a line that comes from here on sets it again */
    mutex_lock(&log->lock);
    struct list *end = log->buffers.prev;
    mutex_unlock(&log->lock);
    /* Buffers are only ever added behind: up to end the list does not change. */
    for (struct list *link = &log->buffers; link != end;) {
        mutex_lock(&log->lock);
        link = link->next;
        mutex_unlock(&log->lock);
        struct fault f = flush_buffer(log, LIST_ENTRY(link, struct thread_buffer, link));
        if (!first.kind)
            first = f;
    }
    mutex_unlock(&log->flush_lock);
    return first;
}

void event_log_close(struct event_log *log)
{
    struct list *link;
    if (!log)
        return;
    if (log->file)
        event_flush(log);
    while ((link = list_pop_front(&log->buffers)) != NULL) {
        struct thread_buffer *b = LIST_ENTRY(link, struct thread_buffer, link);
        buf_free(&b->lines);
        mutex_destroy(&b->lock);
        free(b);
    }
    file_close(log->file);
    buf_free(&log->spare);
    mutex_destroy(&log->lock);
    mutex_destroy(&log->flush_lock);
    free(log->path);
    free(log);
}
