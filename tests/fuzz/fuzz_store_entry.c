/* SPDX-License-Identifier: ISC */
/*
 * fuzz_store_entry.c - a record of the store is none, or means what it would be written from
 */
#include "store/entry.h"

#include "fuzz.h"

static struct buf join(const struct entry *e)
{
    struct buf out = buf_make((size_t)1 << 24);
    for (size_t i = 0; i < e->append.part_count; i++)
        must(buf_append(&out, str_make(e->part[i].iov_base, e->part[i].iov_len)));
    return out;
}

static struct entry *write_again(const struct entry *e, struct str payload)
{
    if (e->kind == ENTRY_REMOVE)
        return entry_remove(e->account_name, e->removal, e->removal_count);
    struct buf body = buf_make(payload.n + 1);
    must(e->content->spool_id || e->content_offset + e->content->size == payload.n);
    must(buf_append(&body, str_skip(payload, e->content_offset)));
    struct content *c = content_make(&body, e->content->spool_id, e->content->size);
    struct entry *again = entry_deliver(e->account_name, e->head, e->flags, e->received_ms, c);
    must(content_drop(c) == 0);
    buf_free(&body);
    return again;
}

const struct fuzz_memory fuzz_memory = {.factor = 64, .base = 262144};

void fuzz_one(struct str in)
{
    struct journal_record record = {.type = (uint16_t)(take_octet(&in) & 3), .position = 4096};
    uint64_t discard;
    record.payload = in;
    struct entry *e = entry_unpack(&record);
    if (!e)
        return;
    must(e->account_name.n > 0 && e->removal_count <= ENTRY_REMOVAL_MOST);
    must(e->kind == ENTRY_DELIVER || e->kind == ENTRY_REMOVE);
    struct entry *again = write_again(e, in);
    struct buf bytes = join(again);
    struct journal_record second = {record.type, 4096, 0, buf_str(&bytes)};
    struct entry *read = entry_unpack(&second);
    must(read && read->kind == e->kind && read->flags == e->flags);
    must(read->received_ms == e->received_ms && read->size_bytes == e->size_bytes);
    must(str_equal(read->account_name, e->account_name) && str_equal(read->head, e->head));
    must(read->removal_count == e->removal_count);
    for (size_t i = 0; i < e->removal_count; i++)
        must(read->removal[i].uid == e->removal[i].uid &&
             read->removal[i].position == e->removal[i].position);
    entry_free(read, &discard);
    entry_free(again, &discard);
    entry_free(e, &discard);
    buf_free(&bytes);
}
