/* SPDX-License-Identifier: ISC */
/*
 * deliver.c - entries through the journal, and back in its order
 *
 * The journal calls back on a thread of its own, in the order of the log, and there the entry joins
 * its account's list before its submitter is woken. So an account's records are always applied in
 * order, and whoever was told 250 finds the message waiting for the next reader.
 */
#include <stdlib.h>

#include "net/task.h"
#include "store/internal.h"

enum { LOOK_MS = 5 };

struct entry_group {
    struct loop_message message;
    struct loop *loop;
    struct task *task;
    struct store *store;
    atomic_size_t left;
    bool is_done;
};

static void wake_submitter(struct loop_message *message)
{
    struct entry_group *g = (struct entry_group *)(void *)message;
    g->is_done = true;
    task_wake(g->task);
}

/* On a thread of the journal. */
static void come_back(struct loop_message *message)
{
    struct entry *e = (struct entry *)(void *)message;
    struct entry_group *g = e->group;
    struct store *s = g->store;
    struct fault f = e->append.result;
    *e->result = f;
    e->position = e->append.position;
    mutex_lock(&s->mutex);
    struct account *a = e->account;
    if (f.kind) {
        atomic_fetch_sub(&s->unapplied_bytes, store_entry_bytes(e));
        store_free_entry(s, e);
    } else {
        s->statistics.delivered += e->kind == ENTRY_DELIVER;
        store_enqueue(s, e);
    }
    account_release(s, a);
    mutex_unlock(&s->mutex);
    if (atomic_fetch_sub(&g->left, 1) == 1)
        loop_post(g->loop, &g->message);
}

void store_submit(struct store *s, struct entry **entry, size_t count)
{
    struct entry_group g = {
        .message.run = wake_submitter, .loop = loop_current(), .task = task_current(), .store = s};
    atomic_init(&g.left, count);
    if (count == 0)
        return;
    mutex_lock(&s->mutex);
    for (size_t i = 0; i < count; i++)
        entry[i]->account = account_hold(s, entry[i]->account_name);
    mutex_unlock(&s->mutex);
    for (size_t i = 0; i < count; i++) {
        entry[i]->group = &g;
        entry[i]->append.message.run = come_back;
        atomic_fetch_add(&s->unapplied_bytes, store_entry_bytes(entry[i]));
        journal_submit(s->journal, &entry[i]->append);
    }
    while (!g.is_done)
        task_wait_answer();
}

/* Waits while too much is not applied yet. */
static struct fault wait_for_room(struct store *s, int64_t bytes)
{
    int64_t deadline = loop_now_ms(loop_current()) + s->options.unapplied_wait_ms;
    for (;;) {
        int64_t present = atomic_load(&s->unapplied_bytes);
        if (present == 0 || present + bytes <= s->options.unapplied_bytes)
            return FINE;
        if (loop_now_ms(loop_current()) >= deadline)
            return fault_make(452, FAULT_STATUS(4, 3, 1),
                              "the mailboxes do not keep up, try again later");
        struct fault f = task_sleep(LOOK_MS);
        if (f.kind)
            return f;
    }
}

void store_deliver(struct store *s, struct store_recipient *rcpt, size_t count, int64_t received_ms,
                   struct buf *content, uint64_t spool_id, uint64_t spool_size)
{
    struct content *shared = content_make(content, spool_id, spool_size);
    size_t inline_bytes = spool_id == 0 ? shared->size : 0;
    struct fault f = wait_for_room(s, (int64_t)(inline_bytes * count));
    struct entry **entry = calloc(count + 1, sizeof *entry);
    size_t used = 0;
    if (!entry)
        abort();
    for (size_t i = 0; i < count; i++) {
        char path[ACCOUNT_PATH_MAX];
        /* A record that can never be applied would keep the journal for ever. */
        rcpt[i].result = f.kind ? f : account_directory(s, rcpt[i].account, path);
        if (rcpt[i].result.kind)
            continue;
        struct entry *e =
            entry_deliver(rcpt[i].account, rcpt[i].head, rcpt[i].flags, received_ms, shared);
        e->result = &rcpt[i].result;
        entry[used++] = e;
    }
    store_submit(s, entry, used);
    free(entry);
    uint64_t discard = content_drop(shared);
    if (discard == 0)
        return;
    /* Everything refused, or applied already: an entry's own reference was dropped before. */
    mutex_lock(&s->mutex);
    store_discard_later(s, discard);
    mutex_unlock(&s->mutex);
}
