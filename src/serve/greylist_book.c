/* SPDX-License-Identifier: ISC */
/*
 * greylist_book.c - what greylisting remembers, over restarts (SQLite)
 */
#include "serve/greylist_book.h"

#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/map.h"
#include "os/file.h"
#include "os/random.h"
#include "os/thread.h"

enum {
    KEY_MAX = 32,
    BUSY_MS = 2000,   /* beside a process of before, or a command that looks */
    TIDY_EVERY = 64,  /* tries between two looks at the size */
    NOTED = 1024,     /* rows of history of which is known that today is written down */
    AUTHOR_MAX = 255, /* octets of a domain */
    DAY_MS = 24 * 60 * 60 * 1000,
};

enum statement { GET, PUT, COUNT, FORGET_OLDEST, FORGET_OVER, BEGIN, COMMIT, STATEMENTS };

static const char *const sql[STATEMENTS] = {
    [GET] = "SELECT first_ms, last_ms, passes FROM memory WHERE key = ?1",
    [PUT] = "INSERT OR REPLACE INTO memory VALUES (?1, ?2, ?3, ?4, max(?2, ?3))",
    [COUNT] = "SELECT count(*) FROM memory",
    [FORGET_OLDEST] =
        "DELETE FROM memory WHERE key IN (SELECT key FROM memory ORDER BY seen_ms LIMIT ?1)",
    [FORGET_OVER] = "DELETE FROM memory WHERE seen_ms < ?1 OR (last_ms = 0 AND seen_ms < ?2)",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
};

static const char schema[] =
    "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = OFF; PRAGMA cache_size = -2048;"
    "CREATE TABLE IF NOT EXISTS memory (key BLOB PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms "
    "INTEGER NOT NULL, passes INTEGER NOT NULL, seen_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS memory_seen ON memory (seen_ms);";

struct key {
    unsigned char octet[KEY_MAX];
};

struct greylist_book {
    sqlite3 *db; /* NULL: there is no file, and none is to be made */
    sqlite3_stmt *statement[STATEMENTS];
    struct mutex mutex;
    bool is_read_only;
    unsigned tries;
    uint64_t seed[2];              /* of the marks */
    _Atomic uint64_t noted[NOTED]; /* marks, each at its place; 0: none */
};

static struct fault db_fault(const struct greylist_book *b)
{
    return fault_make(451, FAULT_STATUS(4, 3, 0), "greylist.db: %s", sqlite3_errmsg(b->db));
}

static void shut(struct greylist_book *b)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(b->statement[i]);
        b->statement[i] = NULL;
    }
    sqlite3_close(b->db);
    b->db = NULL;
}

static struct fault set_up(struct greylist_book *b, const char *path)
{
    int flags =
        SQLITE_OPEN_NOMUTEX |
        (b->is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (sqlite3_open_v2(path, &b->db, flags, NULL) != SQLITE_OK)
        return db_fault(b);
    sqlite3_busy_timeout(b->db, BUSY_MS);
    if (!b->is_read_only && sqlite3_exec(b->db, schema, NULL, NULL, NULL) != SQLITE_OK)
        return db_fault(b);
    for (size_t i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(b->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &b->statement[i],
                               NULL) != SQLITE_OK)
            return db_fault(b);
    return FINE;
}

struct fault greylist_book_open(const char *path, bool is_read_only, struct greylist_book **out)
{
    struct greylist_book *b = calloc(1, sizeof *b);
    if (!b)
        abort();
    *out = b;
    mutex_init(&b->mutex);
    b->seed[0] = random_u64();
    b->seed[1] = random_u64();
    b->is_read_only = is_read_only;
    if (is_read_only && !file_exists(path))
        return FINE;
    struct fault f = set_up(b, path);
    int code = b->db ? sqlite3_errcode(b->db) : SQLITE_OK;
    if (f.kind && !is_read_only && (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)) {
        shut(b);
        f = file_remove(path);
        if (!f.kind)
            f = set_up(b, path);
    }
    if (f.kind) {
        greylist_book_close(b);
        *out = NULL;
    }
    return f;
}

void greylist_book_close(struct greylist_book *b)
{
    if (!b)
        return;
    shut(b);
    mutex_destroy(&b->mutex);
    free(b);
}

static bool step(struct greylist_book *b, enum statement which, struct fault *f)
{
    int code = sqlite3_step(b->statement[which]);
    if (code != SQLITE_ROW && code != SQLITE_DONE && !f->kind)
        *f = db_fault(b);
    return code == SQLITE_ROW;
}

static void run(struct greylist_book *b, enum statement which, struct fault *f)
{
    step(b, which, f);
    sqlite3_reset(b->statement[which]);
}

enum key_kind { TRIPLET = 't', NETWORK = 'n', HISTORY = 'h' };

/* All parts are of known length, or behind a NUL, which no address has. */
static struct key make_key(const struct greylist_try *t, enum key_kind kind)
{
    struct key k;
    struct ip_network n = greylist_network_of(&t->ip);
    struct buf text = buf_make(4096);
    buf_append_byte(&text, (char)kind);
    buf_append(&text, str_make((const char *)n.address.byte, sizeof n.address.byte));
    int parts = kind == TRIPLET ? 2 : kind == HISTORY ? 1 : 0;
    for (int part = 0; part < parts; part++) {
        struct str s = str_head(part == 0 ? t->sender : t->recipient, 1024);
        for (size_t i = 0; i < s.n; i++)
            buf_append_byte(&text, str_lower_byte(s.p[i]));
        buf_append_byte(&text, '\0');
    }
    unsigned size = KEY_MAX;
    if (EVP_Digest(text.data, text.used, k.octet, &size, EVP_sha256(), NULL) != 1)
        abort();
    buf_free(&text);
    return k;
}

static struct greylist_memory get(struct greylist_book *b, const struct key *k, struct fault *f)
{
    struct greylist_memory m = {0};
    sqlite3_stmt *s = b->statement[GET];
    sqlite3_bind_blob(s, 1, k->octet, KEY_MAX, SQLITE_STATIC);
    if (step(b, GET, f)) {
        m.first_ms = sqlite3_column_int64(s, 0);
        m.last_ms = sqlite3_column_int64(s, 1);
        m.passes = sqlite3_column_int64(s, 2);
    }
    sqlite3_reset(s);
    return m;
}

static void put(struct greylist_book *b, const struct key *k, const struct greylist_memory *m,
                struct fault *f)
{
    sqlite3_stmt *s = b->statement[PUT];
    if (m->first_ms == 0)
        return;
    sqlite3_bind_blob(s, 1, k->octet, KEY_MAX, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, m->first_ms);
    sqlite3_bind_int64(s, 3, m->last_ms);
    sqlite3_bind_int64(s, 4, m->passes);
    run(b, PUT, f);
}

/* Forgets what is over, and when there is too much of it still, what was seen longest ago. */
static void tidy(struct greylist_book *b, const struct policy_rules *rules, int64_t now_ms,
                 struct fault *f)
{
    sqlite3_bind_int64(b->statement[FORGET_OVER], 1, now_ms - rules->greylist.lifetime_ms);
    sqlite3_bind_int64(b->statement[FORGET_OVER], 2, now_ms - rules->greylist.window_ms);
    run(b, FORGET_OVER, f);
    int64_t count = step(b, COUNT, f) ? (int64_t)sqlite3_column_int64(b->statement[COUNT], 0) : 0;
    sqlite3_reset(b->statement[COUNT]);
    int64_t room = rules->greylist_size - (int64_t)2 * TIDY_EVERY; /* a try has two rows */
    if (count <= room)
        return;
    sqlite3_bind_int64(b->statement[FORGET_OLDEST], 1, count - room);
    run(b, FORGET_OLDEST, f);
}

static struct fault try_locked(struct greylist_book *b, const struct policy_rules *rules,
                               const struct greylist_try *t, struct greylist_verdict *out)
{
    struct fault f = FINE;
    struct key triplet = make_key(t, TRIPLET), network = make_key(t, NETWORK);
    struct greylist_memory triplet_memory = {0}, network_memory = {0};
    if (b->db && !b->is_read_only)
        run(b, BEGIN, &f);
    if (b->db && !f.kind) {
        triplet_memory = get(b, &triplet, &f);
        network_memory = get(b, &network, &f);
    }
    greylist_decide(&rules->greylist, &triplet_memory, &network_memory, t->now_ms, out);
    if (t->is_counted && out->may_pass)
        out->network.passes--;
    if (!b->db || b->is_read_only || sqlite3_get_autocommit(b->db))
        return f;
    put(b, &triplet, &out->triplet, &f);
    put(b, &network, &out->network, &f);
    if (b->tries++ % TIDY_EVERY == 0)
        tidy(b, rules, t->now_ms, &f);
    run(b, COMMIT, &f);
    if (!sqlite3_get_autocommit(b->db))
        sqlite3_exec(b->db, "ROLLBACK", NULL, NULL, NULL);
    return f;
}

struct fault greylist_book_try(struct greylist_book *b, const struct policy_rules *rules,
                               const struct greylist_try *t, struct greylist_verdict *out)
{
    mutex_lock(&b->mutex);
    struct fault f = try_locked(b, rules, t, out);
    mutex_unlock(&b->mutex);
    if (f.kind)
        *out = (struct greylist_verdict){.may_pass = true, .reason = "the memory cannot be used"};
    return f;
}

static struct greylist_memory recall(struct greylist_book *b, const struct policy_rules *rules,
                                     const struct key *k, int64_t now_ms, struct fault *f)
{
    struct greylist_memory m = get(b, k, f);
    return greylist_is_over(&rules->greylist, &m, now_ms) ? (struct greylist_memory){0} : m;
}

static struct fault praise_locked(struct greylist_book *b, const struct policy_rules *rules,
                                  const struct key *k, int64_t now_ms)
{
    struct fault f = FINE;
    run(b, BEGIN, &f);
    if (f.kind)
        return f;
    struct greylist_memory m = recall(b, rules, k, now_ms, &f);
    if (m.passes == 0 || m.last_ms / DAY_MS != now_ms / DAY_MS) {
        m.first_ms = m.first_ms ? m.first_ms : now_ms;
        m.last_ms = now_ms;
        m.passes++;
        put(b, k, &m, &f);
        if (b->tries++ % TIDY_EVERY == 0)
            tidy(b, rules, now_ms, &f);
    }
    run(b, COMMIT, &f);
    if (!sqlite3_get_autocommit(b->db))
        sqlite3_exec(b->db, "ROLLBACK", NULL, NULL, NULL);
    return f;
}

static struct key history_key(const struct ip_address *ip, struct str author)
{
    return make_key(&(struct greylist_try){.ip = *ip, .sender = author}, HISTORY);
}

/* A day, a network and a domain as one number that strangers cannot foresee; 0: not to be noted. */
static uint64_t make_mark(const struct greylist_book *b, const struct ip_address *ip,
                          struct str author, int64_t now_ms)
{
    char text[sizeof(int64_t) + sizeof ip->byte + AUTHOR_MAX];
    struct ip_network n = greylist_network_of(ip);
    int64_t day = now_ms / DAY_MS;
    size_t head = sizeof day + sizeof n.address.byte;
    if (author.n > AUTHOR_MAX)
        return 0;
    memcpy(text, &day, sizeof day);
    memcpy(text + sizeof day, n.address.byte, sizeof n.address.byte);
    for (size_t i = 0; i < author.n; i++)
        text[head + i] = str_lower_byte(author.p[i]);
    return map_hash(b->seed, str_make(text, head + author.n));
}

bool greylist_book_has_praised(struct greylist_book *b, const struct ip_address *ip,
                               struct str author, int64_t now_ms)
{
    uint64_t mark = make_mark(b, ip, author, now_ms);
    return mark != 0 && atomic_load(&b->noted[mark % NOTED]) == mark;
}

struct fault greylist_book_praise(struct greylist_book *b, const struct policy_rules *rules,
                                  const struct ip_address *ip, struct str author, int64_t now_ms)
{
    struct key k = history_key(ip, author);
    uint64_t mark = make_mark(b, ip, author, now_ms);
    struct fault f = FINE;
    mutex_lock(&b->mutex);
    if (b->db && !b->is_read_only)
        f = praise_locked(b, rules, &k, now_ms);
    mutex_unlock(&b->mutex);
    if (!f.kind)
        atomic_store(&b->noted[mark % NOTED], mark);
    return f;
}

struct fault greylist_book_days(struct greylist_book *b, const struct policy_rules *rules,
                                const struct ip_address *ip, struct str author, int64_t now_ms,
                                int64_t *days)
{
    struct key k = history_key(ip, author);
    struct fault f = FINE;
    mutex_lock(&b->mutex);
    *days = b->db ? recall(b, rules, &k, now_ms, &f).passes : 0;
    mutex_unlock(&b->mutex);
    if (f.kind)
        *days = 0;
    return f;
}
