/* SPDX-License-Identifier: ISC */
/*
 * internal.h - what the files of the store share
 *
 * One mutex guards the table of accounts and all lists. An account that is busy belongs to one
 * thread, which uses its index without the mutex.
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <stdatomic.h>

#include "base/heap.h"
#include "base/map.h"
#include "os/thread.h"
#include "store/entry.h"
#include "store/store.h"

enum { STORE_PATH_MAX = 512, STORE_THREADS_MOST = 16, STORE_BATCH_MOST = 512 };

struct account {
    struct map_node by_name;
    struct list pending; /* entries by position */
    size_t pending_count;
    int64_t pending_bytes; /* of deliveries that are not applied, taken ones too */
    struct heap_node due;  /* when to apply, in ns; while something is pending and nobody is busy */
    struct list by_use;    /* among the open and unused indexes, the least recently used first */
    struct index *index;
    bool is_busy;
    bool is_suspect;       /* has been replayed: the index is checked when it is opened */
    bool is_open;          /* a maildrop */
    int64_t pause_ns;      /* of the last attempt that failed, 0: it went well */
    int64_t not_before_ns; /* after a failure: when to try again */
    size_t holds;          /* entries on their way, and others who need the account in memory */
    int64_t usage_bytes;   /* of the messages in the index, while is_usage_known */
    bool is_usage_known;
    char name[];
};

struct spool_discard {
    uint64_t id;
    uint64_t position; /* of the newest record that named it */
};

struct store {
    struct store_options options;
    char directory[STORE_PATH_MAX];
    struct file *system; /* the directory, opened before anything is written there */
    struct journal *journal;
    uint64_t journal_id;
    struct mutex mutex;
    struct cond work;    /* for the threads that apply */
    struct cond changed; /* an account is not busy any more, a checkpoint is done */
    struct map accounts;
    struct heap due;
    struct list in_order; /* all entries that are not applied, by position */
    struct list unused;   /* accounts with open indexes that nobody uses */
    size_t unused_count;
    uint64_t seen_position; /* of the newest record that has come back from the journal */
    struct spool_discard *discard;
    size_t discard_count, discard_size;
    struct store_statistics statistics;
    atomic_int_least64_t unapplied_bytes;
    atomic_uint_least64_t last_spool_id;
    uint32_t purged_validity; /* the highest UIDVALIDITY of an account that was removed */
    struct thread thread[STORE_THREADS_MOST];
    struct thread keeper;
    struct cond keeper_work;
    bool is_checkpoint_wanted;
    uint64_t checkpoint_position; /* seen_position at the last one */
    struct fault checkpoint_fault;
    bool is_in_doubt;      /* the keeper's: what was applied may not be on the disk */
    bool is_stopping;      /* the threads end when nothing is left */
    bool is_keeper_ending; /* after a last checkpoint */
    bool is_started;
};

/* The account, made when missing, with one more hold. With the mutex. */
struct account *account_hold(struct store *s, struct str name);
void account_release(struct store *s, struct account *a);

/* Waits until the account is ours; gives it back. With the mutex, which the wait lets go. */
void account_take(struct store *s, struct account *a);
void account_give(struct store *s, struct account *a);

/* The directory of an account. */
enum { ACCOUNT_PATH_MAX = INDEX_PATH_MAX - 128 };
struct fault account_directory(const struct store *s, struct str name, char path[ACCOUNT_PATH_MAX]);

/* Opens the index of a busy account, unless it is. Without the mutex. replayed_from: index_open. */
struct fault account_open(struct store *s, struct account *a, uint64_t replayed_from);

/* Closes the index of a busy account, if it is open. With the mutex, which is let go meanwhile. */
void account_close_index(struct store *s, struct account *a);

/* Applies all that is pending for a busy account. With the mutex, which is let go meanwhile. */
struct fault account_settle(struct store *s, struct account *a);

/* Puts an entry that is durable into its account's list and the store's order. With the mutex. */
void store_enqueue(struct store *s, struct entry *e);

/* A UIDVALIDITY of that time, later than those of accounts that were removed just now: one of them may have
 * been made again. Without the mutex. */
uint32_t store_validity(struct store *s, int64_t time_ms);

/* Writes the batch of a busy account's entries to files and index. Without the mutex. */
struct fault batch_apply(struct store *s, struct account *a, struct list *entries);

/* Submits the entries, which it takes, and waits until each one's result is there. Suspends the
 * task. */
void store_submit(struct store *s, struct entry **entry, size_t count);

/* Frees an entry, remembering the spool file it may have been the last to need. With the mutex. */
void store_free_entry(struct store *s, struct entry *e);

/* Removes a spool file (0: none) once the records that named it are trimmed. With the mutex. */
void store_discard_later(struct store *s, uint64_t spool_id);

/* The bodies of the threads. */
void store_apply(void *arg);
void store_keep(void *arg);

void store_alarm(struct store *s, const struct fault *f);

/* What an entry counts against the limit of unapplied bytes. */
int64_t store_entry_bytes(const struct entry *e);

/* Where a spool file is. */
void store_spool_path(const struct store *s, uint64_t id, char path[STORE_PATH_MAX + 64]);

#endif
