/* SPDX-License-Identifier: ISC */
/*
 * operator.c - an operator's view of the queue, and an operator's words
 */
#include <stdlib.h>

#include "net/offload.h"
#include "queue/internal.h"

struct pin {
    struct queue *queue;
    uint64_t id;
    struct queue_message *message;
    struct fault fault;
};

static void load(void *arg)
{
    struct pin *p = arg;
    p->fault = cold_load(p->queue->cold, p->id, &p->message);
}

struct fault queue_pin(struct queue *q, uint64_t id, struct queue_message **out)
{
    struct queue_message *m = queue_find(q, id);
    struct pin p = {.queue = q, .id = id};
    *out = NULL;
    while (!m) {
        uint64_t before = q->cold_forgotten;
        offload(load, &p);
        if (p.fault.kind)
            return p.fault;
        if (!p.message)
            break;
        m = queue_find(q, id);
        /* It may have come, changed and gone again while it was read. */
        if (m || q->cold_forgotten != before) {
            message_free(p.message);
            continue;
        }
        m = p.message;
        queue_insert(q, m);
    }
    if (!m || m->open_count == 0)
        return FINE;
    m->pin_count++;
    *out = m;
    return FINE;
}

void queue_unpin(struct queue *q, struct queue_message *m)
{
    m->pin_count--;
    queue_schedule(q, m);
    queue_settle(q, m);
}

struct listing {
    struct queue *queue;
    uint64_t above;
    uint64_t *ids;
    size_t limit, count;
    struct fault fault;
};

static void list_cold(void *arg)
{
    struct listing *l = arg;
    l->fault = cold_ids(l->queue->cold, l->above, l->ids, l->limit, &l->count);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Adds the ids of hot messages above the given one to the n in the array; room for more is left. */
static uint64_t *add_hot(const struct queue *q, uint64_t above, uint64_t *all, size_t *n,
                         size_t more)
{
    all = realloc(all, (*n + q->hot_count + more + 1) * sizeof *all);
    if (!all)
        abort();
    LIST_EACH(link, &q->hot)
    {
        const struct queue_message *m = LIST_ENTRY(link, struct queue_message, in_order);
        if (m->id > above && m->open_count > 0)
            all[(*n)++] = m->id;
    }
    return all;
}

struct fault queue_ids(struct queue *q, uint64_t above, uint64_t *ids, size_t limit, size_t *count)
{
    struct listing l = {.queue = q, .above = above, .ids = ids, .limit = limit};
    *count = 0;
    /* The hot ones before and after: one that goes to rest meanwhile is not missed, nor is one that
     * another has made meanwhile, as a notice about it. */
    size_t n = 0;
    uint64_t *all = add_hot(q, above, NULL, &n, 0);
    offload(list_cold, &l);
    if (l.fault.kind) {
        free(all);
        return l.fault;
    }
    all = add_hot(q, above, all, &n, l.count);
    for (size_t i = 0; i < l.count; i++)
        all[n++] = ids[i];
    qsort(all, n, sizeof *all, by_number);
    for (size_t i = 0; i < n && *count < limit; i++)
        if (i == 0 || all[i] != all[i - 1])
            ids[(*count)++] = all[i];
    free(all);
    return FINE;
}

bool queue_hold(struct queue *q, struct queue_delivery *d)
{
    if (d->state == QUEUE_READY) {
        d->is_hold_wanted = true;
        queue_record(q, d);
        return true;
    }
    if (d->state != QUEUE_WAITING)
        return false;
    heap_remove(&q->due, &d->due);
    d->state = QUEUE_HELD;
    queue_record(q, d);
    return true;
}

bool queue_release(struct queue *q, struct queue_delivery *d)
{
    if (d->state == QUEUE_READY && d->is_hold_wanted) {
        d->is_hold_wanted = false;
        queue_record(q, d);
        return true;
    }
    if (d->state != QUEUE_HELD)
        return false;
    d->state = QUEUE_WAITING;
    d->next_attempt_ms = loop_real_ms(q->owner);
    queue_record(q, d);
    return true;
}

bool queue_retry(struct queue *q, struct queue_delivery *d)
{
    if (d->state != QUEUE_WAITING)
        return false;
    heap_remove(&q->due, &d->due);
    d->next_attempt_ms = loop_real_ms(q->owner);
    queue_record(q, d);
    return true;
}

bool queue_take(struct queue *q, struct queue_delivery *d)
{
    if (d->state != QUEUE_WAITING && d->state != QUEUE_HELD)
        return false;
    heap_remove(&q->due, &d->due);
    queue_hand_out(q, d);
    return true;
}

bool queue_drop(struct queue *q, struct queue_delivery *d)
{
    if (!queue_take(q, d))
        return false;
    queue_finish(q, d, &(struct queue_outcome){0});
    return true;
}
