/* SPDX-License-Identifier: ISC */
/*
 * account.c - the table of accounts in memory, their open indexes, and whose turn it is
 */
#include <stdio.h>
#include <stdlib.h>

#include "os/clock.h"
#include "store/internal.h"
#include "store/name.h"

enum { LINGER_NS = 50000000 };

/* What cannot be applied is tried again after pauses that double. The longest is short enough for
 * mail to be there soon after a full disk has room again. */
#define PAUSE_FIRST_NS   INT64_C(1000000000)
#define PAUSE_LONGEST_NS INT64_C(5000000000)

static void forget_if_unused(struct store *s, struct account *a)
{
    if (a->is_busy || a->index || a->holds > 0 || !list_is_empty(&a->pending))
        return;
    map_remove(&s->accounts, &a->by_name);
    free(a);
}

struct account *account_hold(struct store *s, struct str name)
{
    struct map_node *n = map_find(&s->accounts, name);
    struct account *a;
    if (n) {
        a = MAP_ENTRY(n, struct account, by_name);
    } else {
        a = calloc(1, sizeof *a + name.n + 1);
        if (!a)
            abort();
        memcpy(a->name, name.p, name.n);
        list_init(&a->pending);
        list_init(&a->by_use);
        map_insert(&s->accounts, &a->by_name, str_make(a->name, name.n));
    }
    a->holds++;
    return a;
}

void account_release(struct store *s, struct account *a)
{
    a->holds--;
    forget_if_unused(s, a);
}

static void become_busy(struct store *s, struct account *a)
{
    a->is_busy = true;
    heap_remove(&s->due, &a->due);
    if (!list_is_empty(&a->by_use)) {
        list_remove(&a->by_use);
        s->unused_count--;
    }
}

void account_take(struct store *s, struct account *a)
{
    while (a->is_busy)
        cond_wait(&s->changed, &s->mutex);
    become_busy(s, a);
}

/* Sets the time at which what is pending is applied: soon, so that batches form, or now. */
static void plan(struct store *s, struct account *a)
{
    if (a->is_busy || list_is_empty(&a->pending))
        return;
    bool is_now = a->pending_count >= STORE_BATCH_MOST || s->is_stopping ||
                  atomic_load(&s->unapplied_bytes) > s->options.unapplied_bytes / 4;
    if (heap_has(&a->due) && (!is_now || a->due.key == 0))
        return;
    int64_t at = is_now ? 0 : clock_now_ns() + LINGER_NS;
    if (at < a->not_before_ns && !s->is_stopping)
        at = a->not_before_ns;
    if (heap_has(&a->due) && a->due.key <= at)
        return;
    heap_remove(&s->due, &a->due);
    heap_insert(&s->due, &a->due, at);
    if (heap_top(&s->due) == &a->due)
        cond_signal(&s->work);
}

static void become_unused(struct store *s, struct account *a)
{
    a->is_busy = false;
    if (a->index) {
        list_push_back(&s->unused, &a->by_use);
        s->unused_count++;
    }
    plan(s, a);
    cond_broadcast(&s->changed);
}

void account_close_index(struct store *s, struct account *a)
{
    if (!a->index)
        return;
    struct index *index = a->index;
    a->index = NULL;
    a->is_usage_known = false;
    s->statistics.indexes--;
    mutex_unlock(&s->mutex);
    index_close(index);
    mutex_lock(&s->mutex);
}

void account_give(struct store *s, struct account *a)
{
    /* SQLite opens for reading what it cannot open for writing, and stays with that. */
    if (a->index && (index_facts(a->index)->is_damaged || index_facts(a->index)->is_read_only))
        account_close_index(s, a);
    become_unused(s, a);
    while (s->unused_count > s->options.index_most) {
        struct account *oldest = LIST_ENTRY(s->unused.next, struct account, by_use);
        become_busy(s, oldest);
        account_close_index(s, oldest);
        become_unused(s, oldest);
        forget_if_unused(s, oldest);
    }
}

struct fault account_directory(const struct store *s, struct str name, char path[ACCOUNT_PATH_MAX])
{
    struct buf out = buf_make(ACCOUNT_PATH_MAX - 1);
    bool fits = buf_printf(&out, "%s/accounts/", s->directory) && name_account_path(&out, name);
    snprintf(path, ACCOUNT_PATH_MAX, STR_FMT, STR_ARG(buf_str(&out)));
    buf_free(&out);
    return fits ? FINE
                : fault_make(451, FAULT_STATUS(4, 3, 0), "the account's name makes no directory");
}

uint32_t store_validity(struct store *s, int64_t time_ms)
{
    uint32_t validity = (uint32_t)(time_ms / 1000);
    mutex_lock(&s->mutex);
    if (validity <= s->purged_validity)
        validity = s->purged_validity + 1;
    mutex_unlock(&s->mutex);
    return validity;
}

struct fault account_open(struct store *s, struct account *a, uint64_t replayed_from)
{
    char path[ACCOUNT_PATH_MAX];
    if (a->index)
        return FINE;
    struct fault f = account_directory(s, a->by_name.key, path);
    if (!f.kind)
        f = index_open(path, s->journal_id, a->is_suspect, replayed_from,
                       store_validity(s, clock_real_ms()), &a->index);
    if (f.kind)
        return f;
    a->is_suspect = false;
    mutex_lock(&s->mutex);
    s->statistics.indexes++;
    mutex_unlock(&s->mutex);
    if (index_facts(a->index)->is_rebuilt) {
        f = fault_make(451, FAULT_STATUS(4, 3, 0),
                       "%s/index.db was damaged or lost and has been made again", path);
        store_alarm(s, &f);
    }
    return FINE;
}

/* Moves the first entries to the batch. */
static size_t take_batch(struct account *a, struct list *batch)
{
    size_t count = 0;
    list_init(batch);
    while (count < STORE_BATCH_MOST && !list_is_empty(&a->pending)) {
        list_push_back(batch, list_pop_front(&a->pending));
        count++;
    }
    a->pending_count -= count;
    return count;
}

static void put_back(struct store *s, struct account *a, struct list *batch, size_t count)
{
    list_append_all(batch, &a->pending);
    list_append_all(&a->pending, batch);
    a->pending_count += count;
    a->pause_ns = a->pause_ns ? 2 * a->pause_ns : PAUSE_FIRST_NS;
    if (a->pause_ns > PAUSE_LONGEST_NS)
        a->pause_ns = PAUSE_LONGEST_NS;
    a->not_before_ns = clock_now_ns() + a->pause_ns;
    if (!s->is_stopping)
        return;
    /* They stay in the journal: the order of the store keeps it from being trimmed. */
    while (list_pop_front(&a->pending))
        a->pending_count--;
}

static void end_batch(struct store *s, struct account *a, struct list *batch, size_t count)
{
    for (struct list *link; (link = list_pop_front(batch));) {
        struct entry *e = LIST_ENTRY(link, struct entry, link);
        list_remove(&e->in_order);
        if (e->kind == ENTRY_DELIVER)
            a->pending_bytes -= (int64_t)e->size_bytes;
        atomic_fetch_sub(&s->unapplied_bytes, store_entry_bytes(e));
        store_free_entry(s, e);
    }
    s->statistics.unapplied -= (int64_t)count;
    s->statistics.applied += (int64_t)count;
    s->statistics.batches++;
    a->not_before_ns = a->pause_ns = 0;
}

struct fault account_settle(struct store *s, struct account *a)
{
    struct fault f = FINE;
    while (!list_is_empty(&a->pending) && !f.kind) {
        struct list batch;
        const struct entry *first = LIST_ENTRY(a->pending.next, struct entry, link);
        uint64_t replayed_from = first->is_replayed ? first->position : UINT64_MAX;
        size_t count = take_batch(a, &batch);
        mutex_unlock(&s->mutex);
        f = account_open(s, a, replayed_from);
        if (!f.kind)
            f = batch_apply(s, a, &batch);
        mutex_lock(&s->mutex);
        if (f.kind)
            put_back(s, a, &batch, count);
        else
            end_batch(s, a, &batch, count);
        if (a->index) {
            a->usage_bytes = index_facts(a->index)->bytes;
            a->is_usage_known = true;
        }
    }
    return f;
}

void store_enqueue(struct store *s, struct entry *e)
{
    struct account *a = e->account;
    list_push_back(&a->pending, &e->link);
    list_push_back(&s->in_order, &e->in_order);
    a->pending_count++;
    if (e->kind == ENTRY_DELIVER)
        a->pending_bytes += (int64_t)e->size_bytes;
    s->statistics.unapplied++;
    bool is_keeper_idle = s->seen_position == s->checkpoint_position;
    if (e->position > s->seen_position)
        s->seen_position = e->position;
    plan(s, a);
    bool is_long = s->seen_position - s->checkpoint_position > (uint64_t)s->options.journal_bytes;
    if (is_keeper_idle || (is_long && !s->is_checkpoint_wanted))
        cond_signal(&s->keeper_work);
    s->is_checkpoint_wanted |= is_long;
}

void store_apply(void *arg)
{
    struct store *s = arg;
    mutex_lock(&s->mutex);
    for (;;) {
        struct heap_node *top = heap_top(&s->due);
        if (!top && s->is_stopping)
            break;
        if (!top) {
            cond_wait(&s->work, &s->mutex);
        } else if (!s->is_stopping && top->key > clock_now_ns()) {
            cond_wait_until(&s->work, &s->mutex, top->key);
        } else {
            struct account *a = HEAP_ENTRY(top, struct account, due);
            a->holds++;
            account_take(s, a);
            struct fault f = account_settle(s, a);
            if (f.kind) {
                mutex_unlock(&s->mutex);
                store_alarm(s, &f);
                mutex_lock(&s->mutex);
            }
            account_give(s, a);
            account_release(s, a);
        }
    }
    mutex_unlock(&s->mutex);
}
