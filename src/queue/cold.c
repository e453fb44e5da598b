/* SPDX-License-Identifier: ISC */
/*
 * cold.c - deferred messages at rest: queue.db and body files
 */
#include "queue/cold.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/file.h"
#include "base/arena.h"
#include "os/thread.h"
#include "queue/record.h"

enum { COLD_VERSION = 1, PATH_MAX_BYTES = 1024, ARENA_LIMIT = 16 << 20, BODY_DIRECTORIES = 256 };

enum statement {
    PUT_MESSAGE,
    PUT_DELIVERY,
    DELETE_MESSAGE,
    DELETE_DELIVERIES,
    HAS_MESSAGE,
    GET_MESSAGE,
    GET_DELIVERIES,
    DUE,
    NEXT_DUE,
    BRING_FORWARD,
    IDS,
    COUNT,
    STATEMENTS
};

static const char *const sql[STATEMENTS] = {
    [PUT_MESSAGE] = "INSERT OR REPLACE INTO message VALUES (?1, ?2, ?3, ?4, ?5)",
    [PUT_DELIVERY] = "INSERT INTO delivery VALUES (?1, ?2, ?3, ?4, ?5)",
    [DELETE_MESSAGE] = "DELETE FROM message WHERE id = ?1",
    [DELETE_DELIVERIES] = "DELETE FROM delivery WHERE message = ?1",
    [HAS_MESSAGE] = "SELECT 1 FROM message WHERE id = ?1",
    [GET_MESSAGE] = "SELECT body_size, envelope FROM message WHERE id = ?1",
    [GET_DELIVERIES] = "SELECT packed FROM delivery WHERE message = ?1",
    [DUE] = ("SELECT next_attempt_ms, message FROM delivery WHERE state = 0 AND "
             "(next_attempt_ms, message) > (?1, ?2) AND next_attempt_ms <= ?3 "
             "ORDER BY next_attempt_ms, message LIMIT ?4"),
    [NEXT_DUE] =
        ("SELECT next_attempt_ms FROM delivery WHERE state = 0 AND "
         "(next_attempt_ms, message) > (?1, ?2) ORDER BY next_attempt_ms, message LIMIT 1"),
    [BRING_FORWARD] =
        "UPDATE delivery SET next_attempt_ms = ?1 WHERE state = 0 AND next_attempt_ms > ?2",
    [IDS] = "SELECT id FROM message WHERE id > ?1 ORDER BY id LIMIT ?2",
    [COUNT] = "SELECT count(*), max(id) FROM message",
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE message (id INTEGER PRIMARY KEY, sender TEXT NOT NULL, arrival_ms INTEGER NOT "
    "NULL, body_size INTEGER NOT NULL, envelope BLOB NOT NULL);"
    "CREATE TABLE delivery (message INTEGER NOT NULL, domain TEXT NOT NULL, state INTEGER NOT "
    "NULL, next_attempt_ms INTEGER NOT NULL, packed BLOB NOT NULL, PRIMARY KEY (message, domain)) "
    "WITHOUT ROWID;"
    "CREATE INDEX delivery_due ON delivery (next_attempt_ms, message) WHERE state = 0;"
    "PRAGMA user_version = 1;"
    "COMMIT;";

struct cold {
    sqlite3 *db;
    struct file *system; /* the directory, opened before anything is written there */
    sqlite3_stmt *statement[STATEMENTS];
    struct mutex mutex;
    bool is_in_doubt; /* a commit has failed, and none has gone well since */
    char directory[PATH_MAX_BYTES];
};

static struct fault db_fault(struct cold *c, const char *what)
{
    int code = sqlite3_errcode(c->db);
    bool is_full = code == SQLITE_FULL;
    return fault_make(is_full ? 452 : 451, FAULT_STATUS(4, 3, is_full ? 1 : 0), "queue.db: %s: %s",
                      what, sqlite3_errmsg(c->db));
}

static struct fault run_sql(struct cold *c, const char *text)
{
    return sqlite3_exec(c->db, text, NULL, NULL, NULL) == SQLITE_OK ? FINE
                                                                    : db_fault(c, "setting up");
}

static struct fault read_version(struct cold *c, int *version)
{
    sqlite3_stmt *s = NULL;
    *version = -1;
    if (sqlite3_prepare_v2(c->db, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
        *version = sqlite3_column_int(s, 0);
    struct fault f = *version < 0 ? db_fault(c, "version") : FINE;
    sqlite3_finalize(s);
    return f;
}

static void note_body(const char *name, void *arg)
{
    uint64_t id;
    bool *is_found = arg;
    *is_found |= queue_id_parse(str_from(name), &id);
}

/* Bodies are there only since queue.db is. The sweep would take those that it named. */
static struct fault check_new(const struct cold *c)
{
    char path[PATH_MAX_BYTES + 16];
    bool is_found = false;
    struct fault f = FINE;
    for (unsigned i = 0; i < BODY_DIRECTORIES && !f.kind && !is_found; i++) {
        snprintf(path, sizeof path, "%s/bodies/%02x", c->directory, i);
        f = file_list(path, note_body, &is_found);
    }
    if (!f.kind && is_found)
        f = fault_make(
            451, FAULT_STATUS(4, 3, 0),
            "queue.db is gone or empty, but %s/bodies has messages of which it told: put "
            "it back, or move that folder away",
            c->directory);
    return f;
}

static struct fault prepare(struct cold *c)
{
    struct fault f = run_sql(c, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                                "PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000;");
    int version = 0;
    if (!f.kind)
        f = read_version(c, &version);
    if (!f.kind && version == 0)
        f = check_new(c);
    if (!f.kind && version == 0)
        f = run_sql(c, schema);
    if (!f.kind && version > COLD_VERSION)
        f = fault_make(451, FAULT_STATUS(4, 3, 0),
                       "queue.db has format %d, this program knows up to %d", version,
                       COLD_VERSION);
    for (size_t i = 0; i < STATEMENTS && !f.kind; i++)
        if (sqlite3_prepare_v3(c->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &c->statement[i],
                               NULL) != SQLITE_OK)
            f = db_fault(c, "prepare");
    return f;
}

static struct fault make_body_directories(const struct cold *c)
{
    struct arena a = arena_make(1 << 16);
    const char **names = arena_alloc(&a, BODY_DIRECTORIES * sizeof *names);
    for (unsigned i = 0; i < BODY_DIRECTORIES; i++)
        names[i] = arena_printf(&a, "%02x", i).p;
    struct str path = arena_printf(&a, "%s/bodies", c->directory);
    struct fault f = file_establish_directory(path.p, names, BODY_DIRECTORIES);
    arena_free(&a);
    return f;
}

/* A row that a killed process left unsynced lets its record go out of the journal, and one that it
 * removed lets its body go: no power cut may bring back what was before. */
static struct fault sync_found(const struct cold *c)
{
    static const char *const names[] = {"queue.db", "queue.db-wal"};
    char path[PATH_MAX_BYTES + 16];
    struct fault f = FINE;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !f.kind; i++) {
        snprintf(path, sizeof path, "%s/%s", c->directory, names[i]);
        f = file_sync_path(path);
    }
    return f;
}

struct fault cold_open(const char *directory, struct cold **out)
{
    *out = NULL;
    struct cold *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    mutex_init(&c->mutex);
    snprintf(c->directory, sizeof c->directory, "%s", directory);
    char path[PATH_MAX_BYTES + 16];
    struct fault f = make_body_directories(c);
    if (!f.kind)
        f = file_open(c->directory, FILE_READ, &c->system);
    if (!f.kind)
        f = sync_found(c);
    snprintf(path, sizeof path, "%s/queue.db", c->directory);
    if (!f.kind && sqlite3_open_v2(path, &c->db,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                                   NULL) != SQLITE_OK)
        f = db_fault(c, "open");
    /* SQLite opens for reading what it cannot open for writing, and stays with that; it even lets
     * a transaction begin for writing then. */
    if (!f.kind && sqlite3_db_readonly(c->db, "main"))
        f = fault_make(451, FAULT_STATUS(4, 3, 0), "queue.db cannot be written");
    if (!f.kind)
        f = prepare(c);
    if (f.kind) {
        cold_close(c);
        return f;
    }
    *out = c;
    return FINE;
}

void cold_close(struct cold *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(c->statement[i]);
    sqlite3_close(c->db);
    file_close(c->system);
    mutex_destroy(&c->mutex);
    free(c);
}

bool cold_body_path(const struct cold *c, uint64_t id, char *path, size_t size)
{
    char text[QUEUE_ID_TEXT_MAX];
    queue_id_text(id, text);
    int n = snprintf(path, size, "%s/bodies/%02x/%s", c->directory, (unsigned)(id & 255), text);
    return n > 0 && (size_t)n < size;
}

static void bind_str(sqlite3_stmt *s, int at, struct str value, bool is_text)
{
    if (is_text)
        sqlite3_bind_text64(s, at, value.n ? value.p : "", value.n, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_blob64(s, at, value.n ? value.p : "", value.n, SQLITE_STATIC);
}

/* Runs a statement that gives no rows. */
static bool step_done(sqlite3_stmt *s)
{
    bool is_done = sqlite3_step(s) == SQLITE_DONE;
    sqlite3_reset(s);
    return is_done;
}

static bool delete_rows(struct cold *c, enum statement statement, uint64_t id)
{
    sqlite3_stmt *s = c->statement[statement];
    sqlite3_bind_int64(s, 1, (int64_t)id);
    return step_done(s);
}

static bool put_rows(struct cold *c, const struct cold_change *change)
{
    sqlite3_stmt *s = c->statement[PUT_MESSAGE];
    sqlite3_bind_int64(s, 1, (int64_t)change->id);
    bind_str(s, 2, change->sender, true);
    sqlite3_bind_int64(s, 3, change->arrival_ms);
    sqlite3_bind_int64(s, 4, (int64_t)change->body_size);
    bind_str(s, 5, change->envelope, false);
    if (!step_done(s))
        return false;
    s = c->statement[PUT_DELIVERY];
    for (size_t i = 0; i < change->delivery_count; i++) {
        const struct cold_delivery *d = &change->delivery[i];
        sqlite3_bind_int64(s, 1, (int64_t)change->id);
        bind_str(s, 2, d->domain, true);
        sqlite3_bind_int64(s, 3, d->state);
        sqlite3_bind_int64(s, 4, d->next_attempt_ms);
        bind_str(s, 5, d->packed, false);
        if (!step_done(s))
            return false;
    }
    return true;
}

/*
 * Commits, unless there was a fault. When the commit fails, it may stand in the log all the same, with
 * only its sync missing: we do not see it, and the next start would, until another one is written over
 * it.
 */
static struct fault end_transaction(struct cold *c, struct fault f)
{
    if (!f.kind) {
        f = run_sql(c, "COMMIT");
        c->is_in_doubt = f.kind != FAULT_FINE;
    }
    if (f.kind)
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    return f;
}

static struct fault apply_all(struct cold *c, const struct cold_change *changes, size_t count)
{
    struct fault f = run_sql(c, "BEGIN IMMEDIATE");
    if (f.kind)
        return f;
    for (size_t i = 0; i < count && !f.kind; i++) {
        const struct cold_change *change = &changes[i];
        bool is_fine =
            delete_rows(c, DELETE_DELIVERIES, change->id) &&
            (change->is_removed ? delete_rows(c, DELETE_MESSAGE, change->id) : put_rows(c, change));
        if (!is_fine)
            f = db_fault(c, "write");
    }
    return end_transaction(c, f);
}

bool cold_is_in_doubt(const struct cold *c)
{
    return c->is_in_doubt;
}

struct fault cold_settle(struct cold *c)
{
    mutex_lock(&c->mutex);
    struct fault f = FINE;
    if (c->is_in_doubt) /* the version that it has: a page is written, and nothing changes */
        f = end_transaction(c, run_sql(c, "BEGIN IMMEDIATE; PRAGMA user_version = 1"));
    mutex_unlock(&c->mutex);
    return f;
}

struct fault cold_apply(struct cold *c, const struct cold_change *changes, size_t count)
{
    /* The bodies must be on the disk before a row says that they are. */
    bool has_bodies = false;
    for (size_t i = 0; i < count; i++)
        has_bodies = has_bodies || !changes[i].is_removed;
    struct fault f = has_bodies ? file_sync_system(c->system) : FINE;
    if (f.kind)
        return f;
    mutex_lock(&c->mutex);
    f = apply_all(c, changes, count);
    mutex_unlock(&c->mutex);
    /* A body file goes only after no row names it; one that stays behind is swept at the start. */
    for (size_t i = 0; i < count && !f.kind; i++) {
        char path[PATH_MAX_BYTES];
        if (changes[i].is_removed && cold_body_path(c, changes[i].id, path, sizeof path))
            f = file_remove(path);
    }
    return f;
}

struct fault cold_has(struct cold *c, uint64_t id, bool *is_there)
{
    mutex_lock(&c->mutex);
    sqlite3_stmt *s = c->statement[HAS_MESSAGE];
    sqlite3_bind_int64(s, 1, (int64_t)id);
    int result = sqlite3_step(s);
    *is_there = result == SQLITE_ROW;
    struct fault f = result == SQLITE_ROW || result == SQLITE_DONE ? FINE : db_fault(c, "read");
    sqlite3_reset(s);
    mutex_unlock(&c->mutex);
    return f;
}

static struct str column(sqlite3_stmt *s, int at)
{
    const void *p = sqlite3_column_blob(s, at);
    return str_make(p, p ? (size_t)sqlite3_column_bytes(s, at) : 0);
}

static struct queue_message *read_message(struct cold *c, uint64_t id)
{
    sqlite3_stmt *s = c->statement[GET_MESSAGE];
    sqlite3_bind_int64(s, 1, (int64_t)id);
    struct queue_message *m = NULL;
    if (sqlite3_step(s) == SQLITE_ROW) {
        struct arena arena = arena_make(ARENA_LIMIT);
        struct queue_envelope e;
        if (envelope_unpack(&arena, column(s, 1), &e)) {
            m = message_make(id, &arena, &e);
            m->body_kind = QUEUE_BODY_FILE;
            m->body_size = (size_t)sqlite3_column_int64(s, 0);
            m->is_cold = true;
        } else {
            arena_free(&arena);
        }
    }
    sqlite3_reset(s);
    return m;
}

/* Deliveries without a row have ended. */
static void read_deliveries(struct cold *c, struct queue_message *m)
{
    for (size_t i = 0; i < m->delivery_count; i++)
        m->delivery[i].state = QUEUE_ENDED;
    sqlite3_stmt *s = c->statement[GET_DELIVERIES];
    sqlite3_bind_int64(s, 1, (int64_t)m->id);
    while (sqlite3_step(s) == SQLITE_ROW)
        record_apply_delivery(m, column(s, 0));
    sqlite3_reset(s);
    m->open_count = 0;
    for (size_t i = 0; i < m->delivery_count; i++)
        m->open_count += m->delivery[i].state != QUEUE_ENDED;
}

/* Deliveries without a row have ended: one whose row could not be read has not. */
static void forget(struct queue_message **m)
{
    if (*m)
        message_free(*m);
    *m = NULL;
}

struct fault cold_load(struct cold *c, uint64_t id, struct queue_message **out)
{
    mutex_lock(&c->mutex);
    *out = read_message(c, id);
    if (*out)
        read_deliveries(c, *out);
    int code = sqlite3_errcode(c->db);
    struct fault f =
        code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE ? FINE : db_fault(c, "read");
    mutex_unlock(&c->mutex);
    if (f.kind)
        forget(out);
    return f;
}

struct fault cold_due(struct cold *c, int64_t now_ms, struct cold_cursor *cursor, uint64_t *ids,
                      size_t limit, size_t *count)
{
    mutex_lock(&c->mutex);
    sqlite3_stmt *s = c->statement[DUE];
    sqlite3_bind_int64(s, 1, cursor->time_ms);
    sqlite3_bind_int64(s, 2, (int64_t)cursor->id);
    sqlite3_bind_int64(s, 3, now_ms);
    sqlite3_bind_int64(s, 4, (int64_t)limit);
    int result;
    *count = 0;
    while ((result = sqlite3_step(s)) == SQLITE_ROW && *count < limit) {
        cursor->time_ms = sqlite3_column_int64(s, 0);
        cursor->id = (uint64_t)sqlite3_column_int64(s, 1);
        ids[(*count)++] = cursor->id;
    }
    struct fault f = result == SQLITE_DONE || result == SQLITE_ROW ? FINE : db_fault(c, "read");
    sqlite3_reset(s);
    mutex_unlock(&c->mutex);
    return f;
}

struct fault cold_bring_forward(struct cold *c, int64_t now_ms, int64_t latest_ms)
{
    mutex_lock(&c->mutex);
    sqlite3_stmt *s = c->statement[BRING_FORWARD];
    sqlite3_bind_int64(s, 1, now_ms);
    sqlite3_bind_int64(s, 2, latest_ms);
    struct fault f = sqlite3_step(s) == SQLITE_DONE ? FINE : db_fault(c, "write");
    sqlite3_reset(s);
    mutex_unlock(&c->mutex);
    return f;
}

struct fault cold_next_due(struct cold *c, const struct cold_cursor *cursor, int64_t *time_ms)
{
    mutex_lock(&c->mutex);
    sqlite3_stmt *s = c->statement[NEXT_DUE];
    sqlite3_bind_int64(s, 1, cursor->time_ms);
    sqlite3_bind_int64(s, 2, (int64_t)cursor->id);
    int result = sqlite3_step(s);
    *time_ms = result == SQLITE_ROW ? sqlite3_column_int64(s, 0) : INT64_MAX;
    struct fault f = result == SQLITE_DONE || result == SQLITE_ROW ? FINE : db_fault(c, "read");
    sqlite3_reset(s);
    mutex_unlock(&c->mutex);
    return f;
}

struct fault cold_ids(struct cold *c, uint64_t above, uint64_t *ids, size_t limit, size_t *count)
{
    mutex_lock(&c->mutex);
    sqlite3_stmt *s = c->statement[IDS];
    sqlite3_bind_int64(s, 1, (int64_t)above);
    sqlite3_bind_int64(s, 2, (int64_t)limit);
    int result;
    *count = 0;
    while ((result = sqlite3_step(s)) == SQLITE_ROW && *count < limit)
        ids[(*count)++] = (uint64_t)sqlite3_column_int64(s, 0);
    struct fault f = result == SQLITE_DONE || result == SQLITE_ROW ? FINE : db_fault(c, "read");
    sqlite3_reset(s);
    mutex_unlock(&c->mutex);
    return f;
}

struct fault cold_count(struct cold *c, int64_t *messages, uint64_t *largest_id)
{
    mutex_lock(&c->mutex);
    sqlite3_stmt *s = c->statement[COUNT];
    int result = sqlite3_step(s);
    *messages = result == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    *largest_id = result == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 1) : 0;
    struct fault f = result == SQLITE_ROW ? FINE : db_fault(c, "read");
    sqlite3_reset(s);
    mutex_unlock(&c->mutex);
    return f;
}
