/* SPDX-License-Identifier: ISC */
/*
 * rebuild.h - what the names of the message files tell when the index is lost
 */
#ifndef STORE_REBUILD_H
#define STORE_REBUILD_H

#include "store/index.h"

/* Renames the database of the account's directory to index.db.damaged and removes its log. */
struct fault rebuild_put_aside(const char *directory);

/* Whether a damaged database has been put aside: one without a UIDVALIDITY is still to be filled then. */
bool rebuild_is_due(const char *directory);

/* Reads the name of a message file ("UID.POSITION.RECEIVED", index.h); false when it is none. The row's
 * size is 0. */
bool rebuild_name_parse(struct str name, struct index_row *row);

/* Calls each for every message file, in no order. Files with other names are left alone. */
struct fault rebuild_scan(const char *directory,
                          void (*each)(void *arg, const struct index_row *row), void *arg);

#endif
