/* SPDX-License-Identifier: ISC */
/*
 * batch.c - applying journal records to an account: files first, then one transaction of the index
 *
 * A record found in the journal after a crash may have been applied already. If a row has its
 * position, only the file is written again, because a power cut may have taken it; if none has, and
 * the index has seen later records, the message was removed since. So replaying twice changes
 * nothing.
 */
#include <stdlib.h>

#include "store/internal.h"

enum { COPY_BYTES = 1 << 20 };

struct batch {
    struct store *store;
    struct account *account;
    char directory[ACCOUNT_PATH_MAX];
    uint64_t last_position;
    struct index_row *known; /* rows that replayed records may have made, by position */
    size_t known_count, known_size;
    struct index_row *removed; /* whose files go after the commit */
    size_t removed_count, removed_size;
};

static void add_row(struct index_row **rows, size_t *count, size_t *size,
                    const struct index_row *row)
{
    if (*count == *size) {
        *size = *size ? *size * 2 : 64;
        *rows = realloc(*rows, *size * sizeof **rows);
        if (!*rows)
            abort();
    }
    (*rows)[(*count)++] = *row;
}

static void add_known(void *arg, const struct index_row *row)
{
    struct batch *b = arg;
    add_row(&b->known, &b->known_count, &b->known_size, row);
}

static int by_position(const void *a, const void *b)
{
    const struct index_row *x = a, *y = b;
    return (x->position > y->position) - (x->position < y->position);
}

/* The row that this record made before, or NULL. */
static const struct index_row *find_known(const struct batch *b, const struct entry *e)
{
    struct index_row key = {.position = e->position};
    if (!e->is_replayed || b->known_count == 0)
        return NULL;
    const struct index_row *row =
        bsearch(&key, b->known, b->known_count, sizeof *b->known, by_position);
    return row && row->received_ms == e->received_ms ? row : NULL;
}

static struct fault copy_spool(struct file *from, struct file *to, int64_t offset)
{
    struct buf chunk = buf_make(COPY_BYTES);
    buf_reserve(&chunk, COPY_BYTES);
    struct fault f = FINE;
    int64_t at = 0;
    for (size_t got = COPY_BYTES; got == COPY_BYTES && !f.kind; at += (int64_t)got) {
        f = file_read_at(from, chunk.data, COPY_BYTES, at, &got);
        struct iovec part = {chunk.data, got};
        if (!f.kind && got > 0)
            f = file_write_at(to, &part, 1, offset + at);
    }
    buf_free(&chunk);
    return f;
}

/* The content of a record that is not in memory. */
static struct fault write_from_journal(struct store *s, const struct entry *e, struct file *file)
{
    struct buf body = buf_make(e->content->size + 1);
    struct fault f =
        journal_read(s->journal, e->position, e->content_offset, e->content->size, &body);
    struct iovec parts[2] = {{(void *)(uintptr_t)e->head.p, e->head.n}, {body.data, body.used}};
    if (!f.kind)
        f = file_write_at(file, parts, 2, 0);
    buf_free(&body);
    return f;
}

static struct fault write_from_spool(struct store *s, const struct entry *e, struct file *file)
{
    char path[STORE_PATH_MAX + 64];
    struct file *spool;
    store_spool_path(s, e->content->spool_id, path);
    struct fault f = file_open(path, FILE_READ, &spool);
    if (f.kind)
        return f;
    struct iovec part = {(void *)(uintptr_t)e->head.p, e->head.n};
    f = e->head.n > 0 ? file_write_at(file, &part, 1, 0) : FINE;
    if (!f.kind)
        f = copy_spool(spool, file, (int64_t)e->head.n);
    file_close(spool);
    return f;
}

static struct fault write_message(struct batch *b, const struct entry *e,
                                  const struct index_row *row)
{
    char path[INDEX_PATH_MAX];
    struct file *file;
    struct fault f = index_make_place(b->account->index, row->uid);
    index_message_path(b->directory, row, path);
    /* Where file systems have no journal, a name that a power cut left may be another's file by now. */
    if (!f.kind && e->is_replayed)
        f = file_remove(path);
    if (!f.kind)
        f = file_open(path, FILE_CREATE, &file);
    if (f.kind)
        return f;
    if (e->content->data) {
        struct iovec parts[2] = {{(void *)(uintptr_t)e->head.p, e->head.n},
                                 {e->content->data, e->content->size}};
        f = file_write_at(file, parts, 2, 0);
    } else if (e->content->spool_id != 0) {
        f = write_from_spool(b->store, e, file);
    } else {
        f = write_from_journal(b->store, e, file);
    }
    file_close(file);
    return f;
}

/* A spooled body that is gone was applied, synced and removed by a checkpoint before the crash. */
static bool is_spool_gone(const struct batch *b, const struct entry *e)
{
    char path[STORE_PATH_MAX + 64];
    if (!e->is_replayed || e->content->spool_id == 0)
        return false;
    store_spool_path(b->store, e->content->spool_id, path);
    return !file_exists(path);
}

static struct fault deliver(struct batch *b, const struct entry *e)
{
    const struct index_facts *facts = index_facts(b->account->index);
    const struct index_row *known = find_known(b, e);
    if (known)
        return is_spool_gone(b, e) ? FINE : write_message(b, e, known);
    if (e->is_replayed && (e->position <= facts->applied || is_spool_gone(b, e)))
        return FINE;
    struct index_row row = {.uid = facts->uid_next,
                            .flags = e->flags,
                            .size_bytes = (int64_t)e->size_bytes,
                            .received_ms = e->received_ms,
                            .position = e->position};
    struct fault f = write_message(b, e, &row);
    /* Until the first checkpoint a power cut takes the whole index, and the replay gives what it gave. */
    if (row.uid == 1)
        index_set_validity(b->account->index, store_validity(b->store, e->received_ms));
    return f.kind ? f : index_add(b->account->index, &row);
}

static struct fault remove_all(struct batch *b, const struct entry *e)
{
    for (size_t i = 0; i < e->removal_count; i++) {
        bool was_there;
        struct index_row row = e->removal[i];
        struct fault f = index_remove(b->account->index, &e->removal[i], &was_there, &row);
        if (f.kind)
            return f;
        if (was_there || e->is_replayed)
            add_row(&b->removed, &b->removed_count, &b->removed_size, &row);
    }
    return FINE;
}

static struct fault apply_each(struct batch *b, struct list *entries)
{
    LIST_EACH(link, entries)
    {
        const struct entry *e = LIST_ENTRY(link, struct entry, link);
        struct fault f = e->kind == ENTRY_DELIVER ? deliver(b, e) : remove_all(b, e);
        if (f.kind)
            return f;
        b->last_position = e->position;
    }
    return FINE;
}

/* Replayed entries come before all others. */
static struct fault find_applied(struct batch *b, const struct list *entries)
{
    const struct entry *first = LIST_ENTRY(entries->next, struct entry, link);
    if (!first->is_replayed)
        return FINE;
    struct fault f = index_newest(b->account->index, first->position, add_known, b);
    if (b->known_count > 0)
        qsort(b->known, b->known_count, sizeof *b->known, by_position);
    return f;
}

struct fault batch_apply(struct store *s, struct account *a, struct list *entries)
{
    struct batch b = {.store = s, .account = a};
    struct fault f = account_directory(s, a->by_name.key, b.directory);
    if (!f.kind)
        f = find_applied(&b, entries);
    if (!f.kind)
        f = index_begin(a->index);
    if (!f.kind)
        f = apply_each(&b, entries);
    if (!f.kind)
        f = index_commit(a->index, b.last_position);
    else
        index_rollback(a->index);
    for (size_t i = 0; i < b.removed_count && !f.kind; i++) {
        char path[INDEX_PATH_MAX];
        index_message_path(b.directory, &b.removed[i], path);
        f = file_remove(path);
        if (f.kind) { /* the file stays, the message is gone: that is for a person */
            store_alarm(s, &f);
            f = FINE;
        }
    }
    free(b.known);
    free(b.removed);
    return f;
}
