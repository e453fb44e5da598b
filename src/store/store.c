/* SPDX-License-Identifier: ISC */
/*
 * store.c - the mailboxes: opening, replay, the spool of large messages, closing
 *
 * The order of durable steps of a delivery: the spool file, if any; the journal record; then the
 * acknowledgement; file and index without a sync; the file system's sync; the trim of the journal.
 */
#include "store/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "net/offload.h"
#include "os/clock.h"
#include "os/random.h"
#include "store/internal.h"

enum { ID_TEXT_MAX = 64 };

void store_alarm(struct store *s, const struct fault *f)
{
    if (s->options.journal.alarm)
        s->options.journal.alarm(s->options.journal.alarm_arg, f);
}

void store_spool_path(const struct store *s, uint64_t id, char path[STORE_PATH_MAX + 64])
{
    snprintf(path, STORE_PATH_MAX + 64, "%s/incoming/%llx", s->directory, (unsigned long long)id);
}

uint64_t store_new_spool_id(struct store *s)
{
    uint64_t now = (uint64_t)clock_real_ms() << 16;
    uint64_t last = atomic_load(&s->last_spool_id), next;
    do
        next = last >= now ? last + 1 : now;
    while (!atomic_compare_exchange_weak(&s->last_spool_id, &last, next));
    return next;
}

struct fault store_spool_file(struct store *s, uint64_t id, struct file **out)
{
    char path[STORE_PATH_MAX + 64];
    store_spool_path(s, id, path);
    return file_open(path, FILE_CREATE_NEW, out);
}

struct fault store_spool_sync(struct store *s, uint64_t id, struct file *file)
{
    (void)id;
    char path[STORE_PATH_MAX + 64];
    struct fault f = file_sync(file);
    if (f.kind)
        return f;
    snprintf(path, sizeof path, "%s/incoming", s->directory);
    return file_sync_directory(path);
}

struct fault store_spool_discard(struct store *s, uint64_t id)
{
    char path[STORE_PATH_MAX + 64];
    store_spool_path(s, id, path);
    return file_remove(path);
}

int64_t store_entry_bytes(const struct entry *e)
{
    size_t inline_bytes = e->content && e->content->data ? e->content->size : 0;
    return (int64_t)(sizeof *e + e->part[0].iov_len + inline_bytes +
                     e->removal_count * sizeof *e->removal);
}

void store_discard_later(struct store *s, uint64_t spool_id)
{
    if (spool_id == 0)
        return;
    if (s->discard_count == s->discard_size) {
        s->discard_size = s->discard_size ? s->discard_size * 2 : 16;
        s->discard = realloc(s->discard, s->discard_size * sizeof *s->discard);
        if (!s->discard)
            abort();
    }
    s->discard[s->discard_count++] = (struct spool_discard){spool_id, s->seen_position};
}

void store_free_entry(struct store *s, struct entry *e)
{
    uint64_t spool_id;
    entry_free(e, &spool_id);
    store_discard_later(s, spool_id);
}

static void replay(void *arg, const struct journal_record *record)
{
    struct store *s = arg;
    struct entry *e = entry_unpack(record);
    if (record->position > s->seen_position)
        s->seen_position = record->position;
    if (!e)
        return;
    if (e->content && e->content->spool_id > atomic_load(&s->last_spool_id))
        atomic_store(&s->last_spool_id, e->content->spool_id);
    e->account = account_hold(s, e->account_name);
    e->account->is_suspect = true;
    atomic_fetch_add(&s->unapplied_bytes, store_entry_bytes(e));
    store_enqueue(s, e);
    e->account->holds--;
}

static bool is_spool_needed(const struct store *s, uint64_t id)
{
    LIST_EACH(link, &s->in_order)
    {
        const struct entry *e = LIST_ENTRY(link, struct entry, in_order);
        if (e->content && e->content->spool_id == id)
            return true;
    }
    return false;
}

/* A file whose record never became durable is nobody's. */
static void clean_spool(const char *name, void *arg)
{
    struct store *s = arg;
    uint64_t id;
    if (num_parse_hex(str_from(name), UINT64_MAX, &id) && !is_spool_needed(s, id))
        (void)store_spool_discard(s, id);
}

/* The journal's identity: positions in an index mean something only together with it. */
static struct fault read_journal_id(struct store *s, const char *journal_directory)
{
    char path[STORE_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/id", journal_directory);
    struct buf text = buf_make(ID_TEXT_MAX);
    struct fault f = FINE;
    if (file_exists(path)) {
        f = file_load(path, &text);
        if (!f.kind && !num_parse_hex(str_trim(buf_str(&text)), INT64_MAX, &s->journal_id))
            f = fault_make(451, FAULT_STATUS(4, 3, 0), "%s is no id of a journal", path);
    } else {
        s->journal_id = 1 + random_below(INT64_MAX - 1);
        buf_printf(&text, "%llx\n", (unsigned long long)s->journal_id);
        f = file_save(path, buf_str(&text), 0600);
    }
    buf_free(&text);
    return f;
}

static struct fault open_storage(struct store *s)
{
    char path[STORE_PATH_MAX + 16];
    static const char *const directories[] = {"accounts", "incoming", "journal"};
    struct fault f = file_establish_directory(s->directory, directories, 3);
    if (!f.kind)
        f = file_open(s->directory, FILE_READ, &s->system);
    snprintf(path, sizeof path, "%s/journal", s->directory);
    if (!f.kind)
        f = read_journal_id(s, path);
    if (f.kind)
        return f;
    struct journal_options o = s->options.journal;
    o.directory = path;
    struct journal_replay r = {.record = replay, .arg = s};
    f = journal_open(&o, &r, &s->journal);
    snprintf(path, sizeof path, "%s/incoming", s->directory);
    return f.kind ? f : file_list(path, clean_spool, s);
}

static void start_threads(struct store *s)
{
    for (unsigned i = 0; i < s->options.thread_count; i++)
        thread_start(&s->thread[i], "store", store_apply, s);
    thread_start(&s->keeper, "store keeper", store_keep, s);
    s->is_started = true;
}

struct fault store_open(const struct store_options *options, struct store **out)
{
    *out = NULL;
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->options = *options;
    assert(options->thread_count > 0 && options->thread_count <= STORE_THREADS_MOST);
    snprintf(s->directory, sizeof s->directory, "%s", options->directory);
    mutex_init(&s->mutex);
    cond_init(&s->work);
    cond_init(&s->changed);
    cond_init(&s->keeper_work);
    s->accounts = map_make(random_u64(), random_u64());
    list_init(&s->in_order);
    list_init(&s->unused);
    struct fault f = open_storage(s);
    if (f.kind) {
        store_close(s);
        return f;
    }
    start_threads(s);
    *out = s;
    return FINE;
}

static void stop_threads(struct store *s)
{
    mutex_lock(&s->mutex);
    s->is_stopping = true;
    cond_broadcast(&s->work);
    mutex_unlock(&s->mutex);
    for (unsigned i = 0; i < s->options.thread_count; i++)
        thread_join(&s->thread[i]);
    mutex_lock(&s->mutex);
    s->is_keeper_ending = true;
    cond_signal(&s->keeper_work);
    mutex_unlock(&s->mutex);
    thread_join(&s->keeper);
}

static void free_accounts(struct store *s)
{
    size_t cursor = 0;
    for (struct map_node *n = map_walk(&s->accounts, &cursor, NULL); n;) {
        struct account *a = MAP_ENTRY(n, struct account, by_name);
        n = map_walk(&s->accounts, &cursor, n);
        index_close(a->index);
        free(a);
    }
    map_free(&s->accounts);
    heap_free(&s->due);
}

void store_close(struct store *s)
{
    if (s->is_started)
        stop_threads(s);
    /* What could not be applied is in the journal still. */
    for (struct list *link; (link = list_pop_front(&s->in_order));) {
        uint64_t spool_id;
        entry_free(LIST_ENTRY(link, struct entry, in_order), &spool_id);
    }
    free_accounts(s);
    journal_close(s->journal);
    file_close(s->system);
    free(s->discard);
    cond_destroy(&s->keeper_work);
    cond_destroy(&s->changed);
    cond_destroy(&s->work);
    mutex_destroy(&s->mutex);
    free(s);
}

void store_set_options(struct store *s, const struct store_options *options)
{
    mutex_lock(&s->mutex);
    s->options.checkpoint_ms = options->checkpoint_ms;
    s->options.journal_bytes = options->journal_bytes;
    s->options.unapplied_bytes = options->unapplied_bytes;
    s->options.unapplied_wait_ms = options->unapplied_wait_ms;
    s->options.index_most = options->index_most;
    mutex_unlock(&s->mutex);
}

struct usage_question {
    struct store *store;
    struct account *account;
    int64_t bytes;
    struct fault fault;
};

static void find_usage(void *arg)
{
    struct usage_question *q = arg;
    struct store *s = q->store;
    mutex_lock(&s->mutex);
    account_take(s, q->account);
    q->fault = account_settle(s, q->account);
    mutex_unlock(&s->mutex);
    if (!q->fault.kind)
        q->fault = account_open(s, q->account, UINT64_MAX);
    mutex_lock(&s->mutex);
    if (!q->fault.kind) {
        q->bytes = index_facts(q->account->index)->bytes;
        q->account->usage_bytes = q->bytes;
        q->account->is_usage_known = true;
    }
    account_give(s, q->account);
    mutex_unlock(&s->mutex);
}

struct fault store_usage(struct store *s, struct str account, int64_t *bytes)
{
    struct usage_question q = {.store = s};
    mutex_lock(&s->mutex);
    q.account = account_hold(s, account);
    bool is_known = q.account->is_usage_known;
    q.bytes = q.account->usage_bytes + q.account->pending_bytes;
    mutex_unlock(&s->mutex);
    if (!is_known)
        offload(find_usage, &q);
    mutex_lock(&s->mutex);
    account_release(s, q.account);
    mutex_unlock(&s->mutex);
    *bytes = q.bytes;
    return q.fault;
}

void store_statistics(struct store *s, struct store_statistics *out)
{
    mutex_lock(&s->mutex);
    *out = s->statistics;
    mutex_unlock(&s->mutex);
    out->unapplied_bytes = atomic_load(&s->unapplied_bytes);
    journal_statistics(s->journal, &out->journal);
}
