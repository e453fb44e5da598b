/* SPDX-License-Identifier: ISC */
/*
 * index.h - the index of one account's messages: index.db beside the message files
 *
 * In the account's directory: index.db (SQLite, with its write-ahead log) and for each mailbox a
 * directory "mailbox-ID" whose subdirectories of a thousand UIDs hold the messages as plain files
 * "UID.POSITION.RECEIVED" (the last two hexadecimal: the position of the journal record, and the
 * time in ms). The write-ahead log is synced only when SQLite empties it, so a power cut may take
 * back the newest commits but never damages what is older; the journal has those (store.c). An
 * index that is damaged all the same is put aside and made again from the names of the files, with
 * a new UIDVALIDITY.
 *
 * A handle is used by one thread at a time. Every call blocks. Faults are 452 4.3.1 when the disk
 * is full, else 451 4.3.0.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include "base/fault.h"

#include <stdint.h>

struct index;

/* One message. */
struct index_row {
    uint32_t uid;
    uint32_t flags;
    int64_t size_bytes;
    int64_t received_ms;
    uint64_t position; /* of its journal record */
};

/* What is known without asking SQLite; those of the mailbox are INBOX's. */
struct index_facts {
    uint32_t uid_validity;
    uint32_t uid_next;
    uint64_t modseq; /* the highest given */
    int64_t message_count;
    int64_t bytes;
    uint64_t applied;  /* position of the newest journal record that is in the index */
    bool is_rebuilt;   /* from the names of the files, in this handle's life */
    bool is_damaged;   /* close it; the next index_open mends it */
    bool is_read_only; /* could not be opened for writing; that may be possible now */
};

enum { INDEX_PATH_MAX = 1280 };

/*
 * Opens the index in the directory, which is made when missing. journal_id tells which journal the
 * positions are of: with another one "applied" begins anew. is_suspect: look for damage first.
 * replayed_from: the first position that will be applied again, UINT64_MAX when there is none; an index
 * that is missing although there are messages from before that has been lost, and is made again.
 * validity is for a new UIDVALIDITY.
 */
struct fault index_open(const char *directory, uint64_t journal_id, bool is_suspect,
                        uint64_t replayed_from, uint32_t validity, struct index **out);
void index_close(struct index *i); /* NULL is allowed */

const struct index_facts *index_facts(const struct index *i);

/*
 * Before the folder of an account goes: removes the database, so that half a folder has no list of what was
 * there, and the damaged one, from which nothing is to be made again.
 */
struct fault index_drop(const char *directory);

/* The file of a message of the account with that directory. */
void index_message_path(const char *directory, const struct index_row *row,
                        char path[INDEX_PATH_MAX]);

/* Makes the directory that the file of this UID belongs into, unless it was made before. */
struct fault index_make_place(struct index *i, uint32_t uid);

/* The UIDVALIDITY is another one, within a transaction: before there is a first UID. */
void index_set_validity(struct index *i, uint32_t validity);

/* A transaction; rollback brings the facts back, too, and is harmless without one. */
struct fault index_begin(struct index *i);
struct fault index_commit(struct index *i, uint64_t applied);
void index_rollback(struct index *i);

/* Adds a message that has its UID; uid_next rises above it. */
struct fault index_add(struct index *i, const struct index_row *row);

/* Removes the message with that position and time of arrival; its UID is a hint. *found gets it
 * when there was one. */
struct fault index_remove(struct index *i, const struct index_row *wanted, bool *was_there,
                          struct index_row *found);

/* Calls each for every message by ascending UID. */
struct fault index_list(struct index *i, void (*each)(void *arg, const struct index_row *row),
                        void *arg);

/* Calls each by descending UID, for the messages whose position is at least that one. */
struct fault index_newest(struct index *i, uint64_t position,
                          void (*each)(void *arg, const struct index_row *row), void *arg);

#endif
