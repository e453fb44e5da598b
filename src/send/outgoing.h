/* SPDX-License-Identifier: ISC */
/*
 * outgoing.h - a message's content on its way to the next hop: as it is, or converted to 7 bit
 *
 * A conversion breaks signatures. Those of ours are made anew, over what leaves (RFC 6376 5.3), when the keys are there.
 */
#ifndef SEND_OUTGOING_H
#define SEND_OUTGOING_H

#include "mail/sevenbit.h"
#include "queue/queue.h"
#include "sign/key_ring.h"

struct outgoing {
    struct queue *queue;
    const struct queue_message *message;
    struct key_ring *keys;          /* or NULL */
    uint64_t size_bytes;            /* as it will be sent */
    bool has_8bit, has_8bit_header; /* the latter: in the header of the message or of a part */
    bool is_converted;
    struct sevenbit *sevenbit; /* what outgoing_look has found in content with 8-bit bytes */
    struct fault why_not_7bit; /* FINE: it can be converted */
    struct buf signatures;     /* in front of converted content, instead of */
    size_t replaced;           /* its first octets */
};

/* The content of a message as it is; ended with outgoing_free. Borrows all; keys may be NULL. */
struct outgoing outgoing_make(struct queue *q, const struct queue_message *m,
                              struct key_ring *keys);
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
    bool is_begun;   /* the new signatures have been given */
    size_t replaced; /* octets that are still to be left out */
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
