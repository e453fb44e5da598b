/* SPDX-License-Identifier: ISC */
/*
 * outgoing.c - a message's content on its way to the next hop: as it is, or converted to 7 bit
 *
 * Content that is in memory and goes as it is is never copied; everything else is read and
 * converted in pieces on the offload threads.
 */
#include "send/outgoing.h"

#include <assert.h>

#include "net/offload.h"

enum { BODY_CHUNK = 256 << 10, CONVERTED_CHUNK = 64 << 10 };

struct outgoing outgoing_make(struct queue *q, const struct queue_message *m)
{
    return (struct outgoing){.queue = q, .message = m, .size_bytes = m->body_size};
}

void outgoing_free(struct outgoing *c)
{
    sevenbit_free(c->sevenbit);
    c->sevenbit = NULL;
}

/* Passes over the stored content, on an offload thread. */
struct pass {
    struct outgoing *content;
    struct fault fault;
};

static struct fault stored_piece(const struct outgoing *c, size_t at, size_t size, struct buf *room,
                                 struct str *out)
{
    if (c->message->body_kind == QUEUE_BODY_MEMORY) {
        *out = str_head(str_skip(str_make(c->message->body, c->message->body_size), at), size);
        return FINE;
    }
    room->used = 0;
    struct fault f = queue_read_body(c->queue, c->message, at, size, room);
    *out = buf_str(room);
    return f;
}

static void find_8bit(struct pass *p)
{
    struct outgoing *c = p->content;
    struct buf room = buf_make(BODY_CHUNK + 1);
    struct str piece;
    for (size_t at = 0; at < c->message->body_size && !p->fault.kind && !c->has_8bit;
         at += BODY_CHUNK) {
        p->fault = stored_piece(c, at, BODY_CHUNK, &room, &piece);
        c->has_8bit = !p->fault.kind && str_has_8bit(piece);
    }
    buf_free(&room);
}

/* The first reading of the conversion, which tells headers from bodies. */
static void find_parts(struct pass *p)
{
    struct outgoing *c = p->content;
    struct buf room = buf_make(CONVERTED_CHUNK + 1);
    struct str piece;
    c->sevenbit = sevenbit_make();
    for (size_t at = 0; at < c->message->body_size && !p->fault.kind; at += CONVERTED_CHUNK) {
        p->fault = stored_piece(c, at, CONVERTED_CHUNK, &room, &piece);
        if (!p->fault.kind)
            sevenbit_look(c->sevenbit, piece);
    }
    buf_free(&room);
    if (p->fault.kind)
        return;
    c->why_not_7bit = sevenbit_look_end(c->sevenbit);
    c->has_8bit_header = sevenbit_header(c->sevenbit) != SEVENBIT_HEADER_ASCII;
}

static void look(void *arg)
{
    struct pass *p = arg;
    find_8bit(p);
    if (p->content->has_8bit)
        find_parts(p);
}

struct fault outgoing_look(struct outgoing *c)
{
    struct pass p = {.content = c};
    offload(look, &p);
    return p.fault;
}

/* The second reading, for the size. */
static void measure(void *arg)
{
    struct pass *p = arg;
    struct outgoing *c = p->content;
    struct buf room = buf_make(CONVERTED_CHUNK + 1);
    struct buf out = buf_make(SEVENBIT_OUTPUT_MAX(CONVERTED_CHUNK));
    struct str piece;
    uint64_t converted = 0;
    for (size_t at = 0; at < c->message->body_size && !p->fault.kind; at += CONVERTED_CHUNK) {
        p->fault = stored_piece(c, at, CONVERTED_CHUNK, &room, &piece);
        if (p->fault.kind)
            break;
        out.used = 0;
        sevenbit_convert(c->sevenbit, piece, &out);
        converted += out.used;
    }
    if (!p->fault.kind) {
        out.used = 0;
        sevenbit_convert_end(c->sevenbit, &out);
        c->size_bytes = converted + out.used;
        c->is_converted = true;
    }
    buf_free(&room);
    buf_free(&out);
}

struct fault outgoing_convert(struct outgoing *c)
{
    assert(c->sevenbit);
    struct pass p = {.content = c, .fault = c->why_not_7bit};
    if (!p.fault.kind)
        offload(measure, &p);
    return p.fault;
}

struct outgoing_reader outgoing_read(struct outgoing *c)
{
    return (struct outgoing_reader){.content = c,
                                    .is_lasting = !c->is_converted &&
                                                  c->message->body_kind == QUEUE_BODY_MEMORY,
                                    .stored = buf_make(BODY_CHUNK + 1),
                                    .converted = buf_make(SEVENBIT_OUTPUT_MAX(CONVERTED_CHUNK))};
}

void outgoing_read_end(struct outgoing_reader *r)
{
    buf_free(&r->stored);
    buf_free(&r->converted);
}

static void read_piece(void *arg)
{
    struct outgoing_reader *r = arg;
    struct outgoing *c = r->content;
    size_t size = c->is_converted ? CONVERTED_CHUNK : BODY_CHUNK;
    r->fault = stored_piece(c, r->at, size, &r->stored, &r->piece);
    r->at += size;
    r->is_at_end = r->at >= c->message->body_size;
    if (!c->is_converted || r->fault.kind)
        return;
    r->converted.used = 0;
    sevenbit_convert(c->sevenbit, r->piece, &r->converted);
    if (r->is_at_end)
        sevenbit_convert_end(c->sevenbit, &r->converted);
    r->piece = buf_str(&r->converted);
}

bool outgoing_next(struct outgoing_reader *r)
{
    const struct queue_message *m = r->content->message;
    if (r->is_at_end || r->fault.kind || m->body_size == 0)
        return false;
    if (r->is_lasting) {
        r->piece = str_make(m->body, m->body_size);
        r->is_at_end = true;
        return true;
    }
    offload(read_piece, r);
    return !r->fault.kind;
}
