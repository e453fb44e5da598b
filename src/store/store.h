/* SPDX-License-Identifier: ISC */
/*
 * store.h - the mailboxes: deliver, list, read, remove
 *
 * A delivery is one journal record and is acknowledged once that is durable. Threads of the store
 * then apply it: the message file is written and its row inserted into the account's index, in
 * batches and without a sync (apply.c). A checkpoint syncs the file system once and lets the
 * journal go (checkpoint.c). Whoever opens a maildrop first applies what waits for it, so mail is
 * seen as soon as it is acknowledged (maildrop.c).
 *
 * On disk: journal/, accounts/DOMAIN/LOCAL/ (name.h, index.h), incoming/ for bodies of large
 * messages whose record is not applied yet. Any loop may call; accounts are "local@domain" in lower
 * case. Reading opens the account if nothing has been delivered to it.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "journal/journal.h"
#include "os/file.h"

struct store;

struct store_options {
    const char *directory;          /* made when missing */
    struct journal_options journal; /* its directory is set by the store; alarm is used, too */
    /*
     * Called once, with the journal's alarm_arg, on a thread of the store: the disk has not taken what
     * was applied, and no sync will tell again. The journal stays as it is, and the next store_open
     * writes everything once more.
     */
    void (*give_up)(void *arg, const struct fault *fault);
    int64_t checkpoint_ms;     /* between checkpoints */
    int64_t journal_bytes;     /* beyond this a checkpoint comes early */
    int64_t unapplied_bytes;   /* acknowledged and not in the mailboxes yet; beyond it ... */
    int64_t unapplied_wait_ms; /* ... deliveries wait that long, then 452 4.3.1 */
    unsigned thread_count;     /* that apply; at least 1 */
    size_t index_most;         /* indexes kept open while nobody uses them */
};

/* Opens the directory and replays the journal. Blocks. */
struct fault store_open(const struct store_options *options, struct store **out);

/* Applies what waits, makes a checkpoint and closes. Blocks; nobody may be using the store. */
void store_close(struct store *s);

/* The options that a reload may change: checkpoint and limits. */
void store_set_options(struct store *s, const struct store_options *options);

/* One recipient of a message. */
struct store_recipient {
    struct str account;
    struct str head; /* put in front of the content for this recipient: trace fields */
    uint32_t flags;
    struct fault result;
};

/*
 * Delivers the content to every recipient; each result is FINE once the message is durable (and
 * then seen by readers), else 452 4.3.1 (too much waits, or the disk is full) or 451 4.3.0. content
 * is taken in any case; when spool_id is not 0 the content is that synced file's spool_size bytes
 * instead, and the file is the store's from now on. Suspends the task.
 */
void store_deliver(struct store *s, struct store_recipient *rcpt, size_t count, int64_t received_ms,
                   struct buf *content, uint64_t spool_id, uint64_t spool_size);

/* A file for the content of a large message: made, synced with its name, or removed again. Block.
 */
uint64_t store_new_spool_id(struct store *s);
struct fault store_spool_file(struct store *s, uint64_t id, struct file **out);
struct fault store_spool_sync(struct store *s, uint64_t id, struct file *file);
struct fault store_spool_discard(struct store *s, uint64_t id);

/* Bytes of the account's messages, with those that wait. Suspends the task unless it is known. */
struct fault store_usage(struct store *s, struct str account, int64_t *bytes);

struct store_statistics {
    int64_t delivered; /* acknowledged since the start, one for each recipient */
    int64_t applied;   /* records */
    int64_t batches;   /* that they were applied in */
    int64_t unapplied; /* records that wait */
    int64_t unapplied_bytes;
    int64_t indexes; /* open */
    int64_t checkpoints;
    struct journal_statistics journal;
};
void store_statistics(struct store *s, struct store_statistics *out);

/* Asks for a checkpoint and waits for it. Blocks (a task goes through offload). */
struct fault store_checkpoint(struct store *s);

#endif
