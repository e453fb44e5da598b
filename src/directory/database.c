/* SPDX-License-Identifier: ISC */
/*
 * database.c - the SQLite file behind the directory: its schema and its statements
 *
 * The rollback journal (not WAL) is used so that a reader needs no right to write beside the file.
 * A change is made when that journal's name is gone, so that is synced, too (EXTRA): with FULL a power
 * cut some seconds later would take back what the command line has said is done.
 */
#include "directory/database.h"

#include <assert.h>
#include <stdlib.h>

#include "mail/idna.h"

enum { SCHEMA_VERSION = 2, KEYS_SINCE_VERSION = 2, BUSY_TIMEOUT_MS = 5000 };

/* What makes a file of version n from one of version n - 1; two programs may do that at a time. */
static const char *const steps[SCHEMA_VERSION + 1] = {
    [1] = "BEGIN IMMEDIATE;"
          "CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
          "CREATE TABLE domain (name TEXT PRIMARY KEY) WITHOUT ROWID;"
          "CREATE TABLE account (domain TEXT NOT NULL REFERENCES domain, local TEXT NOT NULL,"
          " salt BLOB NOT NULL, iterations INTEGER NOT NULL, stored_key BLOB NOT NULL,"
          " server_key BLOB NOT NULL, quota INTEGER NOT NULL, enabled INTEGER NOT NULL,"
          " PRIMARY KEY (domain, local)) WITHOUT ROWID;"
          /* An empty local part is the domain's catch-all. */
          "CREATE TABLE alias (domain TEXT NOT NULL REFERENCES domain, local TEXT NOT NULL,"
          " target TEXT NOT NULL, PRIMARY KEY (domain, local, target)) WITHOUT ROWID;"
          "INSERT INTO setting VALUES ('secret', randomblob(32));"
          "PRAGMA user_version = 1;"
          "COMMIT;",
    [2] = "BEGIN IMMEDIATE;"
          "CREATE TABLE IF NOT EXISTS dkim_key (domain TEXT NOT NULL REFERENCES domain ON DELETE "
          "CASCADE,"
          " selector TEXT NOT NULL, algorithm TEXT NOT NULL, state TEXT NOT NULL, since INTEGER "
          "NOT NULL,"
          " record TEXT NOT NULL, PRIMARY KEY (domain, selector)) WITHOUT ROWID;"
          "PRAGMA user_version = 2;"
          "COMMIT;",
};

/* clang-format off */
static const char *const queries[DATABASE_QUERY_COUNT] = {
    [DATABASE_BEGIN] = "BEGIN IMMEDIATE",
    [DATABASE_COMMIT] = "COMMIT",
    [DATABASE_ROLLBACK] = "ROLLBACK",
    [DATABASE_VERSION] = "PRAGMA data_version",
    [DATABASE_SECRET] = "SELECT value FROM setting WHERE name = 'secret'",
    [DATABASE_DOMAIN] = "SELECT 1 FROM domain WHERE name = ?1",
    [DATABASE_DOMAINS] = "SELECT name FROM domain ORDER BY name",
    [DATABASE_DOMAIN_ADD] = "INSERT OR IGNORE INTO domain VALUES (?1)",
    [DATABASE_DOMAIN_REMOVE] = "DELETE FROM domain WHERE name = ?1",
    [DATABASE_DOMAIN_USE] = "SELECT (SELECT count(*) FROM account WHERE domain = ?1) +"
        " (SELECT count(*) FROM alias WHERE domain = ?1)",
    [DATABASE_ACCOUNT] = "SELECT salt, iterations, stored_key, server_key, quota, enabled"
        " FROM account WHERE domain = ?1 AND local = ?2",
    [DATABASE_ACCOUNTS] = "SELECT domain, local, salt, iterations, stored_key, server_key, quota, enabled"
        " FROM account ORDER BY domain, local",
    [DATABASE_ACCOUNT_SAVE] = "INSERT OR REPLACE INTO account VALUES (?1, ?2, ?4, ?5, ?6, ?7, ?8, ?9)",
    [DATABASE_ACCOUNT_REMOVE] = "DELETE FROM account WHERE domain = ?1 AND local = ?2",
    [DATABASE_ALIAS] = "SELECT target FROM alias WHERE domain = ?1 AND local = ?2 ORDER BY target",
    [DATABASE_ALIASES] = "SELECT domain, local, target FROM alias ORDER BY domain, local, target",
    [DATABASE_ALIAS_ADD] = "INSERT OR IGNORE INTO alias VALUES (?1, ?2, ?3)",
    [DATABASE_ALIAS_REMOVE] = "DELETE FROM alias WHERE domain = ?1 AND local = ?2",
    [DATABASE_ALIAS_TARGET_REMOVE] = "DELETE FROM alias WHERE domain = ?1 AND local = ?2 AND target = ?3",
    [DATABASE_KEYS] = "SELECT domain, selector, algorithm, state, since, record FROM dkim_key"
        " ORDER BY domain, selector",
    [DATABASE_KEYS_OF] = "SELECT domain, selector, algorithm, state, since, record FROM dkim_key"
        " WHERE domain = ?1 ORDER BY selector",
    [DATABASE_KEY_ADD] = "INSERT OR IGNORE INTO dkim_key VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [DATABASE_KEY_REMOVE] = "DELETE FROM dkim_key WHERE domain = ?1 AND selector = ?2",
    [DATABASE_KEYS_REMOVE] = "DELETE FROM dkim_key WHERE domain = ?1",
    [DATABASE_KEY_MOVE] = "UPDATE dkim_key SET state = ?3, since = ?4 WHERE domain = ?1 AND state = ?2",
    [DATABASE_CLEAR_ALIASES] = "DELETE FROM alias",
    [DATABASE_CLEAR_ACCOUNTS] = "DELETE FROM account",
    [DATABASE_CLEAR_DOMAINS] = "DELETE FROM domain",
};
/* clang-format on */

struct directory *database_lock(struct directory *d)
{
    mutex_lock(&d->lock);
    return d;
}

void database_unlock(struct directory **d)
{
    mutex_unlock(&(*d)->lock);
}

/* Somebody was killed in the middle of a change, and only who may write can take it back. */
static bool is_stuck(const struct directory *d)
{
    return sqlite3_extended_errcode(d->db) == SQLITE_READONLY_ROLLBACK;
}

struct fault database_fault(struct directory *d)
{
    if (d->tell_stuck && is_stuck(d))
        d->tell_stuck(d->stuck_arg);
    struct fault f =
        fault_make(451, FAULT_STATUS(4, 3, 0), "directory.db: %s", sqlite3_errmsg(d->db));
    f.is_private = true;
    return f;
}

static int read_version(sqlite3 *db)
{
    sqlite3_stmt *s = NULL;
    int version = -1;
    if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
        version = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return version;
}

static struct fault prepare_schema(struct directory *d, enum directory_access access)
{
    int version = read_version(d->db);
    bool may_change = access == DIRECTORY_CREATE || (access == DIRECTORY_WRITE && version > 0);
    while (may_change && version >= 0 && version < SCHEMA_VERSION) {
        if (sqlite3_exec(d->db, steps[version + 1], NULL, NULL, NULL) != SQLITE_OK)
            return database_fault(d);
        version = read_version(d->db);
    }
    if (version < 0)
        return database_fault(d);
    if (version < 1 || version > SCHEMA_VERSION)
        return fault_make(451, FAULT_STATUS(4, 3, 0),
                          "directory.db: format %d, this program knows format %d", version,
                          SCHEMA_VERSION);
    return FINE;
}

static struct fault set_up(struct directory *d, enum directory_access access)
{
    static const char writing[] = "PRAGMA synchronous = EXTRA; PRAGMA foreign_keys = ON";
    bool is_fine =
        sqlite3_busy_timeout(d->db, BUSY_TIMEOUT_MS) == SQLITE_OK &&
        (access == DIRECTORY_READ || sqlite3_exec(d->db, writing, NULL, NULL, NULL) == SQLITE_OK);
    return is_fine ? prepare_schema(d, access) : database_fault(d);
}

/*
 * Who was killed in the middle of a change has left its journal, and nobody can read until somebody
 * who may write has taken the change back.
 */
static bool take_back_change(const char *path)
{
    sqlite3 *db = NULL;
    bool is_done = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
                       SQLITE_OK &&
                   sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS) == SQLITE_OK && read_version(db) >= 0;
    sqlite3_close(db);
    return is_done;
}

struct fault directory_open(const char *path, enum directory_access access, struct directory **out)
{
    static const int flags[] = {
        [DIRECTORY_READ] = SQLITE_OPEN_READONLY,
        [DIRECTORY_WRITE] = SQLITE_OPEN_READWRITE,
        [DIRECTORY_CREATE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
    };
    struct directory *d = calloc(1, sizeof *d);
    if (!d)
        abort();
    mutex_init(&d->lock);
    *out = NULL;
    int result = sqlite3_open_v2(path, &d->db, flags[access] | SQLITE_OPEN_NOMUTEX, NULL);
    struct fault f = FINE;
    if (result != SQLITE_OK)
        f = fault_make(451, FAULT_STATUS(4, 3, 0), "%s: %s", path, sqlite3_errstr(result));
    else
        f = set_up(d, access);
    if (f.kind && is_stuck(d) && take_back_change(path))
        f = set_up(d, access);
    if (f.kind)
        directory_close(d);
    else
        *out = d;
    return f;
}

void directory_on_stuck(struct directory *d, void (*tell)(void *arg), void *arg)
{
    d->tell_stuck = tell;
    d->stuck_arg = arg;
}

void directory_close(struct directory *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < DATABASE_QUERY_COUNT; i++)
        sqlite3_finalize(d->statement[i]);
    sqlite3_close(d->db);
    mutex_destroy(&d->lock);
    free(d);
}

static void bind_text(sqlite3_stmt *s, int place, struct str text)
{
    if (place <= sqlite3_bind_parameter_count(s) && text.p)
        sqlite3_bind_text(s, place, text.p, (int)text.n, SQLITE_TRANSIENT);
}

sqlite3_stmt *database_start(struct directory *d, enum database_query query, struct str first,
                             struct str second, struct str third)
{
    sqlite3_stmt **s = &d->statement[query];
    if (!*s && sqlite3_prepare_v3(d->db, queries[query], -1, SQLITE_PREPARE_PERSISTENT, s, NULL) !=
                   SQLITE_OK)
        return NULL;
    sqlite3_reset(*s);
    sqlite3_clear_bindings(*s);
    bind_text(*s, 1, first);
    bind_text(*s, 2, second);
    bind_text(*s, 3, third);
    return *s;
}

bool database_row(struct directory *d, sqlite3_stmt *s, struct fault *f)
{
    int result = s ? sqlite3_step(s) : SQLITE_ERROR;
    if (result == SQLITE_ROW)
        return true;
    *f = result == SQLITE_DONE ? FINE : database_fault(d);
    sqlite3_reset(s);
    return false;
}

struct fault database_run(struct directory *d, enum database_query query, struct str first,
                          struct str second, struct str third, int *changed)
{
    struct fault f;
    sqlite3_stmt *s = database_start(d, query, first, second, third);
    while (database_row(d, s, &f))
        continue;
    if (changed)
        *changed = sqlite3_changes(d->db);
    return f;
}

struct str database_text(sqlite3_stmt *s, int column)
{
    const char *p = sqlite3_column_blob(s, column);
    return str_make(p, (size_t)sqlite3_column_bytes(s, column));
}

static void read_bytes(sqlite3_stmt *s, int column, void *out, size_t size)
{
    struct str bytes = database_text(s, column);
    if (bytes.n == size)
        memcpy(out, bytes.p, size);
}

void database_read_account(sqlite3_stmt *s, int column, struct directory_account *out)
{
    struct directory_verifier *v = &out->verifier;
    read_bytes(s, column, v->salt, sizeof v->salt);
    v->iterations = (uint32_t)sqlite3_column_int64(s, column + 1);
    read_bytes(s, column + 2, v->stored_key, sizeof v->stored_key);
    read_bytes(s, column + 3, v->server_key, sizeof v->server_key);
    out->quota_bytes = sqlite3_column_int64(s, column + 4);
    out->is_enabled = sqlite3_column_int(s, column + 5) != 0;
}

struct fault database_save_account(struct directory *d, struct str domain, struct str local,
                                   const struct directory_account *account)
{
    const struct directory_verifier *v = &account->verifier;
    sqlite3_stmt *s = database_start(d, DATABASE_ACCOUNT_SAVE, domain, local, STR_NONE);
    struct fault f;
    if (!s)
        return database_fault(d);
    sqlite3_bind_blob(s, 4, v->salt, sizeof v->salt, SQLITE_TRANSIENT);
    sqlite3_bind_int64(s, 5, v->iterations);
    sqlite3_bind_blob(s, 6, v->stored_key, sizeof v->stored_key, SQLITE_TRANSIENT);
    sqlite3_bind_blob(s, 7, v->server_key, sizeof v->server_key, SQLITE_TRANSIENT);
    sqlite3_bind_int64(s, 8, account->quota_bytes);
    sqlite3_bind_int(s, 9, account->is_enabled);
    while (database_row(d, s, &f))
        continue;
    return f;
}

bool database_has_keys(struct directory *d, struct fault *f)
{
    int version = read_version(d->db);
    *f = version < 0 ? database_fault(d) : FINE;
    return version >= KEYS_SINCE_VERSION;
}

struct fault database_save_key(struct directory *d, struct str domain, struct str selector,
                               const struct directory_key *key, int *changed)
{
    sqlite3_stmt *s = database_start(d, DATABASE_KEY_ADD, domain, selector, key->algorithm);
    struct fault f;
    if (!s)
        return database_fault(d);
    sqlite3_bind_text(s, 4, directory_key_state_name(key->state), -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 5, key->since_s);
    bind_text(s, 6, key->record);
    while (database_row(d, s, &f))
        continue;
    *changed = sqlite3_changes(d->db);
    return f;
}

struct str database_fold(struct arena *a, struct str s)
{
    char *copy = arena_c_string(a, s);
    for (size_t i = 0; i < s.n; i++)
        copy[i] = str_lower_byte(copy[i]);
    return str_make(copy, s.n);
}

struct str database_fold_domain(struct arena *a, struct str domain)
{
    char ascii[IDNA_DOMAIN_MAX];
    struct str name = str_has_8bit(domain) ? idna_to_ascii(domain, ascii) : STR_NONE;
    return name.n > 0 ? arena_copy(a, name) : database_fold(a, domain);
}
