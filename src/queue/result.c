/* SPDX-License-Identifier: ISC */
/*
 * result.c - records of what became of deliveries
 *
 * Nobody waits for them, but for those who look at the queue. What the disk refuses is written again
 * each second, in the order in which it came about, until a newer record of the same delivery takes
 * its place or the queue is closed.
 */
#include <stdlib.h>

#include "net/task.h"
#include "queue/internal.h"
#include "queue/record.h"

enum { REWRITE_MS = 1000 };

struct result {
    struct journal_append append;
    struct iovec part;
    struct queue *queue;
    struct list link;
    size_t key_size; /* of the bytes at the beginning that name the delivery */
    char bytes[];
};

/* A task in queue_sync. */
struct sync_waiter {
    struct list link;
    struct task *task;
    int64_t until; /* of results_done */
};

static struct result *find_result(const struct list *results, const struct result *like)
{
    LIST_EACH(link, results)
    {
        struct result *r = LIST_ENTRY(link, struct result, link);
        if (r->key_size == like->key_size && memcmp(r->bytes, like->bytes, like->key_size) == 0)
            return r;
    }
    return NULL;
}

static void forget_result(struct result *r)
{
    if (!r)
        return;
    list_remove(&r->link);
    free(r);
}

/* A delivery that is done would be done again after a restart, so a result that the disk refuses is
 * kept and written later, unless there is a newer one of the same delivery on its way. */
static void keep_or_forget(struct queue *q, struct result *r)
{
    list_remove(&r->link);
    if (!r->append.result.kind || q->is_closing || find_result(&q->results, r)) {
        free(r);
        return;
    }
    q->is_refusal_full = r->append.result.reply == 452;
    list_push_back(&q->unwritten, &r->link);
    q->rewrite_ms = loop_now_ms(q->owner) + REWRITE_MS;
    if (q->keeper)
        task_wake(q->keeper);
}

/* How many results there have been; the journal answers in the order of the log. */
static int64_t newest_ticket(const struct queue *q)
{
    return q->results_done + (int64_t)q->results_in_flight;
}

static void submit(struct queue *q, struct result *r)
{
    list_push_back(&q->results, &r->link);
    q->results_in_flight++;
    journal_submit(q->journal, &r->append);
}

void queue_rewrite(struct queue *q)
{
    for (struct list *link; (link = list_pop_front(&q->unwritten));) {
        submit(q, LIST_ENTRY(link, struct result, link));
        q->rewrite_ticket = newest_ticket(q);
    }
}

bool queue_is_written(const struct queue *q, int64_t ticket)
{
    return q->results_done >= ticket && q->results_done >= q->rewrite_ticket &&
           (list_is_empty(&q->unwritten) || q->is_refusal_full);
}

static void result_written(struct loop_message *message)
{
    struct result *r = (struct result *)(void *)message;
    struct queue *q = r->queue;
    q->results_in_flight--;
    q->results_done++;
    LIST_EACH(link, &q->sync_waiters)
    {
        struct sync_waiter *w = LIST_ENTRY(link, struct sync_waiter, link);
        if (w->until <= q->results_done)
            task_wake(w->task);
    }
    if (!r->append.result.kind && r->append.position > q->seen_position)
        q->seen_position = r->append.position;
    queue_stir(q);
    keep_or_forget(q, r);
    if (q->is_closing && q->results_in_flight == 0 && q->keeper)
        task_wake(q->keeper);
}

void queue_sync(struct queue *q)
{
    struct sync_waiter *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->task = task_current();
    w->until = newest_ticket(q);
    list_push_back(&q->sync_waiters, &w->link);
    while (q->results_done < w->until)
        task_wait_answer();
    list_remove(&w->link);
    free(w);
}

void queue_record(struct queue *q, struct queue_delivery *d)
{
    struct buf packed = buf_make(record_delivery_max(d));
    record_pack_delivery(&packed, d);
    struct result *r = calloc(1, sizeof *r + packed.used);
    if (!r)
        abort();
    memcpy(r->bytes, packed.data, packed.used);
    r->part = (struct iovec){r->bytes, packed.used};
    buf_free(&packed);
    r->queue = q;
    r->key_size = record_delivery_key_bytes(d);
    forget_result(find_result(&q->unwritten, r));
    r->append = (struct journal_append){.message.run = result_written,
                                        .loop = q->owner,
                                        .parts = &r->part,
                                        .part_count = 1,
                                        .type = QUEUE_RECORD_DELIVERY};
    queue_mark_dirty(q, d->message, q->seen_position);
    submit(q, r);
    d->message->result_ticket = newest_ticket(q);
}
