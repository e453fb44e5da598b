/* SPDX-License-Identifier: ISC */
/*
 * entry.c - one change of an account, from the journal record to the index
 */
#include "store/entry.h"

#include <assert.h>
#include <stdlib.h>

#include "base/pack.h"

enum { ENTRY_VERSION = 1, FIXED_BYTES = 128, REMOVAL_BYTES = 20 };

static const struct str inbox = {"INBOX", 5};

struct content *content_make(struct buf *memory, uint64_t spool_id, uint64_t spool_size)
{
    struct content *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    atomic_init(&c->references, 1);
    c->spool_id = spool_id;
    c->size = (size_t)spool_size;
    if (memory && spool_id == 0) {
        c->data = memory->data;
        c->size = memory->used;
        *memory = buf_make(memory->limit);
    }
    return c;
}

uint64_t content_drop(struct content *c)
{
    if (!c || atomic_fetch_sub(&c->references, 1) > 1)
        return 0;
    uint64_t spool_id = c->spool_id;
    free(c->data);
    free(c);
    return spool_id;
}

static struct entry *make(enum entry_kind kind, size_t record_bytes, struct buf *record)
{
    struct entry *e = calloc(1, sizeof *e + record_bytes);
    if (!e)
        abort();
    e->kind = kind;
    list_init(&e->link);
    list_init(&e->in_order);
    *record = (struct buf){e->memory, 0, record_bytes, record_bytes};
    pack_u8(record, ENTRY_VERSION);
    return e;
}

/* Appends a string and gives the place where it lies now. */
static struct str put(struct buf *record, struct str s)
{
    pack_str(record, s);
    return str_make(record->data + record->used - s.n, s.n);
}

static void set_parts(struct entry *e, const struct buf *record)
{
    assert(record->data == e->memory);
    e->part[0] = (struct iovec){e->memory, record->used};
    e->append.parts = e->part;
    e->append.part_count = 1;
    e->append.type = (uint16_t)e->kind;
    if (e->content && e->content->data) {
        e->part[1] = (struct iovec){e->content->data, e->content->size};
        e->append.part_count = 2;
        e->content_offset = record->used;
    }
}

struct entry *entry_deliver(struct str account, struct str head, uint32_t flags,
                            int64_t received_ms, struct content *content)
{
    struct buf record;
    struct entry *e = make(ENTRY_DELIVER, FIXED_BYTES + account.n + head.n, &record);
    atomic_fetch_add(&content->references, 1);
    e->flags = flags;
    e->received_ms = received_ms;
    e->content = content;
    e->size_bytes = head.n + content->size;
    pack_u32(&record, flags);
    pack_u64(&record, (uint64_t)received_ms);
    pack_u64(&record, content->spool_id);
    pack_u64(&record, content->size);
    e->account_name = put(&record, account);
    put(&record, inbox);
    e->head = put(&record, head);
    set_parts(e, &record);
    return e;
}

struct entry *entry_remove(struct str account, const struct index_row *row, size_t count)
{
    struct buf record;
    assert(count <= ENTRY_REMOVAL_MOST);
    struct entry *e = make(ENTRY_REMOVE, FIXED_BYTES + account.n + count * REMOVAL_BYTES, &record);
    e->account_name = put(&record, account);
    put(&record, inbox);
    pack_u32(&record, (uint32_t)count);
    e->removal = calloc(count, sizeof *row);
    if (!e->removal)
        abort();
    e->removal_count = count;
    for (size_t i = 0; i < count; i++) {
        e->removal[i] = row[i];
        pack_u32(&record, row[i].uid);
        pack_u64(&record, (uint64_t)row[i].received_ms);
        pack_u64(&record, row[i].position);
    }
    set_parts(e, &record);
    return e;
}

static struct entry *unpack_deliver(struct unpack *u, size_t payload_size)
{
    uint32_t flags = unpack_u32(u);
    int64_t received_ms = (int64_t)unpack_u64(u);
    uint64_t spool_id = unpack_u64(u), size = unpack_u64(u);
    struct str account = unpack_str(u);
    unpack_str(u); /* the mailbox: INBOX is the only one */
    struct str head = unpack_str(u);
    if (u->is_bad || account.n == 0 || (spool_id == 0 && size != u->rest.n))
        return NULL;
    struct content *content = content_make(NULL, spool_id, size);
    struct entry *e = entry_deliver(account, head, flags, received_ms, content);
    content_drop(content);
    e->content_offset = payload_size - u->rest.n;
    return e;
}

static struct entry *unpack_remove(struct unpack *u)
{
    struct str account = unpack_str(u);
    unpack_str(u);
    uint32_t count = unpack_u32(u);
    if (u->is_bad || account.n == 0 || count > ENTRY_REMOVAL_MOST ||
        u->rest.n != (size_t)count * REMOVAL_BYTES)
        return NULL;
    struct index_row *row = calloc((size_t)count + 1, sizeof *row);
    if (!row)
        abort();
    for (uint32_t i = 0; i < count; i++) {
        row[i].uid = unpack_u32(u);
        row[i].received_ms = (int64_t)unpack_u64(u);
        row[i].position = unpack_u64(u);
    }
    struct entry *e = entry_remove(account, row, count);
    free(row);
    return e;
}

struct entry *entry_unpack(const struct journal_record *record)
{
    struct unpack u = {record->payload, false};
    struct entry *e = NULL;
    if (unpack_u8(&u) != ENTRY_VERSION)
        return NULL;
    if (record->type == ENTRY_DELIVER)
        e = unpack_deliver(&u, record->payload.n);
    else if (record->type == ENTRY_REMOVE)
        e = unpack_remove(&u);
    if (e) {
        e->position = record->position;
        e->is_replayed = true;
    }
    return e;
}

void entry_free(struct entry *e, uint64_t *discard)
{
    *discard = content_drop(e->content);
    free(e->removal);
    free(e);
}
