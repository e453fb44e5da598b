/* SPDX-License-Identifier: ISC */
/*
 * outgoing.c - a message's content on its way to the next hop: as it is, or converted to 7 bit
 *
 * Content that is in memory and goes as it is is never copied; everything else is read and
 * converted in pieces on the offload threads.
 */
#include "send/outgoing.h"

#include <assert.h>

#include "mail/header.h"
#include "net/offload.h"
#include "os/clock.h"
#include "sign/signing.h"

enum {
    BODY_CHUNK = 256 << 10,
    CONVERTED_CHUNK = 64 << 10,
    SIGNED_HEADER_MAX = 512 << 10,
    SIGNATURES_MAX = KEY_SET_MAX * DKIM_SIGN_FIELD_MAX
};

struct outgoing outgoing_make(struct queue *q, const struct queue_message *m, struct key_ring *keys)
{
    return (struct outgoing){.queue = q,
                             .message = m,
                             .keys = keys,
                             .size_bytes = m->body_size,
                             .signatures = buf_make(SIGNATURES_MAX)};
}

void outgoing_free(struct outgoing *c)
{
    sevenbit_free(c->sevenbit);
    c->sevenbit = NULL;
    buf_free(&c->signatures);
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

/* A second reading: everything that is sent, in pieces. */
struct reading {
    struct outgoing *content;
    uint64_t size;           /* of it */
    struct buf head;         /* its first octets */
    struct signing *signing; /* gets all of it; or NULL */
    struct fault fault;
};

static void take_converted(struct reading *r, struct str piece)
{
    if (r->signing)
        signing_add(r->signing, piece);
    else
        buf_append(&r->head, str_head(piece, r->head.limit - r->head.used));
    r->size += piece.n;
}

static void read_converted(void *arg)
{
    struct reading *r = arg;
    struct outgoing *c = r->content;
    struct buf room = buf_make(CONVERTED_CHUNK + 1);
    struct buf out = buf_make(SEVENBIT_OUTPUT_MAX(CONVERTED_CHUNK));
    struct str piece;
    for (size_t at = 0; at < c->message->body_size && !r->fault.kind; at += CONVERTED_CHUNK) {
        r->fault = stored_piece(c, at, CONVERTED_CHUNK, &room, &piece);
        if (r->fault.kind)
            break;
        out.used = 0;
        sevenbit_convert(c->sevenbit, piece, &out);
        take_converted(r, buf_str(&out));
    }
    if (!r->fault.kind) {
        out.used = 0;
        sevenbit_convert_end(c->sevenbit, &out);
        take_converted(r, buf_str(&out));
    }
    buf_free(&room);
    buf_free(&out);
}

/*
 * Signs what is sent when we had signed the message. Without keys the old signatures stay, which hold no more: that is
 * as if there were none.
 */
static struct fault sign_converted(struct outgoing *c, struct str head)
{
    const struct signing_order order = {.ring = c->keys,
                                        .is_notice = c->message->envelope.sender.n == 0,
                                        .now_s = clock_real_ms() / 1000};
    struct reading r = {.content = c};
    size_t replaced = signing_size(head);
    if (!c->keys || replaced == 0)
        return FINE;
    struct str message = str_skip(head, replaced);
    signing_begin(&order, replaced, str_head(message, header_size(message)), &r.signing);
    if (!r.signing)
        return FINE;
    offload(read_converted, &r);
    if (!r.fault.kind && !signing_finish(r.signing, &c->signatures).kind)
        c->replaced = replaced;
    signing_free(r.signing);
    return r.fault;
}

struct fault outgoing_convert(struct outgoing *c)
{
    assert(c->sevenbit);
    struct reading r = {
        .content = c, .head = buf_make(SIGNED_HEADER_MAX), .fault = c->why_not_7bit};
    if (!r.fault.kind)
        offload(read_converted, &r);
    if (!r.fault.kind)
        r.fault = sign_converted(c, buf_str(&r.head));
    if (!r.fault.kind) {
        c->size_bytes = r.size - c->replaced + c->signatures.used;
        c->is_converted = true;
    }
    buf_free(&r.head);
    return r.fault;
}

struct outgoing_reader outgoing_read(struct outgoing *c)
{
    return (struct outgoing_reader){.content = c,
                                    .replaced = c->replaced,
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
    r->piece = str_skip(buf_str(&r->converted), r->replaced);
    r->replaced -= r->converted.used - r->piece.n;
}

bool outgoing_next(struct outgoing_reader *r)
{
    const struct queue_message *m = r->content->message;
    if (r->is_at_end || r->fault.kind || m->body_size == 0)
        return false;
    if (!r->is_begun && r->content->signatures.used > 0) {
        r->is_begun = true;
        r->piece = buf_str(&r->content->signatures);
        return true;
    }
    if (r->is_lasting) {
        r->piece = str_make(m->body, m->body_size);
        r->is_at_end = true;
        return true;
    }
    offload(read_piece, r);
    return !r->fault.kind;
}
