/* SPDX-License-Identifier: ISC */
/*
 * record.h - what the queue writes: accepted messages, and the state of a delivery after a change
 *
 * The state of a delivery has one form, in the journal and in queue.db. It says everything, so that
 * reading it twice does no harm.
 */
#ifndef QUEUE_RECORD_H
#define QUEUE_RECORD_H

#include "queue/message.h"

/* How many bytes at the beginning of its packed record say which delivery it is. */
size_t record_delivery_key_bytes(const struct queue_delivery *d);

enum queue_record { QUEUE_RECORD_ACCEPT = 1, QUEUE_RECORD_DELIVERY = 2 };

/* The head of an ACCEPT record; the body follows unless it is in a file. */
void record_pack_accept(struct buf *out, uint64_t id, const struct queue_envelope *e,
                        bool is_body_in_file, uint64_t body_size);
size_t record_accept_max(const struct queue_envelope *e);

/* The message of an ACCEPT record, or NULL when the payload is none. Bodies are not read: the
 * message knows where they are. */
struct queue_message *record_unpack_accept(struct str payload, uint64_t position);

/* A delivery's state with its message's id and its domain in front. */
void record_pack_delivery(struct buf *out, const struct queue_delivery *d);
size_t record_delivery_max(const struct queue_delivery *d);

/* The id of the message that a DELIVERY record is about; 0 when the payload is none. */
uint64_t record_delivery_id(struct str payload);

/* Brings a delivery of the message to the recorded state. False when the payload does not fit. */
bool record_apply_delivery(struct queue_message *m, struct str payload);

#endif
