/* SPDX-License-Identifier: ISC */
/*
 * outgoing.h - a message's content on its way to the next hop: as it is, or converted to 7 bit
 */
#ifndef SEND_OUTGOING_H
#define SEND_OUTGOING_H

#include "mail/sevenbit.h"
#include "queue/queue.h"

struct outgoing {
    struct queue *queue;
    const struct queue_message *message;
    uint64_t size_bytes;            /* as it will be sent */
    bool has_8bit, has_8bit_header; /* the latter: in the header of the message or of a part */
    bool is_converted;
    struct sevenbit *sevenbit; /* what outgoing_look has found in content with 8-bit bytes */
    struct fault why_not_7bit; /* FINE: it can be converted */
};

/* The content of a message as it is; ended with outgoing_free. Borrows both. */
struct outgoing outgoing_make(struct queue *q, const struct queue_message *m);
void outgoing_free(struct outgoing *c);

/*
 * Finds out whether content and header sections, those of its parts included, have 8-bit bytes.
 * Faults as queue_read_body. Suspends.
 */
struct fault outgoing_look(struct outgoing *c);

/*
 * From here on the content, which was looked at and has 8-bit bytes, is read converted to 7 bit
 * (RFC 6152 section 3). NEVER, 554 5.6.3, when that cannot be done; else faults as queue_read_body.
 * Suspends.
 */
struct fault outgoing_convert(struct outgoing *c);

/* Reading from the start; ended with outgoing_read_end. */
struct outgoing_reader {
    struct outgoing *content;
    size_t at;
    bool is_at_end;
    bool is_lasting; /* the piece is the message's memory, else it lasts until the next call */
    struct str piece;
    struct buf stored, converted;
    struct fault fault;
};
struct outgoing_reader outgoing_read(struct outgoing *c);

/* The next piece in r->piece; false at the end, or when r->fault is not FINE. Suspends. */
bool outgoing_next(struct outgoing_reader *r);
void outgoing_read_end(struct outgoing_reader *r);

#endif
