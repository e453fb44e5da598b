/* SPDX-License-Identifier: ISC */
/*
 * full.h - mailboxes that had no room lately
 *
 * How full a mailbox is its own server alone knows, and says it when a message for it has been acknowledged already: its
 * sender would get a notice, and may never have sent anything. What that server has said is kept here for a while, so
 * that strangers can be told themselves. Bounded, in memory. Any thread.
 */
#ifndef DIRECTORY_FULL_H
#define DIRECTORY_FULL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum {
    FULL_LASTS_MS = 15 * 60000, /* then one more message is let in, and finds out */
    FULL_MOST = 8192,           /* mailboxes; beyond, all are forgotten */
    FULL_SLACK = 4096           /* octets by which messages count as of the same size */
};

struct full_mailboxes;

struct full_mailboxes *full_mailboxes_make(void);
void full_mailboxes_free(struct full_mailboxes *f); /* NULL is allowed */

/* At now_ms (monotonic) a message of that size found no room in the mailbox of that address, with or without a detail. */
void full_mailboxes_add(struct full_mailboxes *f, struct str address, uint64_t size_bytes,
                        int64_t now_ms);

/* A message of that size was taken there: there is room for such. */
void full_mailboxes_remove(struct full_mailboxes *f, struct str address, uint64_t size_bytes);

/* Whether a message of that size, 0 when it is not known, would find no room either. */
bool full_mailboxes_has(struct full_mailboxes *f, struct str address, uint64_t size_bytes,
                        int64_t now_ms);

#endif
