/* SPDX-License-Identifier: ISC */
/*
 * entry.h - one change of an account, from the journal record to the index
 */
#ifndef STORE_ENTRY_H
#define STORE_ENTRY_H

#include <stdatomic.h>

#include "base/list.h"
#include "journal/journal.h"
#include "store/index.h"

enum entry_kind { ENTRY_DELIVER = 1, ENTRY_REMOVE = 2 };

enum { ENTRY_REMOVAL_MOST = 4096 };

/* The content that several entries share. */
struct content {
    atomic_size_t references;
    char *data; /* NULL when it is in the spool, or only in the journal (replay) */
    size_t size;
    uint64_t spool_id; /* 0: none */
};

struct account;
struct entry_group; /* deliver.c: entries that were submitted together */

struct entry {
    struct journal_append append;
    struct iovec part[2];
    struct list link;     /* of the account: by position */
    struct list in_order; /* of the store: by position, all that are not applied */
    struct account *account;
    struct entry_group *group;
    struct fault *result;
    enum entry_kind kind;
    bool is_replayed;
    uint64_t position;
    uint32_t flags;
    int64_t received_ms;
    struct str account_name;
    struct str head; /* of a delivery */
    struct content *content;
    size_t content_offset; /* in the record, where it is inline */
    size_t size_bytes;     /* of the whole message */
    struct index_row *removal;
    size_t removal_count;
    char memory[]; /* the record but for the content; account_name and head point here */
};

/* A delivery whose record is account, head and (unless spooled) the content's bytes. Keeps a
 * reference of the content. */
struct entry *entry_deliver(struct str account, struct str head, uint32_t flags,
                            int64_t received_ms, struct content *content);

/* A removal of at most ENTRY_REMOVAL_MOST messages. */
struct entry *entry_remove(struct str account, const struct index_row *row, size_t count);

/* The entry of a record, or NULL when the payload is none that this version knows. */
struct entry *entry_unpack(const struct journal_record *record);

/* Frees the entry; *discard is the spool file that nobody needs any more, or 0. */
void entry_free(struct entry *e, uint64_t *discard);

/* The content takes the buffer's memory; one reference. */
struct content *content_make(struct buf *memory, uint64_t spool_id, uint64_t spool_size);

/* Gives a reference back; the result is the spool file that nobody needs any more, or 0. */
uint64_t content_drop(struct content *c);

#endif
