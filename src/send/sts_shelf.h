/* SPDX-License-Identifier: ISC */
/*
 * sts_shelf.h - the files in which MTA-STS policies outlive a restart, one for each domain
 *
 * A file has a line "eilbote-mta-sts ID FETCHED EXPIRES" (times in seconds) and the policy as it was fetched. One that
 * cannot be read is as if it were not there. All calls but the parser suspend the task.
 */
#ifndef SEND_STS_SHELF_H
#define SEND_STS_SHELF_H

#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"

struct sts_stored {
    struct str id;
    struct str text;              /* the policy as it was fetched; empty: none */
    int64_t fetched_s, expires_s; /* real time */
};

/* A file's content; borrows it. False when it is none. */
bool sts_shelf_parse(struct str content, struct sts_stored *out);

/*
 * The policy of a domain (a valid host name), in the arena: no power cut takes it back. False when there is none, or
 * (*is_unreadable) when there is one that cannot be read now.
 */
bool sts_shelf_get(const char *folder, struct str domain, struct arena *a, struct sts_stored *out,
                   bool *is_unreadable);

/* Puts it there durably. Faults as file_save. */
struct fault sts_shelf_put(const char *folder, struct str domain, const struct sts_stored *s);

/* Whether it is a day old, or half of its time is over: it is to be fetched anew (RFC 8461 section 3.3). */
bool sts_shelf_is_old(const struct sts_stored *s, int64_t now_s);

/*
 * Calls each for the domains whose policies hold at that time and are old, and removes the files of those that do not
 * hold. A file that cannot be read stays.
 */
void sts_shelf_each(const char *folder, int64_t now_s, void (*each)(void *arg, struct str domain),
                    void *arg);

#endif
