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
bool rebuild_has_damaged(const char *directory);

/* The message files of a directory, in the order of their UIDs. */
struct rebuild_list {
    struct index_row *row;
    size_t count, size;
};

/* Reads the name of a message file ("UID.POSITION.RECEIVED", index.h); false when it is none. The row's
 * size is 0. */
bool rebuild_name_parse(struct str name, struct index_row *row);

/* Lists every message file. Files with other names are left alone. *out is for rebuild_free, after a
 * fault, too. */
struct fault rebuild_scan(const char *directory, struct rebuild_list *out);
void rebuild_free(struct rebuild_list *l);

/* Whether one of them is of a record before that position. */
bool rebuild_has_before(const struct rebuild_list *l, uint64_t position);

/* Of files with the same UID, which two lists that were made again one after the other have left, all
 * but the first get new ones behind all others, and their names. */
struct fault rebuild_part_twins(const char *directory, struct rebuild_list *l);

#endif
