/* SPDX-License-Identifier: ISC */
/*
 * replay.c - the queue from the journal's records, at the start
 *
 * Idempotent: a message that is at rest is known already, and a record of a delivery says its whole
 * state, so that reading one twice does no harm. To pass one over does: there is no start when queue.db
 * cannot be read.
 */
#include "queue/internal.h"
#include "queue/record.h"

static void note(struct queue *q, struct fault f)
{
    if (f.kind && !q->replay_fault.kind)
        q->replay_fault = f;
}

static struct queue_message *replay_find(struct queue *q, uint64_t id)
{
    struct queue_message *m = queue_find(q, id);
    if (m)
        return m;
    note(q, cold_load(q->cold, id, &m));
    if (m)
        queue_insert(q, m);
    return m;
}

static void replay_accept(struct queue *q, const struct journal_record *record)
{
    struct queue_message *m = record_unpack_accept(record->payload, record->position);
    if (!m)
        return;
    bool is_cold = false;
    note(q, cold_has(q->cold, m->id, &is_cold));
    if (m->id > atomic_load(&q->last_id))
        atomic_store(&q->last_id, m->id);
    if (queue_find(q, m->id) || is_cold)
        message_free(m);
    else
        queue_insert(q, m);
}

static void replay_delivery(struct queue *q, const struct journal_record *record)
{
    struct queue_message *m = replay_find(q, record_delivery_id(record->payload));
    if (!m || !record_apply_delivery(m, record->payload))
        return;
    queue_mark_dirty(q, m, record->position);
    if (m->open_count == 0 && !m->is_cold)
        queue_forget(q, m);
}

void queue_replay(void *arg, const struct journal_record *record)
{
    struct queue *q = arg;
    if (record->position > q->seen_position)
        q->seen_position = record->position;
    if (record->type == QUEUE_RECORD_ACCEPT)
        replay_accept(q, record);
    else if (record->type == QUEUE_RECORD_DELIVERY)
        replay_delivery(q, record);
}
