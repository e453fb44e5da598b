/* SPDX-License-Identifier: ISC */
/*
 * maildrop.h - one account's INBOX, opened by one session at a time
 *
 * The list is that of the moment of opening; what is delivered later is for the next session. Every
 * function suspends the task.
 */
#ifndef STORE_MAILDROP_H
#define STORE_MAILDROP_H

#include "store/index.h"
#include "store/store.h"

struct maildrop;

/*
 * Applies what waits for the account and lists its messages. 450 4.2.1 when another session has it
 * open, else the faults of the index. *out is for maildrop_close; NULL on a fault.
 */
struct fault maildrop_open(struct store *s, struct str account, struct maildrop **out);
void maildrop_close(struct maildrop *m); /* NULL is allowed */

/* The messages by ascending UID; borrowed until maildrop_close. */
const struct index_row *maildrop_rows(const struct maildrop *m, size_t *count);
uint32_t maildrop_uid_validity(const struct maildrop *m);

/* Reads up to size bytes of a message (its place in the list) at the offset; less is its end. */
struct fault maildrop_read(struct maildrop *m, size_t place, int64_t offset, char *memory,
                           size_t size, size_t *got);

/* Removes messages for good: on FINE that is durable and no later session sees them. */
struct fault maildrop_remove(struct maildrop *m, const size_t *places, size_t count);

/*
 * Removes every message for good, also those that came since the opening, and then the account's
 * folder; *removed counts them. After a fault or a crash the folder may still be there. Only
 * maildrop_close may follow.
 */
struct fault maildrop_purge(struct maildrop *m, size_t *removed);

#endif
