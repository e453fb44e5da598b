/* SPDX-License-Identifier: ISC */
/*
 * maildrop.c - one account's INBOX, opened by one session at a time
 */
#include "store/maildrop.h"

#include <stdlib.h>

#include "net/offload.h"
#include "store/internal.h"

struct maildrop {
    struct store *store;
    struct account *account; /* held, and marked open */
    struct index_row *row;
    size_t count, size;
    uint32_t uid_validity;
    char directory[ACCOUNT_PATH_MAX];
    struct file *file; /* of the message read last */
    size_t file_place;
    /* For the offload threads: */
    struct fault fault;
    size_t place;
    int64_t offset;
    char *memory;
    size_t wanted, got;
};

static void add_row(void *arg, const struct index_row *row)
{
    struct maildrop *m = arg;
    if (m->count == m->size) {
        m->size = m->size ? m->size * 2 : 64;
        m->row = realloc(m->row, m->size * sizeof *m->row);
        if (!m->row)
            abort();
    }
    m->row[m->count++] = *row;
}

static void list_messages(void *arg)
{
    struct maildrop *m = arg;
    struct store *s = m->store;
    struct account *a = m->account;
    mutex_lock(&s->mutex);
    account_take(s, a);
    m->fault = account_settle(s, a);
    mutex_unlock(&s->mutex);
    if (!m->fault.kind)
        m->fault = account_open(s, a, UINT64_MAX);
    if (!m->fault.kind) {
        m->uid_validity = index_facts(a->index)->uid_validity;
        m->fault = index_list(a->index, add_row, m);
    }
    mutex_lock(&s->mutex);
    account_give(s, a);
    mutex_unlock(&s->mutex);
}

struct fault maildrop_open(struct store *s, struct str account, struct maildrop **out)
{
    *out = NULL;
    struct maildrop *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    m->store = s;
    m->fault = account_directory(s, account, m->directory);
    if (m->fault.kind) {
        struct fault f = m->fault;
        free(m);
        return f;
    }
    mutex_lock(&s->mutex);
    struct account *a = account_hold(s, account);
    bool is_in_use = a->is_open;
    if (is_in_use)
        account_release(s, a);
    else
        a->is_open = true;
    mutex_unlock(&s->mutex);
    if (is_in_use) {
        free(m);
        return fault_make(450, FAULT_STATUS(4, 2, 1), "the mailbox is open in another session");
    }
    m->account = a;
    offload(list_messages, m);
    struct fault f = m->fault;
    if (f.kind)
        maildrop_close(m);
    else
        *out = m;
    return f;
}

void maildrop_close(struct maildrop *m)
{
    if (!m)
        return;
    mutex_lock(&m->store->mutex);
    m->account->is_open = false;
    account_release(m->store, m->account);
    mutex_unlock(&m->store->mutex);
    file_close(m->file);
    free(m->row);
    free(m);
}

const struct index_row *maildrop_rows(const struct maildrop *m, size_t *count)
{
    *count = m->count;
    return m->row;
}

uint32_t maildrop_uid_validity(const struct maildrop *m)
{
    return m->uid_validity;
}

static void read_message(void *arg)
{
    struct maildrop *m = arg;
    m->fault = FINE;
    if (!m->file || m->file_place != m->place) {
        char path[INDEX_PATH_MAX];
        file_close(m->file);
        m->file = NULL;
        m->file_place = m->place;
        index_message_path(m->directory, &m->row[m->place], path);
        m->fault = file_open(path, FILE_READ, &m->file);
    }
    if (!m->fault.kind)
        m->fault = file_read_at(m->file, m->memory, m->wanted, m->offset, &m->got);
}

struct fault maildrop_read(struct maildrop *m, size_t place, int64_t offset, char *memory,
                           size_t size, size_t *got)
{
    m->place = place;
    m->offset = offset;
    m->memory = memory;
    m->wanted = size;
    m->got = 0;
    offload(read_message, m);
    *got = m->got;
    return m->fault;
}

struct fault maildrop_remove(struct maildrop *m, const size_t *places, size_t count)
{
    size_t entries = (count + ENTRY_REMOVAL_MOST - 1) / ENTRY_REMOVAL_MOST;
    struct entry **entry = calloc(entries + 1, sizeof *entry);
    struct fault *result = calloc(entries + 1, sizeof *result);
    struct index_row *row = calloc(ENTRY_REMOVAL_MOST, sizeof *row);
    if (!entry || !result || !row)
        abort();
    for (size_t i = 0, k = 0; k < entries; k++) {
        size_t n = 0;
        while (n < ENTRY_REMOVAL_MOST && i < count)
            row[n++] = m->row[places[i++]];
        entry[k] = entry_remove(m->account->by_name.key, row, n);
        entry[k]->result = &result[k];
    }
    store_submit(m->store, entry, entries);
    struct fault f = FINE;
    for (size_t k = 0; k < entries && !f.kind; k++)
        f = result[k];
    free(row);
    free(result);
    free(entry);
    return f;
}

static void remove_folder(void *arg)
{
    struct maildrop *m = arg;
    struct store *s = m->store;
    mutex_lock(&s->mutex);
    account_take(s, m->account);
    account_close_index(s, m->account);
    if (m->uid_validity > s->purged_validity)
        s->purged_validity = m->uid_validity;
    mutex_unlock(&s->mutex);
    m->fault = index_drop(m->directory);
    if (!m->fault.kind)
        m->fault = file_remove_tree(m->directory);
    mutex_lock(&s->mutex);
    account_give(s, m->account);
    mutex_unlock(&s->mutex);
}

/* The records say that the messages are gone: a replay that finds their deliveries in the journal
 * removes them again. */
struct fault maildrop_purge(struct maildrop *m, size_t *removed)
{
    *removed = 0;
    while (m->count > 0) {
        size_t *places = calloc(m->count, sizeof *places);
        if (!places)
            abort();
        for (size_t i = 0; i < m->count; i++)
            places[i] = i;
        struct fault f = maildrop_remove(m, places, m->count);
        free(places);
        if (f.kind)
            return f;
        *removed += m->count;
        m->count = 0;
        offload(list_messages, m);
        if (m->fault.kind)
            return m->fault;
    }
    offload(remove_folder, m);
    return m->fault;
}
