/* SPDX-License-Identifier: ISC */
/*
 * queue.c - the durable queue: accept, schedule, remember
 *
 * The order of durable steps: an ACCEPT record (envelope and body) before the 250; a DELIVERY
 * record after each attempt, whose loss costs a second attempt and nothing else; queue.db and the
 * body file before the journal is trimmed (checkpoint.c).
 */
#include "queue/queue.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/offload.h"
#include "os/clock.h"
#include "os/random.h"
#include "queue/internal.h"
#include "queue/record.h"

enum {
    PACE_STEP_MS = 5,
    PACE_STEPS = 100,
    FULL_STEPS = 2000,
    RELIEF_PAUSE_MS = 1000, /* between two requests for relief */
    PATH_MAX_BYTES = 1024,
    ID_COUNTER_BITS = 20
};

struct queue_message *queue_find(const struct queue *q, uint64_t id)
{
    struct map_node *n = map_find(&q->by_id, str_make((const char *)&id, sizeof id));
    return n ? MAP_ENTRY(n, struct queue_message, by_id) : NULL;
}

static void insert_in_order(struct list *l, struct queue_message *m)
{
    struct list *at = l;
    while (at->prev != l &&
           LIST_ENTRY(at->prev, struct queue_message, in_order)->position > m->position)
        at = at->prev;
    list_insert_before(at, &m->in_order);
}

void queue_stir(struct queue *q)
{
    if (!q->is_at_rest)
        return;
    q->is_at_rest = false;
    task_wake(q->keeper);
}

void queue_insert(struct queue *q, struct queue_message *m)
{
    m->queue = q;
    map_insert(&q->by_id, &m->by_id, str_make((const char *)&m->id, sizeof m->id));
    if (m->is_cold) {
        q->cold_count++;
        return;
    }
    q->hot_count++;
    insert_in_order(&q->hot, m);
    if (m->position > q->seen_position)
        q->seen_position = m->position;
    queue_stir(q);
}

void queue_forget(struct queue *q, struct queue_message *m)
{
    assert(m->ready_count == 0 && m->pin_count == 0 && !m->is_checkpointed);
    for (size_t i = 0; i < m->delivery_count; i++)
        heap_remove(&q->due, &m->delivery[i].due);
    map_remove(&q->by_id, &m->by_id);
    list_remove(&m->in_order);
    if (m->is_dirty)
        q->dirty_count--;
    if (m->is_cold) {
        q->cold_count--;
        q->cold_forgotten++;
    } else {
        q->hot_count--;
    }
    queue_drop_body(q, m);
    message_free(m);
}

void queue_mark_dirty(struct queue *q, struct queue_message *m, uint64_t position)
{
    if (m->is_checkpointed && !m->is_changed) {
        m->is_changed = true;
        m->changed_position = position;
    }
    if (!m->is_cold || m->is_dirty)
        return;
    m->is_dirty = true;
    m->position = position;
    q->dirty_count++;
    insert_in_order(&q->dirty, m);
    queue_stir(q);
}

static struct fault open_storage(struct queue *q)
{
    struct fault f = cold_open(q->options.directory, &q->cold);
    uint64_t largest = 0;
    if (!f.kind)
        f = cold_count(q->cold, &q->cold_messages, &largest);
    if (f.kind)
        return f;
    atomic_store(&q->last_id, largest);
    char path[PATH_MAX_BYTES];
    snprintf(path, sizeof path, "%s/journal", q->options.directory);
    struct journal_options o = q->options.journal;
    o.directory = path;
    struct journal_replay r = {.record = queue_replay, .arg = q};
    f = journal_open(&o, &r, &q->journal);
    return f.kind ? f : q->replay_fault;
}

static void expire_due(struct loop_timer *timer);

struct fault queue_open(const struct queue_options *options, struct queue **out)
{
    *out = NULL;
    struct queue *q = calloc(1, sizeof *q);
    if (!q)
        abort();
    q->options = *options;
    atomic_init(&q->memory_bytes, options->memory_bytes);
    q->owner = loop_current();
    q->by_id = map_make(random_u64(), random_u64());
    list_init(&q->hot);
    list_init(&q->dirty);
    list_init(&q->sync_waiters);
    list_init(&q->results);
    list_init(&q->unwritten);
    q->due_timer.expire = expire_due;
    struct fault f = open_storage(q);
    if (f.kind) {
        queue_close(q);
        return f;
    }
    q->first_id = queue_new_id(q);
    *out = q;
    return FINE;
}

void queue_close(struct queue *q)
{
    loop_timer_clear(q->owner, &q->due_timer);
    journal_close(q->journal);
    cold_close(q->cold);
    size_t cursor = 0;
    struct map_node *n = map_walk(&q->by_id, &cursor, NULL);
    while (n) {
        struct queue_message *m = MAP_ENTRY(n, struct queue_message, by_id);
        n = map_walk(&q->by_id, &cursor, n);
        message_free(m);
    }
    map_free(&q->by_id);
    heap_free(&q->due);
    free(q->discard);
    free(q);
}

void queue_set_options(struct queue *q, const struct queue_options *options)
{
    q->options.retry_first_ms = options->retry_first_ms;
    q->options.retry_most_ms = options->retry_most_ms;
    atomic_store(&q->memory_bytes, options->memory_bytes);
    q->options.journal_bytes = options->journal_bytes;
    q->options.checkpoint_ms = options->checkpoint_ms;
    q->options.hot_most = options->hot_most;
    q->options.ready_most = options->ready_most;
    q->options.loaded_most = options->loaded_most;
}

uint64_t queue_new_id(struct queue *q)
{
    uint64_t now = (uint64_t)clock_real_ms() << ID_COUNTER_BITS;
    uint64_t last = atomic_load(&q->last_id), next;
    do
        next = last >= now ? last + 1 : now;
    while (!atomic_compare_exchange_weak(&q->last_id, &last, next));
    return next;
}

/* Scheduling: the owner's clock. */
static int64_t monotonic_of(struct queue *q, int64_t real_ms)
{
    return loop_now_ms(q->owner) + (real_ms - loop_real_ms(q->owner));
}

static void set_clock(struct queue *q)
{
    struct heap_node *first = heap_top(&q->due);
    if (first)
        loop_timer_set(q->owner, &q->due_timer, first->key);
    else
        loop_timer_clear(q->owner, &q->due_timer);
}

void queue_hand_out(struct queue *q, struct queue_delivery *d)
{
    struct queue_message *m = d->message;
    d->state = QUEUE_READY;
    q->ready_count++;
    if (m->ready_count++ == 0 && !m->is_cold)
        q->hot_busy_count++;
}

static void make_ready(struct queue *q, struct queue_delivery *d)
{
    queue_hand_out(q, d);
    q->options.ready(q->options.sender, d);
}

static void expire_due(struct loop_timer *timer)
{
    struct queue *q = (struct queue *)((char *)timer - offsetof(struct queue, due_timer));
    for (struct heap_node *n; (n = heap_top(&q->due)) && n->key <= loop_now_ms(q->owner);) {
        heap_remove(&q->due, n);
        make_ready(q, HEAP_ENTRY(n, struct queue_delivery, due));
    }
    set_clock(q);
}

int64_t queue_latest_attempt_ms(const struct queue *q, int64_t now_ms)
{
    enum { WITH_JITTER = 2 };
    return now_ms + WITH_JITTER * q->options.retry_most_ms;
}

void queue_schedule(struct queue *q, struct queue_message *m)
{
    if (!q->is_started)
        return;
    int64_t now = loop_real_ms(q->owner);
    m->pin_count++; /* the sender may finish a delivery at once, and with the last one the message
                     */
    for (size_t i = 0; i < m->delivery_count; i++) {
        struct queue_delivery *d = &m->delivery[i];
        if (d->state != QUEUE_WAITING || heap_has(&d->due))
            continue;
        if (d->next_attempt_ms <= now || d->next_attempt_ms > queue_latest_attempt_ms(q, now))
            make_ready(q, d);
        else
            heap_insert(&q->due, &d->due, monotonic_of(q, d->next_attempt_ms));
    }
    set_clock(q);
    m->pin_count--;
}

static void wake_keeper(struct queue *q, bool *what)
{
    if (*what || !q->keeper)
        return;
    *what = true;
    task_wake(q->keeper);
}

void queue_watch_memory(struct queue *q)
{
    size_t most = 2 * q->options.ready_most + q->options.hot_most;
    bool is_full = q->hot_count + q->cold_count > most;
    if (atomic_load_explicit(&q->is_full, memory_order_relaxed) != is_full)
        atomic_store(&q->is_full, is_full);
    if (!queue_is_tight(q) || loop_now_ms(q->owner) < q->next_relief_ms)
        return;
    q->next_relief_ms = loop_now_ms(q->owner) + RELIEF_PAUSE_MS;
    q->options.relieve(q->options.sender);
    /* What has been put off leaves memory when it is at rest. */
    if (queue_hot_waiting(q) > q->options.hot_most || q->dirty_count > 0)
        wake_keeper(q, &q->is_checkpoint_wanted);
}

/* The journal is trimmed often enough that it stays a small part of what it may grow to. */
static void want_trim(struct queue *q)
{
    uint64_t grown = q->seen_position - q->trimmed_position;
    if (grown >= (uint64_t)q->options.journal_bytes / 16)
        wake_keeper(q, &q->is_trim_wanted);
}

/* Accepting: on the session's loop, then on the owner's. */

/* Counts an accept in. When the epoch has gone on meanwhile, the trim that made it do so may have
 * looked at the count too early, and this accept belongs to the next one. */
static unsigned join_epoch(struct queue *q)
{
    for (;;) {
        unsigned epoch = atomic_load(&q->epoch);
        atomic_fetch_add(&q->accepting[epoch & 1], 1);
        if (atomic_load(&q->epoch) == epoch)
            return epoch;
        atomic_fetch_sub(&q->accepting[epoch & 1], 1);
    }
}

static void arrive(struct loop_message *message)
{
    struct queue_message *m =
        (struct queue_message *)((char *)message - offsetof(struct queue_message, arrival));
    struct queue *q = m->queue;
    queue_insert(q, m);
    want_trim(q);
    q->accepted++;
    atomic_fetch_sub(&q->accepting[m->arrival_epoch & 1], 1);
    queue_schedule(q, m);
    queue_settle(q, m);
    queue_watch_memory(q);
    if (q->is_closing && q->keeper)
        task_wake(q->keeper);
}

static struct fault write_accept(struct queue *q, struct queue_message *m, struct str head,
                                 unsigned epoch)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)head.p, head.n}, {m->body, m->body_size}};
    size_t count = m->body_kind == QUEUE_BODY_FILE ? 1 : 2;
    struct fault f = journal_wait(q->journal, QUEUE_RECORD_ACCEPT, parts, count, &m->position);
    if (f.kind) {
        atomic_fetch_sub(&q->accepting[epoch & 1], 1);
        return f;
    }
    m->body_position = m->position;
    m->arrival.run = arrive;
    m->queue = q;
    m->arrival_epoch = epoch;
    return FINE;
}

struct fault queue_accept(struct queue *q, uint64_t id, const struct queue_envelope *envelope,
                          struct buf *body, uint64_t body_size)
{
    struct buf head = buf_make(record_accept_max(envelope));
    record_pack_accept(&head, id, envelope, !body, body ? body->used : body_size);
    struct arena arena = arena_make(16 << 20);
    arena_reserve(&arena, message_room(envelope));
    struct queue_envelope copy = envelope_copy(&arena, envelope);
    struct queue_message *m = message_make(id, &arena, &copy);
    m->body_kind = body ? QUEUE_BODY_MEMORY : QUEUE_BODY_FILE;
    m->body = body ? body->data : NULL;
    m->body_size = body ? body->used : (size_t)body_size;
    m->body_offset = head.used;
    if (body)
        *body = buf_make(body->limit);
    unsigned epoch = join_epoch(q);
    struct fault f = write_accept(q, m, buf_str(&head), epoch);
    buf_free(&head);
    if (f.kind) {
        message_free(m);
        return f;
    }
    if (m->body &&
        atomic_load(&q->body_bytes) + (int64_t)m->body_size > atomic_load(&q->memory_bytes))
        message_drop_body(m);
    else if (m->body)
        atomic_fetch_add(&q->body_bytes, (int_least64_t)m->body_size);
    /* On the owner's loop it is there at once: whoever ends a message after a notice about it was
     * accepted leaves no moment in which the queue has neither. */
    if (loop_current() == q->owner)
        arrive(&m->arrival);
    else
        loop_post(q->owner, &m->arrival);
    return FINE;
}

void queue_set_crowded(struct queue *q, bool is_crowded)
{
    if (atomic_load_explicit(&q->is_crowded, memory_order_relaxed) != is_crowded)
        atomic_store(&q->is_crowded, is_crowded);
}

void queue_pace(struct queue *q)
{
    for (int i = 0; i < FULL_STEPS; i++) {
        bool is_crowded = i < PACE_STEPS && atomic_load(&q->is_crowded);
        if (!is_crowded && !atomic_load(&q->is_full))
            return;
        if (task_sleep(PACE_STEP_MS).kind)
            return;
    }
}

/* Outcomes. */

/* min(most, first * 2^(attempts - 1)), give or take a fifth so that a crowd spreads out. */
static int64_t back_off(const struct queue *q, uint32_t attempts)
{
    int64_t pause = q->options.retry_first_ms;
    for (uint32_t i = 1; i < attempts && pause < q->options.retry_most_ms; i++)
        pause *= 2;
    if (pause > q->options.retry_most_ms)
        pause = q->options.retry_most_ms;
    int64_t fifth = pause / 5;
    return pause - fifth + (int64_t)random_below((uint64_t)(2 * fifth + 1));
}

static void take_back(struct queue *q, struct queue_delivery *d)
{
    struct queue_message *m = d->message;
    assert(d->state == QUEUE_READY);
    q->ready_count--;
    if (--m->ready_count == 0 && !m->is_cold)
        q->hot_busy_count--;
}

static void put_to_rest(struct queue_delivery *d, int64_t next_attempt_ms)
{
    d->next_attempt_ms = next_attempt_ms;
    d->state = delivery_rest_state(d);
    d->is_hold_wanted = false;
}

static void end_delivery(struct queue_delivery *d)
{
    d->state = QUEUE_ENDED;
    d->message->open_count--;
}

void queue_finish(struct queue *q, struct queue_delivery *d, const struct queue_outcome *outcome)
{
    int64_t now = loop_real_ms(q->owner);
    take_back(q, d);
    delivery_set_rcpts(d, outcome->left, outcome->left_count);
    d->is_delay_noticed |= outcome->is_delay_noticed;
    d->attempts += outcome->is_attempt;
    if (outcome->trouble)
        delivery_set_trouble(d, outcome->trouble, now, outcome->remote, outcome->dialogue);
    if (d->rcpt_count == 0)
        end_delivery(d);
    else
        put_to_rest(d, now + (outcome->pause_ms ? outcome->pause_ms : back_off(q, d->attempts)));
    queue_record(q, d);
    queue_schedule(q, d->message);
    queue_settle(q, d->message);
    queue_watch_memory(q);
}

void queue_put_off(struct queue *q, struct queue_delivery *d, int64_t pause_ms)
{
    take_back(q, d);
    put_to_rest(d, loop_real_ms(q->owner) + pause_ms);
    /* A row at rest, or one that is just being written, says when it is due, and what is due is
     * loaded; for a hot message a replay that finds it due at once does no harm. */
    if (d->message->is_cold || d->message->is_checkpointed || d->state == QUEUE_HELD)
        queue_record(q, d);
    queue_schedule(q, d->message);
    queue_settle(q, d->message);
}

void queue_discard_later(struct queue *q, uint64_t id, int64_t ticket)
{
    if (q->discard_count == q->discard_size) {
        q->discard_size = q->discard_size ? q->discard_size * 2 : 16;
        q->discard = realloc(q->discard, q->discard_size * sizeof *q->discard);
        if (!q->discard)
            abort();
    }
    q->discard[q->discard_count++] = (struct queue_discard){id, ticket};
    queue_stir(q);
}

void queue_settle(struct queue *q, struct queue_message *m)
{
    if (m->ready_count > 0 || m->pin_count > 0 || m->is_checkpointed)
        return;
    if (m->open_count == 0 && !m->is_cold) {
        if (m->body_kind == QUEUE_BODY_FILE)
            queue_discard_later(q, m->id, m->result_ticket);
        queue_forget(q, m);
        q->finished++;
        return;
    }
    queue_drop_body(q, m);
    if (m->is_cold && !m->is_dirty)
        queue_forget(q, m);
    else if (queue_hot_waiting(q) + q->dirty_count > q->options.hot_most)
        wake_keeper(q, &q->is_checkpoint_wanted);
}

void queue_start(struct queue *q, struct scope *scope)
{
    q->is_started = true;
    q->keeper = task_start(scope, "queue keeper", queue_keep, q);
    assert(q->keeper);
}

void queue_statistics(struct queue *q, struct queue_statistics *out)
{
    *out = (struct queue_statistics){
        .messages = q->cold_messages + (int64_t)q->hot_count,
        .hot = (int64_t)q->hot_count,
        .cold_loaded = (int64_t)q->cold_count,
        .ready = (int64_t)q->ready_count,
        .waiting = (int64_t)q->due.count,
        .body_bytes = atomic_load(&q->body_bytes),
        .accepted = q->accepted,
        .finished = q->finished,
    };
    journal_statistics(q->journal, &out->journal);
}
