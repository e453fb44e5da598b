/* SPDX-License-Identifier: ISC */
/*
 * checkpoint.c - moving what waits out of the journal, and back into memory when it is due
 *
 * One task, the keeper. A checkpoint writes the bodies of waiting messages to files, syncs the file
 * system once, commits their rows and the changes of cold ones to queue.db, and only then lets the
 * journal go up to the oldest record that is still needed. A crash in between finds the message
 * twice and keeps one (queue.c, replay).
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/offload.h"
#include "os/file.h"
#include "queue/internal.h"
#include "queue/record.h"

enum {
    ROUND = 500,  /* messages a checkpoint writes in one transaction */
    LOAD = 500,   /* messages read at a time */
    SWEEP = 1000, /* orphaned body files of one directory removed at a start */
    BODY_CHUNK = 1 << 20,
    FOLLOW_CLOCK_MS = 30000, /* between two looks at the wall clock when there is nothing else */
    PATH_MAX_BYTES = 1024,
    ARENA_LIMIT = 256 << 20
};

struct round {
    struct queue *queue;
    struct arena arena;
    struct queue_message *message[ROUND];
    struct cold_change change[ROUND];
    size_t count;
    struct fault fault;
};

/* An empty one. Its tables are as large as a round can be and mostly stay unused: not zeroed. */
static struct round *new_round(struct queue *q)
{
    struct round *r = malloc(sizeof *r);
    if (!r)
        abort();
    r->queue = q;
    r->arena = arena_make(ARENA_LIMIT);
    r->count = 0;
    r->fault = FINE;
    return r;
}

/* Copies a body from memory or the journal to its file. Synced later, with all others. */
static struct fault write_body(struct queue *q, const struct queue_message *m)
{
    struct file *file;
    struct fault f = queue_body_file(q, m->id, &file);
    if (f.kind)
        return f;
    struct buf chunk = buf_make(BODY_CHUNK + 4096);
    for (size_t at = 0; at < m->body_size && !f.kind; at += BODY_CHUNK) {
        chunk.used = 0;
        f = queue_read_body(q, m, at, BODY_CHUNK, &chunk);
        struct iovec part = {chunk.data, chunk.used};
        if (!f.kind)
            f = file_write_at(file, &part, 1, (int64_t)at);
    }
    buf_free(&chunk);
    file_close(file);
    return f;
}

static void write_round(void *arg)
{
    struct round *r = arg;
    for (size_t i = 0; i < r->count && !r->fault.kind; i++) {
        struct queue_message *m = r->message[i];
        if (!m->is_cold && !r->change[i].is_removed && m->body_kind != QUEUE_BODY_FILE)
            r->fault = write_body(r->queue, m);
    }
    if (!r->fault.kind)
        r->fault = cold_apply(r->queue->cold, r->change, r->count);
}

static struct str packed_delivery(struct arena *arena, const struct queue_delivery *d)
{
    struct buf b = buf_make(record_delivery_max(d));
    record_pack_delivery(&b, d);
    struct str copy = arena_copy(arena, buf_str(&b));
    buf_free(&b);
    return copy;
}

/* Adds the message's present state to the round. */
static void add(struct round *r, struct queue_message *m)
{
    struct cold_change *c = &r->change[r->count];
    r->message[r->count++] = m;
    m->is_checkpointed = true;
    m->is_changed = false;
    *c = (struct cold_change){.id = m->id, .is_removed = m->open_count == 0};
    if (c->is_removed)
        return;
    struct buf b = buf_make(envelope_packed_max(&m->envelope));
    envelope_pack(&b, &m->envelope);
    c->envelope = arena_copy(&r->arena, buf_str(&b));
    buf_free(&b);
    c->sender = m->envelope.sender;
    c->arrival_ms = m->envelope.arrival_ms;
    c->body_size = m->body_size;
    c->delivery = arena_alloc(&r->arena, m->delivery_count * sizeof *c->delivery);
    for (size_t i = 0; i < m->delivery_count; i++) {
        const struct queue_delivery *d = &m->delivery[i];
        if (d->state == QUEUE_ENDED)
            continue;
        c->delivery[c->delivery_count++] =
            (struct cold_delivery){.domain = d->domain,
                                   .state = delivery_rest_state(d),
                                   .next_attempt_ms = d->next_attempt_ms,
                                   .packed = packed_delivery(&r->arena, d)};
    }
}

static bool is_journal_long(const struct queue *q)
{
    if (list_is_empty(&q->hot))
        return false;
    const struct queue_message *oldest = LIST_ENTRY(q->hot.next, struct queue_message, in_order);
    return q->seen_position - oldest->position > (uint64_t)q->options.journal_bytes;
}

/* Chooses what this round writes: changes of cold messages, then hot ones from the oldest on. */
static void choose(struct queue *q, struct round *r)
{
    int64_t young = loop_real_ms(q->owner) - q->options.checkpoint_ms;
    bool is_tight = q->is_rest_wanted || queue_hot_waiting(q) > q->options.hot_most / 2;
    bool is_long = is_journal_long(q);
    LIST_EACH(link, &q->dirty)
    {
        struct queue_message *m = LIST_ENTRY(link, struct queue_message, in_order);
        /* One that has ended goes out of memory: not while somebody looks at it. */
        bool may_go =
            m->open_count > 0 || (m->pin_count == 0 && queue_is_written(q, m->result_ticket));
        if (r->count < ROUND && !m->is_checkpointed && may_go)
            add(r, m);
    }
    LIST_EACH(link, &q->hot)
    {
        struct queue_message *m = LIST_ENTRY(link, struct queue_message, in_order);
        if (r->count == ROUND)
            break;
        bool is_waiting = m->ready_count == 0;
        bool is_old = m->envelope.arrival_ms < young;
        if (!m->is_checkpointed && m->open_count > 0 &&
            (is_long || (is_waiting && (is_old || is_tight))))
            add(r, m);
    }
}

static void become_cold(struct queue *q, struct queue_message *m)
{
    if (!m->is_cold) {
        list_remove(&m->in_order);
        m->is_cold = true;
        q->hot_count--;
        q->cold_count++;
        q->cold_messages++;
        if (m->ready_count == 0)
            queue_drop_body(q, m);
        else
            q->hot_busy_count--;
        if (m->body_kind == QUEUE_BODY_JOURNAL)
            m->body_kind = QUEUE_BODY_FILE; /* before the trim: who reads the journal looks again */
    }
    if (m->is_dirty && !m->is_changed) {
        m->is_dirty = false;
        q->dirty_count--;
        list_remove(&m->in_order);
    } else if (m->is_changed) {
        queue_mark_dirty(q, m, m->changed_position);
    }
}

static void end_round(struct round *r)
{
    struct queue *q = r->queue;
    for (size_t i = 0; i < r->count; i++) {
        struct queue_message *m = r->message[i];
        m->is_checkpointed = false;
        if (!r->fault.kind && r->change[i].is_removed) {
            q->finished++;
            q->cold_messages--;
            queue_forget(q, m);
            continue;
        }
        if (!r->fault.kind)
            become_cold(q, m);
        queue_settle(q, m);
    }
    q->cursor = (struct cold_cursor){0};
    q->cold_next_due_ms = 0;
}

static void discard_files(void *arg)
{
    struct round *r = arg;
    struct queue *q = r->queue;
    for (size_t i = 0; i < r->count && !r->fault.kind; i++)
        r->fault = queue_body_discard(q, r->change[i].id);
}

/* Takes those that may go off the list. */
static void take_discards(struct queue *q, struct round *r)
{
    for (size_t i = q->discard_count; i-- > 0 && r->count < ROUND;) {
        if (!queue_is_written(q, q->discard[i].ticket))
            continue;
        r->change[r->count++].id = q->discard[i].id;
        q->discard[i] = q->discard[--q->discard_count];
    }
}

/* Removes the body files of messages that ended while hot. */
static void discard(struct queue *q)
{
    bool is_full_round = q->discard_count > 0;
    while (is_full_round) {
        struct round *r = new_round(q);
        take_discards(q, r);
        is_full_round = r->count == ROUND;
        if (r->count > 0)
            offload(discard_files, r);
        free(r);
    }
}

struct settling {
    struct queue *queue;
    struct fault fault;
};

static void settle_cold(void *arg)
{
    struct settling *s = arg;
    s->fault = cold_settle(s->queue->cold);
}

/* Before something goes: queue.db is, also for the next start, what it is for us. */
static struct fault settle(struct queue *q)
{
    struct settling s = {.queue = q};
    if (!cold_is_in_doubt(q->cold))
        return FINE;
    offload(settle_cold, &s);
    return s.fault;
}

/* Lets the journal go up to the oldest record still needed. */
static void trim(struct queue *q)
{
    uint64_t bound = q->seen_position;
    unsigned old = atomic_fetch_add(&q->epoch, 1);
    /* Messages accepted before now may still be on their way here. */
    while (atomic_load(&q->accepting[old & 1]) > 0)
        if (task_sleep(1).kind)
            return;
    const struct list *lists[] = {&q->hot, &q->dirty};
    for (size_t i = 0; i < 2; i++) {
        if (list_is_empty(lists[i]))
            continue;
        uint64_t oldest = LIST_ENTRY(lists[i]->next, struct queue_message, in_order)->position;
        bound = oldest < bound ? oldest : bound;
    }
    journal_trim(q->journal, bound);
    q->trimmed_position = q->seen_position;
}

static struct fault checkpoint(struct queue *q)
{
    struct fault f = FINE;
    bool is_full_round;
    queue_sync(q);
    do {
        struct round *r = new_round(q);
        choose(q, r);
        is_full_round = r->count == ROUND;
        if (r->count > 0) {
            offload(write_round, r);
            end_round(r);
        }
        f = r->fault;
        arena_free(&r->arena);
        free(r);
    } while (is_full_round && !f.kind && !task_is_cancelled());
    if (!f.kind)
        f = settle(q);
    if (!f.kind) {
        discard(q);
        trim(q);
    }
    return f;
}

struct load {
    struct queue *queue;
    int64_t now_ms;
    uint64_t ids[LOAD];
    struct queue_message *message[LOAD];
    size_t limit, count;
    int64_t next_due_ms;
    struct fault fault;
};

static void find_due(void *arg)
{
    struct load *l = arg;
    l->fault = cold_due(l->queue->cold, l->now_ms, &l->queue->cursor, l->ids, l->limit, &l->count);
    if (!l->fault.kind && l->count < l->limit)
        l->fault = cold_next_due(l->queue->cold, &l->queue->cursor, &l->next_due_ms);
}

static void read_due(void *arg)
{
    struct load *l = arg;
    for (size_t i = 0; i < l->count && !l->fault.kind; i++)
        if (l->ids[i])
            l->fault = cold_load(l->queue->cold, l->ids[i], &l->message[i]);
}

/*
 * Brings cold messages that are due into memory and gives them to the sender. What is read cannot
 * grow old meanwhile: the keeper alone writes queue.db, and what changes stays in memory until it
 * has.
 */
static void load_due(struct queue *q)
{
    assert(task_current() == q->keeper);
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    l->queue = q;
    l->now_ms = loop_real_ms(q->owner);
    l->limit = q->options.loaded_most - q->cold_count;
    if (l->limit > LOAD)
        l->limit = LOAD;
    offload(find_due, l);
    for (size_t i = 0; i < l->count; i++)
        if (queue_find(q, l->ids[i]) || (i > 0 && l->ids[i] == l->ids[i - 1]))
            l->ids[i] = 0;
    offload(read_due, l);
    for (size_t i = 0; i < l->count; i++) {
        struct queue_message *m = l->message[i];
        if (m && queue_find(q, m->id)) {
            message_free(m);
        } else if (m) {
            queue_insert(q, m);
            queue_schedule(q, m);
            queue_settle(q, m);
        }
    }
    queue_watch_memory(q);
    /* After a fault look again soon, not at once. */
    if (l->fault.kind)
        q->cold_next_due_ms = l->now_ms + 1000;
    else
        q->cold_next_due_ms = l->count < l->limit ? l->next_due_ms : 0;
    free(l);
}

/*
 * Body files that no message names: a crash came between the file and its record or row. Only files
 * older than this start are looked at.
 */
struct sweep {
    struct queue *queue;
    char path[PATH_MAX_BYTES];
    uint64_t limit; /* ids from here on are being made now */
    uint64_t ids[SWEEP];
    size_t count;
};

static void note_orphan(const char *name, void *arg)
{
    struct sweep *s = arg;
    uint64_t id;
    bool is_cold = false;
    if (s->count < SWEEP && queue_id_parse(str_from(name), &id) && id < s->limit &&
        !cold_has(s->queue->cold, id, &is_cold).kind && !is_cold)
        s->ids[s->count++] = id;
}

static void list_orphans(void *arg)
{
    struct sweep *s = arg;
    file_list(s->path, note_orphan, s);
}

static void sweep(struct queue *q)
{
    struct sweep *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->queue = q;
    s->limit = q->first_id;
    for (unsigned i = 0; i < 256 && !task_is_cancelled(); i++) {
        snprintf(s->path, sizeof s->path, "%s/bodies/%02x", q->options.directory, i);
        s->count = 0;
        offload(list_orphans, s);
        for (size_t k = 0; k < s->count; k++)
            if (!queue_find(q, s->ids[k]))
                queue_discard_later(q, s->ids[k], 0);
    }
    free(s);
}

static void start_hot(struct queue *q)
{
    LIST_EACH(link, &q->hot)
    queue_schedule(q, LIST_ENTRY(link, struct queue_message, in_order));
    LIST_EACH(link, &q->dirty)
    queue_schedule(q, LIST_ENTRY(link, struct queue_message, in_order));
}

static int64_t next_look(const struct queue *q, int64_t next_checkpoint_ms)
{
    if (queue_is_tight(q) && q->next_relief_ms < next_checkpoint_ms)
        next_checkpoint_ms = q->next_relief_ms;
    if (!list_is_empty(&q->unwritten) && q->rewrite_ms < next_checkpoint_ms)
        next_checkpoint_ms = q->rewrite_ms;
    if (q->cold_count >= q->options.loaded_most || q->cold_next_due_ms == INT64_MAX)
        return next_checkpoint_ms;
    int64_t in_ms = q->cold_next_due_ms - loop_real_ms(q->owner);
    int64_t at = loop_now_ms(q->owner) + (in_ms > 0 ? in_ms : 0);
    return at < next_checkpoint_ms ? at : next_checkpoint_ms;
}

struct clock_change {
    struct queue *queue;
    int64_t now_ms;
    struct fault fault;
};

static void bring_forward(void *arg)
{
    struct clock_change *c = arg;
    c->fault =
        cold_bring_forward(c->queue->cold, c->now_ms, queue_latest_attempt_ms(c->queue, c->now_ms));
}

/*
 * queue.db has times of the wall clock. When that has been put back, or was while we did not run,
 * what waits there would wait for the clock to be where it was.
 */
static void follow_clock(struct queue *q)
{
    enum { SLACK_MS = 60000 };
    struct clock_change c = {.queue = q, .now_ms = loop_real_ms(q->owner)};
    if (c.now_ms < q->clock_seen_ms - SLACK_MS) {
        offload(bring_forward, &c);
        q->cursor = (struct cold_cursor){0};
        q->cold_next_due_ms = 0;
    }
    if (!c.fault.kind)
        q->clock_seen_ms = c.now_ms;
}

static bool has_work(const struct queue *q)
{
    return !list_is_empty(&q->hot) || !list_is_empty(&q->dirty) || q->discard_count > 0 ||
           q->seen_position != q->trimmed_position;
}

/* However short the pause between two checkpoints is: until there is something for one. */
static void rest(struct queue *q)
{
    int64_t pause_ms = q->options.checkpoint_ms;
    if (pause_ms < FOLLOW_CLOCK_MS)
        pause_ms = FOLLOW_CLOCK_MS;
    q->is_at_rest = true;
    task_wait(next_look(q, loop_now_ms(q->owner) + pause_ms));
    q->is_at_rest = false;
}

void queue_keep(void *arg)
{
    struct queue *q = arg;
    q->clock_seen_ms = INT64_MAX;
    start_hot(q);
    sweep(q);
    int64_t next_checkpoint_ms = loop_now_ms(q->owner) + q->options.checkpoint_ms;
    while (!task_is_cancelled()) {
        queue_watch_memory(q);
        follow_clock(q);
        if (q->cold_count < q->options.loaded_most &&
            q->cold_next_due_ms <= loop_real_ms(q->owner)) {
            load_due(q);
            continue;
        }
        if (!list_is_empty(&q->unwritten) && loop_now_ms(q->owner) >= q->rewrite_ms)
            queue_rewrite(q);
        if (q->is_trim_wanted) {
            q->is_trim_wanted = false;
            /* Checkpoints do what is left when the oldest messages keep the journal long. */
            if (!settle(q).kind)
                trim(q);
            q->is_checkpoint_wanted |= is_journal_long(q);
            continue;
        }
        if (!q->is_checkpoint_wanted && !has_work(q)) {
            rest(q);
            next_checkpoint_ms = loop_now_ms(q->owner) + q->options.checkpoint_ms;
            continue;
        }
        if (!q->is_checkpoint_wanted && loop_now_ms(q->owner) < next_checkpoint_ms) {
            task_wait(next_look(q, next_checkpoint_ms));
            continue;
        }
        q->is_checkpoint_wanted = false;
        q->checkpoints_begun++;
        q->checkpoint_fault = checkpoint(q);
        q->is_rest_wanted = q->checkpoints_wanted > q->checkpoints_begun;
        q->checkpoints_ended++;
        /* After a fault the disk gets a pause, however much it is wanted. */
        if (q->checkpoint_fault.kind)
            task_sleep(1000);
        next_checkpoint_ms = loop_now_ms(q->owner) + q->options.checkpoint_ms;
    }
    q->is_closing = true;
    queue_rewrite(q);
    /* Results on their way to the journal, and what was accepted on its way here. */
    while (q->results_in_flight > 0 || atomic_load(&q->accepting[0]) > 0 ||
           atomic_load(&q->accepting[1]) > 0)
        task_wait_answer();
    q->keeper = NULL;
}

struct fault queue_checkpoint(struct queue *q)
{
    /* One that has begun may have passed by what is to be put to rest. */
    uint64_t wanted = q->checkpoints_begun + 1;
    q->checkpoints_wanted = wanted;
    q->is_checkpoint_wanted = true;
    q->is_rest_wanted = true;
    task_wake(q->keeper);
    while (q->checkpoints_ended < wanted && q->keeper)
        if (task_sleep(5).kind)
            return fault_make(421, FAULT_STATUS(4, 3, 2), "shutting down");
    return q->checkpoint_fault;
}
