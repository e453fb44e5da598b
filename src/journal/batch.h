/* SPDX-License-Identifier: ISC */
/*
 * batch.h - from submitted records to bytes in a segment
 */
#ifndef JOURNAL_BATCH_H
#define JOURNAL_BATCH_H

#include "journal/internal.h"

/* Records submitted and in no batch yet. With the mutex; means nothing while one is formed. */
int64_t batch_pending(const struct journal *j);

/*
 * Fills the committer's batch with pending records that fit, and its refused ones with those that
 * cannot be written; goes to the next segment when needed. Without the mutex, by the one who forms.
 */
void batch_form(struct journal *j, struct committer *c);

/* Writes the batch to its place and syncs it. Without the mutex. */
struct fault batch_write(struct journal *j, struct committer *c);

/* Syncs one of a segment's files as the options say. */
struct fault batch_sync(struct journal *j, struct file *f);

#endif
