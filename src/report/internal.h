/* SPDX-License-Identifier: ISC */
/*
 * internal.h - the handle of reports.db, for the files that write their part of it
 */
#ifndef REPORT_INTERNAL_H
#define REPORT_INTERNAL_H

#include <sqlite3.h>

#include "base/list.h"
#include "base/map.h"
#include "os/thread.h"
#include "report/store.h"

enum { REPORT_NONCE_MAX = 20 };

/* What was counted and is not in the file yet. */
struct report_pending {
    struct map_node node;
    struct list in_order;
    struct report_outcome outcome; /* its texts are in memory */
    int64_t day;
    size_t size;
    char memory[];
};

struct report_store {
    struct mutex lock; /* of the file */
    sqlite3 *db;
    char nonce[REPORT_NONCE_MAX];
    int64_t outbox_rows; /* of all reports */
    struct mutex pending_lock;
    struct map pending;
    struct list pending_list;
    struct bell *bell;
    size_t pending_bytes;
    int64_t lost; /* outcomes that found no room */
};

/* Takes and gives back the file: cleanup attributes of the functions below do. */
struct report_store *report_store_lock(struct report_store *s);
void report_store_unlock(struct report_store **s);
#define REPORT_LOCKED(s)                                                                           \
    __attribute__((cleanup(report_store_unlock))) struct report_store *locked = report_store_lock(s)

/*
 * A statement, prepared; NULL when SQLite says no. report_statement_end for the clean-up. One text has one statement: it
 * is not asked for again before its end.
 */
sqlite3_stmt *report_statement(struct report_store *s, const char *sql);
void report_statement_end(sqlite3_stmt **statement);
#define REPORT_STATEMENT(name, s, sql)                                                             \
    __attribute__((cleanup(report_statement_end))) sqlite3_stmt *name = report_statement(s, sql)

void report_bind_text(sqlite3_stmt *statement, int at, struct str text);
struct str report_column(sqlite3_stmt *statement, int at);

/* A statement without a result, or several. */
bool report_run(struct report_store *s, const char *sql);

/* What SQLite complains of. */
struct fault report_store_fault(struct report_store *s);

#endif
