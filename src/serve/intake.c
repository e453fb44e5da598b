/* SPDX-License-Identifier: ISC */
/*
 * intake.c - taking a message's content in: memory first, a file when it grows
 */
#include "serve/intake.h"

#include "net/offload.h"

enum {
    CONTENT_LIMIT = INTAKE_MEMORY_MAX + (128 << 10) + INTAKE_TOP_MAX,
    RESERVE_MAX = 64 << 10, /* a stranger's word is worth that much memory */
    RESERVE_TRACE = 1024,
    FIRST_GROWTH = 8 << 10, /* most mail without attachments */
    READ_AT_ONCE = 64 << 10 /* on the loop's own thread */
};

static void count(struct intake *i, int64_t bytes)
{
    atomic_fetch_add(i->in_flight, bytes);
    i->counted += bytes;
}

void intake_start(struct intake *i, const struct intake_place *place, void *owner, uint64_t id,
                  atomic_int_least64_t *in_flight, int64_t in_flight_limit, uint64_t expected_bytes)
{
    *i = (struct intake){.place = place,
                         .owner = owner,
                         .in_flight = in_flight,
                         .in_flight_limit = in_flight_limit,
                         .id = id,
                         .file_start = place->top_room,
                         .content = buf_make(CONTENT_LIMIT),
                         .header = buf_make(INTAKE_HEADER_MAX)};
    uint64_t reserved = expected_bytes < RESERVE_MAX ? expected_bytes : RESERVE_MAX;
    buf_reserve(&i->content, (size_t)reserved + RESERVE_TRACE);
    count(i, (int64_t)i->content.size);
}

struct spill {
    struct intake *intake;
    struct buf *top;
    struct fault fault;
};

static void write_out(void *arg)
{
    struct spill *s = arg;
    struct intake *i = s->intake;
    if (!i->file)
        s->fault = i->place->file(i->owner, i->id, &i->file);
    struct iovec part = {i->content.data, i->content.used};
    if (!s->fault.kind)
        s->fault = file_write_at(i->file, &part, 1, (int64_t)(i->file_start + i->file_size));
    if (!s->fault.kind && i->reader.read)
        i->reader.read(i->reader.arg, buf_str(&i->content));
}

static struct fault prepare(struct intake *i)
{
    bool is_due = i->reader.prepare && !i->is_prepared;
    i->is_prepared = true;
    return is_due ? i->reader.prepare(i->reader.arg, &i->content) : FINE;
}

/* Moves what is in memory to the file. */
static struct fault spill(struct intake *i)
{
    struct spill s = {.intake = i, .fault = prepare(i)};
    if (s.fault.kind)
        return s.fault;
    offload(write_out, &s);
    if (i->file_size == 0)
        buf_append(&i->header, str_head(buf_str(&i->content), INTAKE_HEADER_MAX));
    i->file_size += i->content.used;
    i->content.used = 0;
    return s.fault;
}

void intake_add(struct intake *i, struct str content)
{
    while (content.n > 0 && !i->fault.kind) {
        struct str piece = str_head(content, INTAKE_MEMORY_MAX - i->content.used);
        content = str_skip(content, piece.n);
        size_t before = i->content.size;
        if (i->content.size < FIRST_GROWTH && i->content.used + piece.n > i->content.size)
            buf_reserve(&i->content, FIRST_GROWTH - i->content.used);
        buf_append(&i->content, piece);
        count(i, (int64_t)(i->content.size - before));
        if (atomic_load(i->in_flight) > i->in_flight_limit)
            i->fault = fault_make(452, FAULT_STATUS(4, 3, 1),
                                  "too much mail is being received, try again later");
        else if (i->content.used == INTAKE_MEMORY_MAX)
            i->fault = spill(i);
    }
}

struct str intake_header(const struct intake *i)
{
    return i->file ? buf_str(&i->header) : buf_str(&i->content);
}

uint64_t intake_size(const struct intake *i)
{
    return i->file_size + i->content.used;
}

/* Gives everything back but the body file. */
static void release(struct intake *i)
{
    if (i->in_flight)
        atomic_fetch_sub(i->in_flight, i->counted);
    buf_free(&i->content);
    buf_free(&i->header);
    file_close(i->file);
    *i = (struct intake){0};
}

static void discard_file(void *arg)
{
    struct intake *i = arg;
    i->place->discard(i->owner, i->id);
}

void intake_drop(struct intake *i)
{
    if (i->file)
        offload(discard_file, i);
    release(i);
}

/* Puts the fields right in front of the content and makes the file durable. */
static void complete_file(void *arg)
{
    struct spill *s = arg;
    struct intake *i = s->intake;
    struct iovec part = {s->top->data, s->top->used};
    if (s->top->used > 0)
        s->fault = file_write_at(i->file, &part, 1, (int64_t)(i->file_start - s->top->used));
    if (!s->fault.kind)
        s->fault = i->place->sync(i->owner, i->id, i->file);
}

static struct fault put_on_file(struct intake *i, struct buf *top)
{
    struct spill s = {.intake = i, .top = top};
    if (top->used > i->file_start)
        return fault_make(451, FAULT_STATUS(4, 3, 0), "what comes on top has no room");
    offload(complete_file, &s);
    i->file_size += top->used;
    return s.fault;
}

static struct fault put_on_memory(struct intake *i, struct str top)
{
    if (top.n == 0)
        return FINE;
    if (!buf_reserve(&i->content, top.n))
        return fault_make(451, FAULT_STATUS(4, 3, 0), "what comes on top has no room");
    memmove(i->content.data + top.n, i->content.data, i->content.used);
    memcpy(i->content.data, top.p, top.n);
    i->content.used += top.n;
    return FINE;
}

static void read_content(void *arg)
{
    struct intake *i = arg;
    i->reader.read(i->reader.arg, buf_str(&i->content));
}

/* The content that is in memory, when there is no file. */
static struct fault read_memory(struct intake *i)
{
    struct fault f = prepare(i);
    if (f.kind || !i->reader.read)
        return f;
    if (i->content.used > READ_AT_ONCE)
        offload(read_content, i);
    else
        read_content(i);
    return FINE;
}

/* All that stands between the last byte and the owner's promise. */
static struct fault complete(struct intake *i)
{
    struct buf top = buf_make(i->place->top_room);
    struct fault f = i->file ? spill(i) : read_memory(i);
    if (!f.kind && i->reader.judge)
        f = i->reader.judge(i->reader.arg, &top);
    if (!f.kind && i->reader.edit)
        f = i->reader.edit(i->reader.edit_arg, i, &top);
    if (!f.kind && i->file)
        f = put_on_file(i, &top);
    else if (!f.kind)
        f = put_on_memory(i, buf_str(&top));
    buf_free(&top);
    return f;
}

struct fault intake_finish(struct intake *i, intake_accept *accept, void *arg)
{
    struct fault f = i->fault;
    if (!f.kind)
        f = complete(i);
    if (!f.kind)
        f = accept(arg, i->file ? NULL : &i->content, i->file_size);
    if (f.kind)
        intake_drop(i);
    else
        release(i);
    return f;
}
