/* SPDX-License-Identifier: ISC */
/*
 * store.c - reports.db: the file, and what waits to be written into it
 *
 * The rollback journal is kept beside the file, and synced at each commit, as is the end of its name (EXTRA), which makes
 * the commit: batches are seconds apart.
 */
#include "report/internal.h"

#include <stdlib.h>

#include "os/random.h"

enum { SCHEMA_VERSION = 2, BUSY_TIMEOUT_MS = 5000 };

#define SHELF_TABLE                                                                                \
    "CREATE TABLE shelf (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, domain "     \
    "TEXT "                                                                                        \
    "NOT NULL,"                                                                                    \
    " organization TEXT NOT NULL, report TEXT NOT NULL, submitter TEXT NOT NULL, authentic "       \
    "INTEGER NOT NULL,"                                                                            \
    " begin INTEGER NOT NULL, end INTEGER NOT NULL, arrived INTEGER NOT NULL, good INTEGER NOT "   \
    "NULL,"                                                                                        \
    " bad INTEGER NOT NULL, records INTEGER NOT NULL, about TEXT NOT NULL,"                        \
    " UNIQUE (kind, organization, report, domain, submitter));"                                    \
    "CREATE INDEX shelf_submitter ON shelf (authentic, submitter, records);"

/*
 * An outbox row is a report that is being counted; with an end it is closed and waits to be sent. Where a day's report was
 * sent early, "closed" tells from when on the next one counts. A shelf row is a report of others.
 */
static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, domain TEXT "
    "NOT NULL,"
    " day INTEGER NOT NULL, policy TEXT NOT NULL, rua TEXT NOT NULL, begin INTEGER NOT NULL, end "
    "INTEGER,"
    " rows INTEGER NOT NULL DEFAULT 0, lost INTEGER NOT NULL DEFAULT 0);"
    "CREATE UNIQUE INDEX outbox_open ON outbox (kind, domain, day, policy) WHERE end IS NULL;"
    "CREATE TABLE outcome (outbox INTEGER NOT NULL, text TEXT NOT NULL, count INTEGER NOT NULL,"
    " PRIMARY KEY (outbox, text)) WITHOUT ROWID;"
    "CREATE TABLE closed (kind INTEGER NOT NULL, domain TEXT NOT NULL, day INTEGER NOT NULL,"
    " end INTEGER NOT NULL, PRIMARY KEY (kind, domain, day)) WITHOUT ROWID;" SHELF_TABLE
    "CREATE TABLE record (shelf INTEGER NOT NULL, number INTEGER NOT NULL, count INTEGER NOT NULL,"
    " text TEXT NOT NULL, PRIMARY KEY (shelf, number)) WITHOUT ROWID;"
    "INSERT INTO setting VALUES ('nonce', lower(hex(randomblob(6))));"
    "PRAGMA user_version = 2;"
    "COMMIT;";

/* In version 1 the submitter was no part of what tells two reports apart. */
static const char from_1_to_2[] =
    "BEGIN IMMEDIATE;"
    "ALTER TABLE shelf RENAME TO shelf_1;"
    "DROP INDEX shelf_submitter;" SHELF_TABLE
    "INSERT INTO shelf SELECT id, kind, domain, organization, report, submitter, authentic, begin, "
    "end, arrived, good, bad, records, about FROM shelf_1;"
    "DROP TABLE shelf_1;"
    "PRAGMA user_version = 2;"
    "COMMIT;";

const char *report_kind_name(enum report_about kind)
{
    return kind == REPORT_TLS ? "tls" : "dmarc";
}

struct report_store *report_store_lock(struct report_store *s)
{
    mutex_lock(&s->lock);
    return s;
}

void report_store_unlock(struct report_store **s)
{
    mutex_unlock(&(*s)->lock);
}

/* Those that were prepared stay with the connection: to read SQL costs more than to carry it out. */
sqlite3_stmt *report_statement(struct report_store *s, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    while ((statement = sqlite3_next_stmt(s->db, statement)))
        if (strcmp(sqlite3_sql(statement), sql) == 0)
            return statement;
    if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
        SQLITE_OK)
        return NULL;
    return statement;
}

void report_statement_end(sqlite3_stmt **statement)
{
    if (!*statement)
        return;
    sqlite3_reset(*statement);
    sqlite3_clear_bindings(*statement);
}

static void end_statements(struct report_store *s)
{
    sqlite3_stmt *statement;
    while (s->db && (statement = sqlite3_next_stmt(s->db, NULL)))
        sqlite3_finalize(statement);
}

void report_bind_text(sqlite3_stmt *statement, int at, struct str text)
{
    sqlite3_bind_text(statement, at, text.n ? text.p : "", (int)text.n, SQLITE_STATIC);
}

struct str report_column(sqlite3_stmt *statement, int at)
{
    const char *text = (const char *)sqlite3_column_text(statement, at);
    return str_make(text, (size_t)sqlite3_column_bytes(statement, at));
}

bool report_run(struct report_store *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

struct fault report_store_fault(struct report_store *s)
{
    struct fault f =
        fault_make(451, FAULT_STATUS(4, 3, 0), "reports.db: %s", sqlite3_errmsg(s->db));
    f.is_private = true;
    return f;
}

/* The first column of the only row. */
static int64_t read_number(struct report_store *s, const char *sql)
{
    REPORT_STATEMENT(q, s, sql);
    return q && sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
}

static bool read_nonce(struct report_store *s)
{
    REPORT_STATEMENT(q, s, "SELECT value FROM setting WHERE name = 'nonce'");
    if (!q || sqlite3_step(q) != SQLITE_ROW)
        return false;
    struct str nonce = str_head(report_column(q, 0), sizeof s->nonce - 1);
    memcpy(s->nonce, nonce.p, nonce.n);
    return nonce.n > 0;
}

static struct fault prepare(struct report_store *s)
{
    if (sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS) != SQLITE_OK ||
        !report_run(s, "PRAGMA synchronous = EXTRA"))
        return report_store_fault(s);
    int64_t version = read_number(s, "PRAGMA user_version");
    if (version < 0)
        return report_store_fault(s);
    if (version == 0) {
        if (!report_run(s, schema))
            return report_store_fault(s);
        version = SCHEMA_VERSION;
    }
    if (version == 1) {
        if (!report_run(s, from_1_to_2)) {
            struct fault f = report_store_fault(s);
            report_run(s, "ROLLBACK");
            return f;
        }
        version = SCHEMA_VERSION;
    }
    if (version > SCHEMA_VERSION)
        return fault_make(451, FAULT_STATUS(4, 3, 0),
                          "reports.db: format %lld, this program knows format %d",
                          (long long)version, SCHEMA_VERSION);
    s->outbox_rows = read_number(s, "SELECT count(*) FROM outcome");
    return s->outbox_rows < 0 || !read_nonce(s) ? report_store_fault(s) : FINE;
}

static struct fault open_file(struct report_store *s, const char *path)
{
    int result = sqlite3_open_v2(
        path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    struct fault f = result == SQLITE_OK ? prepare(s) : report_store_fault(s);
    int code = sqlite3_errcode(s->db);
    if (f.kind && (code == SQLITE_NOTADB || code == SQLITE_CORRUPT))
        f = fault_make(551, FAULT_STATUS(5, 3, 0), "reports.db is damaged: %s",
                       sqlite3_errmsg(s->db));
    return f;
}

static void close_file(struct report_store *s)
{
    end_statements(s);
    sqlite3_close(s->db);
    s->db = NULL;
}

struct fault report_store_open(const char *path, struct report_store **out)
{
    struct report_store *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    mutex_init(&s->lock);
    mutex_init(&s->pending_lock);
    s->pending = map_make(random_u64(), random_u64());
    list_init(&s->pending_list);
    *out = s;
    struct fault f = open_file(s, path);
    if (f.kind == FAULT_NEVER) { /* or a read has failed, for which SQLite has the same word */
        close_file(s);
        f = open_file(s, path);
    }
    if (f.kind) {
        report_store_close(s);
        *out = NULL;
    }
    return f;
}

static void drop_pending(struct report_store *s)
{
    struct list *link;
    while ((link = list_pop_front(&s->pending_list)))
        free(LIST_ENTRY(link, struct report_pending, in_order));
    map_free(&s->pending);
}

void report_store_close(struct report_store *s)
{
    if (!s)
        return;
    if (s->db)
        report_store_flush(s);
    drop_pending(s);
    close_file(s);
    mutex_destroy(&s->lock);
    mutex_destroy(&s->pending_lock);
    free(s);
}

struct str report_store_nonce(struct report_store *s)
{
    return str_from(s->nonce);
}

void report_store_ring(struct report_store *s, struct bell *b)
{
    mutex_lock(&s->pending_lock);
    s->bell = b;
    mutex_unlock(&s->pending_lock);
}

bool report_store_has_news(struct report_store *s)
{
    mutex_lock(&s->pending_lock);
    bool has = !list_is_empty(&s->pending_list);
    mutex_unlock(&s->pending_lock);
    return has;
}
