/* SPDX-License-Identifier: ISC */
/*
 * index.c - the index of one account's messages: index.db beside the message files
 */
#include "store/index.h"

#include <sqlite3.h>
#include <stdio.h>
#include <assert.h>
#include <stdlib.h>

#include "os/file.h"
#include "store/rebuild.h"

enum { INDEX_VERSION = 1, INBOX = 1, BUSY_MS = 5000, UIDS_OF_PLACE = 1000 };

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    ADD,
    GET,
    FIND,
    REMOVE,
    LIST,
    NEWEST,
    SAVE_MAILBOX,
    SAVE_STORE,
    STATEMENTS
};

static const char *const sql[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [ADD] = "INSERT INTO message (mailbox, uid, modseq, flags, size, received_ms, position) "
            "VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
    [GET] = "SELECT uid, flags, size, received_ms, position FROM message "
            "WHERE mailbox = 1 AND uid = ?1 AND received_ms = ?2 AND position = ?3",
    [FIND] = "SELECT uid, flags, size, received_ms, position FROM message "
             "WHERE mailbox = 1 AND received_ms = ?2 AND position = ?3 AND ?1 = ?1",
    [REMOVE] = "DELETE FROM message WHERE mailbox = 1 AND uid = ?1",
    [LIST] = "SELECT uid, flags, size, received_ms, position FROM message "
             "WHERE mailbox = 1 ORDER BY uid",
    [NEWEST] = "SELECT uid, flags, size, received_ms, position FROM message "
               "WHERE mailbox = 1 ORDER BY uid DESC",
    [SAVE_MAILBOX] = "UPDATE mailbox SET uid_validity = ?1, uid_next = ?2, modseq = ?3, "
                     "message_count = ?4, bytes = ?5 WHERE id = 1",
    [SAVE_STORE] = "UPDATE store SET journal = ?1, applied = ?2",
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE store (journal INTEGER NOT NULL, applied INTEGER NOT NULL);"
    "CREATE TABLE mailbox (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, uid_validity INTEGER "
    "NOT NULL, uid_next INTEGER NOT NULL, modseq INTEGER NOT NULL, message_count INTEGER NOT NULL, "
    "bytes INTEGER NOT NULL);"
    "CREATE TABLE message (mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, modseq INTEGER NOT "
    "NULL, "
    "flags INTEGER NOT NULL, size INTEGER NOT NULL, received_ms INTEGER NOT NULL, position INTEGER "
    "NOT NULL, PRIMARY KEY (mailbox, uid)) WITHOUT ROWID;"
    "INSERT INTO store VALUES (0, 0);"
    "INSERT INTO mailbox VALUES (1, 'INBOX', 0, 1, 0, 0, 0);"
    "PRAGMA user_version = 1;"
    "COMMIT;";

/* One owner, so the log's index stays in memory and nobody else is asked for locks. NORMAL syncs
 * the log only before it is emptied. */
static const char settings[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; "
                               "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 1000; "
                               "PRAGMA cache_size = -512;";

struct index {
    sqlite3 *db;
    sqlite3_stmt *statement[STATEMENTS];
    struct index_facts facts;
    struct index_facts before; /* the transaction */
    uint64_t journal_id;
    uint32_t place; /* the highest thousand whose directory is there, + 1 */
    bool is_in_transaction;
    char directory[INDEX_PATH_MAX - 128];
};

static struct fault index_fault(struct index *i, const char *what)
{
    int code = sqlite3_errcode(i->db);
    bool is_full = code == SQLITE_FULL;
    i->facts.is_damaged |= code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    i->before.is_damaged |= i->facts.is_damaged;
    i->facts.is_read_only |= code == SQLITE_READONLY;
    i->before.is_read_only |= i->facts.is_read_only;
    return fault_make(is_full ? 452 : 451, FAULT_STATUS(4, 3, is_full ? 1 : 0),
                      "%s/index.db: %s: %s", i->directory, what, sqlite3_errmsg(i->db));
}

static struct fault run_sql(struct index *i, const char *text)
{
    return sqlite3_exec(i->db, text, NULL, NULL, NULL) == SQLITE_OK ? FINE
                                                                    : index_fault(i, "setting up");
}

/* Binds up to six numbers. */
static sqlite3_stmt *bind(struct index *i, enum statement which, const int64_t *value, int count)
{
    sqlite3_stmt *s = i->statement[which];
    for (int k = 0; k < count; k++)
        sqlite3_bind_int64(s, k + 1, value[k]);
    return s;
}

/* Runs a statement that gives no rows. */
static struct fault run(struct index *i, enum statement which, const int64_t *value, int count)
{
    sqlite3_stmt *s = bind(i, which, value, count);
    struct fault f = sqlite3_step(s) == SQLITE_DONE ? FINE : index_fault(i, sql[which]);
    sqlite3_reset(s);
    return f;
}

static struct index_row read_row(sqlite3_stmt *s)
{
    return (struct index_row){
        .uid = (uint32_t)sqlite3_column_int64(s, 0),
        .flags = (uint32_t)sqlite3_column_int64(s, 1),
        .size_bytes = sqlite3_column_int64(s, 2),
        .received_ms = sqlite3_column_int64(s, 3),
        .position = (uint64_t)sqlite3_column_int64(s, 4),
    };
}

static struct fault read_number(struct index *i, const char *query, int64_t *number)
{
    sqlite3_stmt *s = NULL;
    struct fault f = FINE;
    if (sqlite3_prepare_v2(i->db, query, -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
        *number = sqlite3_column_int64(s, 0);
    else
        f = index_fault(i, query);
    sqlite3_finalize(s);
    return f;
}

static struct fault check(struct index *i)
{
    sqlite3_stmt *s = NULL;
    bool is_good = sqlite3_prepare_v2(i->db, "PRAGMA quick_check(1)", -1, &s, NULL) == SQLITE_OK &&
                   sqlite3_step(s) == SQLITE_ROW &&
                   strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0;
    sqlite3_finalize(s);
    if (is_good)
        return FINE;
    i->facts.is_damaged = true;
    return fault_make(451, FAULT_STATUS(4, 3, 0), "%s/index.db is damaged", i->directory);
}

static struct fault read_facts(struct index *i)
{
    int64_t validity = 0, next = 0, modseq = 0, journal = 0, applied = 0;
    struct index_facts *f = &i->facts;
    struct {
        const char *query;
        int64_t *number;
    } row[] = {
        {"SELECT uid_validity FROM mailbox WHERE id = 1", &validity},
        {"SELECT uid_next FROM mailbox WHERE id = 1", &next},
        {"SELECT modseq FROM mailbox WHERE id = 1", &modseq},
        {"SELECT message_count FROM mailbox WHERE id = 1", &f->message_count},
        {"SELECT bytes FROM mailbox WHERE id = 1", &f->bytes},
        {"SELECT journal FROM store", &journal},
        {"SELECT applied FROM store", &applied},
    };
    for (size_t k = 0; k < sizeof row / sizeof row[0]; k++) {
        struct fault fault = read_number(i, row[k].query, row[k].number);
        if (fault.kind)
            return fault;
    }
    f->uid_validity = (uint32_t)validity;
    f->uid_next = (uint32_t)next;
    f->modseq = (uint64_t)modseq;
    f->applied = (uint64_t)journal == i->journal_id ? (uint64_t)applied : 0;
    return FINE;
}

static struct fault prepare(struct index *i, bool is_suspect)
{
    struct fault f = run_sql(i, settings);
    int64_t version = 0;
    if (!f.kind)
        f = read_number(i, "PRAGMA user_version", &version);
    if (!f.kind && version == 0)
        f = run_sql(i, schema);
    if (!f.kind && version > INDEX_VERSION)
        f = fault_make(451, FAULT_STATUS(4, 3, 0),
                       "%s/index.db has format %lld, this program knows up to %d", i->directory,
                       (long long)version, INDEX_VERSION);
    if (!f.kind && is_suspect)
        f = check(i);
    for (size_t k = 0; k < STATEMENTS && !f.kind; k++)
        if (sqlite3_prepare_v3(i->db, sql[k], -1, SQLITE_PREPARE_PERSISTENT, &i->statement[k],
                               NULL) != SQLITE_OK)
            f = index_fault(i, "preparing");
    return f.kind ? f : read_facts(i);
}

/* What an earlier process could not write is in the system's cache only, and looks as if it were on
 * the disk. What it had no time to write stays. */
static void forget_unwritten(const struct index *i)
{
    static const char *const names[] = {"index.db", "index.db-wal"};
    char path[INDEX_PATH_MAX];
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        struct file *file;
        snprintf(path, sizeof path, "%s/%s", i->directory, names[k]);
        if (file_open(path, FILE_READ, &file).kind)
            continue;
        file_forget_cached(file);
        file_close(file);
    }
}

static struct fault open_database(struct index *i, bool is_suspect)
{
    char path[INDEX_PATH_MAX];
    if (is_suspect)
        forget_unwritten(i);
    snprintf(path, sizeof path, "%s/index.db", i->directory);
    int result = sqlite3_open_v2(
        path, &i->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (result != SQLITE_OK)
        return index_fault(i, "opening");
    sqlite3_busy_timeout(i->db, BUSY_MS);
    /* The log is kept at closing: emptying it would cost two syncs. */
    sqlite3_db_config(i->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return prepare(i, is_suspect);
}

static void close_database(struct index *i)
{
    for (size_t k = 0; k < STATEMENTS; k++) {
        sqlite3_finalize(i->statement[k]);
        i->statement[k] = NULL;
    }
    sqlite3_close(i->db);
    i->db = NULL;
}

/* Puts the damaged database aside; an empty one is in its place. */
static struct fault mend(struct index *i)
{
    close_database(i);
    i->facts = (struct index_facts){0};
    struct fault f = rebuild_put_aside(i->directory);
    return f.kind ? f : open_database(i, false);
}

static struct fault take_found(struct index *i, struct rebuild_list *found)
{
    struct fault f = rebuild_part_twins(i->directory, found);
    for (size_t k = 0; k < found->count && !f.kind; k++)
        f = index_add(i, &found->row[k]);
    i->facts.is_rebuilt = true;
    return f;
}

/*
 * A mailbox that is new, here or after damage, gets a UIDVALIDITY (RFC 9051 section 2.3.1.1). In the same
 * transaction one that has a damaged index beside it, or has lost it, is filled from the names of the
 * files: until all of them are there it is as new, whatever ends us.
 */
static struct fault begin_mailbox(struct index *i, uint64_t replayed_from, uint32_t validity)
{
    struct rebuild_list found;
    if (i->facts.uid_validity != 0)
        return FINE;
    struct fault f = rebuild_scan(i->directory, &found);
    if (!f.kind)
        f = index_begin(i);
    if (!f.kind && (rebuild_has_damaged(i->directory) || rebuild_has_before(&found, replayed_from)))
        f = take_found(i, &found);
    rebuild_free(&found);
    i->facts.uid_validity = validity;
    if (!f.kind)
        f = index_commit(i, i->facts.applied);
    return f;
}

struct fault index_open(const char *directory, uint64_t journal_id, bool is_suspect,
                        uint64_t replayed_from, uint32_t validity, struct index **out)
{
    *out = NULL;
    struct index *i = calloc(1, sizeof *i);
    if (!i)
        abort();
    i->journal_id = journal_id & INT64_MAX;
    snprintf(i->directory, sizeof i->directory, "%s", directory);
    struct fault f = file_make_directory(directory);
    if (!f.kind)
        f = open_database(i, is_suspect);
    if (f.kind && i->facts.is_damaged)
        f = mend(i);
    if (!f.kind)
        f = begin_mailbox(i, replayed_from, validity);
    if (f.kind)
        index_close(i);
    else
        *out = i;
    return f;
}

void index_close(struct index *i)
{
    if (!i)
        return;
    close_database(i);
    free(i);
}

struct fault index_drop(const char *directory)
{
    static const char *const names[] = {"index.db.damaged", "index.db"};
    char path[INDEX_PATH_MAX];
    struct fault f = FINE;
    for (size_t k = 0; k < sizeof names / sizeof names[0] && !f.kind; k++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[k]);
        f = file_remove(path);
    }
    return f;
}

const struct index_facts *index_facts(const struct index *i)
{
    return &i->facts;
}

void index_message_path(const char *directory, const struct index_row *row,
                        char path[INDEX_PATH_MAX])
{
    snprintf(path, INDEX_PATH_MAX, "%s/mailbox-%d/%u/%u.%llx.%llx", directory, INBOX,
             row->uid / UIDS_OF_PLACE, row->uid, (unsigned long long)row->position,
             (unsigned long long)row->received_ms);
}

struct fault index_make_place(struct index *i, uint32_t uid)
{
    uint32_t place = uid / UIDS_OF_PLACE;
    if (i->place == place + 1)
        return FINE;
    char path[INDEX_PATH_MAX];
    snprintf(path, sizeof path, "%s/mailbox-%d/%u", i->directory, INBOX, place);
    struct fault f = file_make_directory(path);
    if (!f.kind)
        i->place = place + 1;
    return f;
}

void index_set_validity(struct index *i, uint32_t validity)
{
    assert(i->is_in_transaction && i->facts.uid_next == 1);
    i->facts.uid_validity = validity;
}

struct fault index_begin(struct index *i)
{
    struct fault f = run(i, BEGIN, NULL, 0);
    i->before = i->facts;
    i->is_in_transaction = !f.kind;
    return f;
}

struct fault index_commit(struct index *i, uint64_t applied)
{
    struct index_facts *facts = &i->facts;
    facts->applied = applied > facts->applied ? applied : facts->applied;
    const int64_t mailbox[] = {facts->uid_validity, facts->uid_next, (int64_t)facts->modseq,
                               facts->message_count, facts->bytes};
    const int64_t store[] = {(int64_t)i->journal_id, (int64_t)facts->applied};
    struct fault f = run(i, SAVE_MAILBOX, mailbox, 5);
    if (!f.kind)
        f = run(i, SAVE_STORE, store, 2);
    if (!f.kind)
        f = run(i, COMMIT, NULL, 0);
    if (f.kind)
        index_rollback(i);
    i->is_in_transaction = false;
    return f;
}

void index_rollback(struct index *i)
{
    if (!i->is_in_transaction)
        return;
    bool is_damaged = i->facts.is_damaged;
    /* SQLite may have rolled back by itself already. */
    if (!sqlite3_get_autocommit(i->db))
        run(i, ROLLBACK, NULL, 0);
    i->facts = i->before;
    i->facts.is_damaged |= is_damaged;
    i->is_in_transaction = false;
}

struct fault index_add(struct index *i, const struct index_row *row)
{
    struct index_facts *facts = &i->facts;
    const int64_t value[] = {row->uid,        (int64_t)facts->modseq + 1, row->flags,
                             row->size_bytes, row->received_ms,           (int64_t)row->position};
    struct fault f = run(i, ADD, value, 6);
    if (f.kind)
        return f;
    facts->modseq++;
    if (row->uid >= facts->uid_next)
        facts->uid_next = row->uid + 1;
    facts->message_count++;
    facts->bytes += row->size_bytes;
    return FINE;
}

struct fault index_remove(struct index *i, const struct index_row *wanted, bool *was_there,
                          struct index_row *found)
{
    const int64_t value[] = {wanted->uid, wanted->received_ms, (int64_t)wanted->position};
    *was_there = false;
    for (enum statement which = GET; which <= FIND && !*was_there; which++) {
        sqlite3_stmt *s = bind(i, which, value, 3);
        int result = sqlite3_step(s);
        *was_there = result == SQLITE_ROW;
        if (*was_there)
            *found = read_row(s);
        sqlite3_reset(s);
        if (result != SQLITE_ROW && result != SQLITE_DONE)
            return index_fault(i, sql[which]);
    }
    if (!*was_there)
        return FINE;
    const int64_t uid[] = {found->uid};
    struct fault f = run(i, REMOVE, uid, 1);
    if (f.kind)
        return f;
    i->facts.modseq++;
    i->facts.message_count--;
    i->facts.bytes -= found->size_bytes;
    return FINE;
}

static struct fault each_row(struct index *i, enum statement which, uint64_t position,
                             void (*each)(void *arg, const struct index_row *row), void *arg)
{
    sqlite3_stmt *s = i->statement[which];
    struct fault f = FINE;
    for (;;) {
        int result = sqlite3_step(s);
        if (result != SQLITE_ROW) {
            if (result != SQLITE_DONE)
                f = index_fault(i, sql[which]);
            break;
        }
        struct index_row row = read_row(s);
        /* Positions rise with UIDs, but for an index that was made again. */
        if (row.position < position && !i->facts.is_rebuilt)
            break;
        if (row.position >= position)
            each(arg, &row);
    }
    sqlite3_reset(s);
    return f;
}

struct fault index_list(struct index *i, void (*each)(void *arg, const struct index_row *row),
                        void *arg)
{
    return each_row(i, LIST, 0, each, arg);
}

struct fault index_newest(struct index *i, uint64_t position,
                          void (*each)(void *arg, const struct index_row *row), void *arg)
{
    return each_row(i, NEWEST, position, each, arg);
}
