/* SPDX-License-Identifier: ISC */
/*
 * outbox.c - reports of ours from their first outcome until the queue has them
 */
#include "report/outbox.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/num.h"

#include "report/internal.h"

enum { KEY_MAX = 4 * REPORT_TEXT_MAX, DRAFT_ARENA_BYTES = 64 << 20 };

/* What is counted together has the same key. */
static void write_key(const struct report_outcome *o, int64_t day, struct buf *key)
{
    buf_reserve(key, o->domain.n + o->policy.n + o->text.n + (size_t)2 * NUM_DECIMAL_MAX + 4);
    buf_append_number(key, (int)o->kind);
    buf_append_byte(key, ' ');
    buf_append_number(key, day);
    buf_append_byte(key, ' ');
    buf_append(key, o->domain);
    buf_append_byte(key, '\0');
    buf_append(key, o->policy);
    buf_append_byte(key, '\0');
    buf_append(key, o->text);
}

static struct str keep_text(char **memory, struct str text)
{
    struct str kept = str_make(*memory, text.n);
    if (text.n > 0)
        memcpy(*memory, text.p, text.n);
    *memory += text.n;
    return kept;
}

static struct report_pending *make_pending(const struct report_outcome *o, int64_t day,
                                           struct str key)
{
    size_t size = o->domain.n + o->rua.n + o->policy.n + o->text.n + key.n;
    struct report_pending *p = calloc(1, sizeof *p + size);
    if (!p)
        abort();
    char *memory = p->memory;
    p->day = day;
    p->size = size + sizeof *p;
    p->outcome = (struct report_outcome){.kind = o->kind, .count = o->count};
    p->outcome.domain = keep_text(&memory, o->domain);
    p->outcome.rua = keep_text(&memory, o->rua);
    p->outcome.policy = keep_text(&memory, o->policy);
    p->outcome.text = keep_text(&memory, o->text);
    p->node.key = keep_text(&memory, key);
    return p;
}

static void add_pending(struct report_store *s, struct report_pending *p)
{
    map_insert(&s->pending, &p->node, p->node.key);
    list_push_back(&s->pending_list, &p->in_order);
    s->pending_bytes += p->size;
}

static void count_pending(struct report_store *s, const struct report_outcome *o, int64_t day,
                          struct str key)
{
    struct map_node *known = map_find(&s->pending, key);
    if (known)
        MAP_ENTRY(known, struct report_pending, node)->outcome.count += o->count;
    else if (s->pending.count < REPORT_PENDING_MAX && s->pending_bytes < REPORT_PENDING_BYTES_MAX)
        add_pending(s, make_pending(o, day, key));
    else
        s->lost += o->count;
}

void report_store_count(struct report_store *s, const struct report_outcome *o)
{
    struct buf key = buf_make(KEY_MAX);
    int64_t day = o->time_s / REPORT_DAY_S;
    bool fits = o->policy.n <= REPORT_TEXT_MAX && o->text.n <= REPORT_TEXT_MAX &&
                o->rua.n <= REPORT_TEXT_MAX && o->domain.n <= 255;
    if (fits)
        write_key(o, day, &key);
    mutex_lock(&s->pending_lock);
    if (fits)
        count_pending(s, o, day, buf_str(&key));
    else
        s->lost += o->count;
    if (s->bell && !list_is_empty(&s->pending_list))
        bell_ring(s->bell);
    mutex_unlock(&s->pending_lock);
    buf_free(&key);
}

/* The open report that the outcome belongs to; 0 when there is none, -1 on a fault. */
static int64_t find_open(struct report_store *s, const struct report_pending *p)
{
    REPORT_STATEMENT(
        q, s,
        "SELECT id FROM outbox WHERE kind = ?1 AND domain = ?2 AND day = ?3 AND policy "
        "= ?4 AND end IS NULL");
    if (!q)
        return -1;
    sqlite3_bind_int(q, 1, (int)p->outcome.kind);
    report_bind_text(q, 2, p->outcome.domain);
    sqlite3_bind_int64(q, 3, p->day);
    report_bind_text(q, 4, p->outcome.policy);
    int result = sqlite3_step(q);
    return result == SQLITE_ROW ? sqlite3_column_int64(q, 0) : result == SQLITE_DONE ? 0 : -1;
}

/* Where an earlier report of the day ended, the next begins. */
static int64_t make_open(struct report_store *s, const struct report_pending *p)
{
    REPORT_STATEMENT(
        q, s,
        "INSERT INTO outbox (kind, domain, day, policy, rua, begin) SELECT ?1, ?2, ?3, "
        "?4, ?5, ifnull((SELECT end FROM closed WHERE kind = ?1 AND domain = ?2 AND "
        "day = ?3), ?3 * 86400) WHERE (SELECT count(*) FROM outbox) < ?6");
    if (!q)
        return -1;
    sqlite3_bind_int(q, 1, (int)p->outcome.kind);
    report_bind_text(q, 2, p->outcome.domain);
    sqlite3_bind_int64(q, 3, p->day);
    report_bind_text(q, 4, p->outcome.policy);
    report_bind_text(q, 5, p->outcome.rua);
    sqlite3_bind_int(q, 6, REPORT_OUTBOX_MAX);
    if (sqlite3_step(q) != SQLITE_DONE)
        return -1;
    return sqlite3_changes(s->db) > 0 ? sqlite3_last_insert_rowid(s->db) : 0;
}

/* One statement about an outcome of a report, which may leave out the later numbers: how many rows it changed, or -1. */
static int change(struct report_store *s, const char *sql, int64_t id,
                  const struct report_pending *p)
{
    REPORT_STATEMENT(q, s, sql);
    if (!q)
        return -1;
    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int64(q, 2, p->outcome.count);
    report_bind_text(q, 3, p->outcome.text);
    report_bind_text(q, 4, p->outcome.rua);
    sqlite3_bind_int(q, 5, REPORT_OUTBOX_ROWS_MAX);
    return sqlite3_step(q) == SQLITE_DONE ? sqlite3_changes(s->db) : -1;
}

/* A new outcome has a row of its own while there is room, else it is only counted. */
static bool add_outcome(struct report_store *s, int64_t id, const struct report_pending *p)
{
    int room = s->outbox_rows < REPORT_OUTBOX_ALL_ROWS_MAX
                   ? change(s,
                            "UPDATE outbox SET rows = rows + 1, rua = ?4 WHERE id = ?1 AND rows < "
                            "?5",
                            id, p)
                   : 0;
    if (room < 0)
        return false;
    if (room == 0)
        return change(s, "UPDATE outbox SET lost = lost + ?2 WHERE id = ?1", id, p) >= 0;
    s->outbox_rows++;
    return change(s, "INSERT INTO outcome VALUES (?1, ?3, ?2)", id, p) == 1;
}

static bool write_pending(struct report_store *s, const struct report_pending *p)
{
    int64_t id = find_open(s, p);
    if (id == 0)
        id = make_open(s, p);
    if (id <= 0)
        return id == 0;
    int known =
        change(s, "UPDATE outcome SET count = count + ?2 WHERE outbox = ?1 AND text = ?3", id, p);
    return known > 0 || (known == 0 && add_outcome(s, id, p));
}

/* Takes all that waits. */
static void take_pending(struct report_store *s, struct list *out)
{
    list_init(out);
    mutex_lock(&s->pending_lock);
    list_append_all(out, &s->pending_list);
    LIST_EACH(link, out)
    {
        struct report_pending *p = LIST_ENTRY(link, struct report_pending, in_order);
        map_remove(&s->pending, &p->node);
    }
    s->pending_bytes = 0;
    mutex_unlock(&s->pending_lock);
}

static void give_pending_back(struct report_store *s, struct list *list)
{
    mutex_lock(&s->pending_lock);
    LIST_EACH(link, list)
    {
        struct report_pending *p = LIST_ENTRY(link, struct report_pending, in_order);
        struct map_node *known = map_find(&s->pending, p->node.key);
        list_remove(&p->in_order);
        if (known) {
            MAP_ENTRY(known, struct report_pending, node)->outcome.count += p->outcome.count;
            free(p);
        } else {
            add_pending(s, p);
        }
    }
    mutex_unlock(&s->pending_lock);
}

static bool write_all(struct report_store *s, struct list *list)
{
    bool is_good = report_run(s, "BEGIN IMMEDIATE");
    LIST_EACH(link, list)
    {
        is_good = is_good && write_pending(s, LIST_ENTRY(link, struct report_pending, in_order));
    }
    return is_good && report_run(s, "COMMIT");
}

struct fault report_store_flush(struct report_store *s)
{
    struct list list;
    REPORT_LOCKED(s);
    take_pending(s, &list);
    if (list_is_empty(&list))
        return FINE;
    int64_t rows = s->outbox_rows;
    if (!write_all(locked, &list)) {
        struct fault f = report_store_fault(s);
        s->outbox_rows = rows;
        report_run(s, "ROLLBACK");
        give_pending_back(s, &list);
        return f;
    }
    struct list *link;
    while ((link = list_pop_front(&list)))
        free(LIST_ENTRY(link, struct report_pending, in_order));
    return FINE;
}

struct fault report_outbox_list(struct report_store *s, struct arena *a, struct report_ticket **out,
                                size_t *count)
{
    REPORT_LOCKED(s);
    REPORT_STATEMENT(size, locked, "SELECT min(count(*), ?1) FROM outbox");
    REPORT_STATEMENT(q, locked, "SELECT id, kind, domain, day FROM outbox ORDER BY id LIMIT ?1");
    *count = 0;
    if (!size || !q)
        return report_store_fault(s);
    sqlite3_bind_int(size, 1, REPORT_OUTBOX_MAX);
    if (sqlite3_step(size) != SQLITE_ROW)
        return report_store_fault(s);
    int most = sqlite3_column_int(size, 0);
    *out = arena_alloc(a, (size_t)most * sizeof **out);
    sqlite3_bind_int(q, 1, most);
    int result;
    while ((result = sqlite3_step(q)) == SQLITE_ROW)
        (*out)[(*count)++] = (struct report_ticket){
            sqlite3_column_int64(q, 0), sqlite3_column_int(q, 1) ? REPORT_TLS : REPORT_DMARC,
            arena_copy(a, report_column(q, 2)), sqlite3_column_int64(q, 3)};
    return result == SQLITE_DONE ? FINE : report_store_fault(s);
}

/* Closes what is open, and remembers until when the day has been told of. */
static bool close_report(struct report_store *s, int64_t id, int64_t now_s)
{
    static const char *const steps[] = {
        "UPDATE outbox SET end = max(begin + 1, min(?2, (day + 1) * 86400)) WHERE id = ?1 AND end "
        "IS NULL",
        "INSERT OR REPLACE INTO closed SELECT kind, domain, day, end FROM outbox WHERE id = ?1",
        "DELETE FROM closed WHERE day < ?2 / 86400 - 2",
    };
    bool is_good = report_run(s, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < sizeof steps / sizeof *steps && is_good; i++) {
        REPORT_STATEMENT(q, s, steps[i]);
        sqlite3_bind_int64(q, 1, id);
        sqlite3_bind_int64(q, 2, now_s);
        is_good = q && sqlite3_step(q) == SQLITE_DONE;
    }
    if (is_good && report_run(s, "COMMIT"))
        return true;
    report_run(s, "ROLLBACK");
    return false;
}

static json_t *read_json(sqlite3_stmt *q, int at)
{
    struct str text = report_column(q, at);
    return json_loadb(text.n ? text.p : "", text.n, 0, NULL);
}

static struct fault read_head(struct report_store *s, int64_t id, struct report_draft *out)
{
    REPORT_STATEMENT(
        q, s,
        "SELECT kind, domain, day, rua, begin, end, policy, lost FROM outbox WHERE id = "
        "?1");
    sqlite3_bind_int64(q, 1, id);
    int result = q ? sqlite3_step(q) : SQLITE_ERROR;
    if (result == SQLITE_DONE)
        return fault_make(550, FAULT_STATUS(5, 0, 0), "there is no such report");
    if (result != SQLITE_ROW)
        return report_store_fault(s);
    out->ticket = (struct report_ticket){id, sqlite3_column_int(q, 0) ? REPORT_TLS : REPORT_DMARC,
                                         arena_copy(&out->arena, report_column(q, 1)),
                                         sqlite3_column_int64(q, 2)};
    out->rua = arena_copy(&out->arena, report_column(q, 3));
    out->begin_s = sqlite3_column_int64(q, 4);
    out->end_s = sqlite3_column_int64(q, 5) - 1;
    out->policy = read_json(q, 6);
    out->lost = sqlite3_column_int64(q, 7);
    return FINE;
}

static struct fault read_rows(struct report_store *s, int64_t id, struct report_draft *out)
{
    REPORT_STATEMENT(q, s,
                     "SELECT text, count FROM outcome WHERE outbox = ?1 ORDER BY count DESC, text "
                     "LIMIT ?2");
    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int(q, 2, REPORT_OUTBOX_ROWS_MAX);
    int result = q ? SQLITE_ROW : SQLITE_ERROR;
    out->row = arena_alloc(&out->arena, REPORT_OUTBOX_ROWS_MAX * sizeof *out->row);
    while (result == SQLITE_ROW && (result = sqlite3_step(q)) == SQLITE_ROW)
        out->row[out->row_count++] =
            (struct report_row){read_json(q, 0), sqlite3_column_int64(q, 1)};
    return result == SQLITE_DONE ? FINE : report_store_fault(s);
}

struct fault report_outbox_close(struct report_store *s, int64_t id, int64_t now_s,
                                 struct report_draft *out)
{
    REPORT_LOCKED(s);
    *out = (struct report_draft){.arena = arena_make(DRAFT_ARENA_BYTES)};
    if (!close_report(locked, id, now_s))
        return report_store_fault(s);
    struct fault f = read_head(s, id, out);
    return f.kind ? f : read_rows(s, id, out);
}

void report_draft_free(struct report_draft *d)
{
    json_decref(d->policy);
    for (size_t i = 0; i < d->row_count; i++)
        json_decref(d->row[i].outcome);
    arena_free(&d->arena);
}

struct fault report_outbox_remove(struct report_store *s, int64_t id)
{
    static const char *const steps[] = {"DELETE FROM outcome WHERE outbox = ?1",
                                        "DELETE FROM outbox WHERE id = ?1"};
    REPORT_LOCKED(s);
    bool is_good = report_run(locked, "BEGIN IMMEDIATE");
    int removed = 0;
    for (size_t i = 0; i < 2 && is_good; i++) {
        REPORT_STATEMENT(q, s, steps[i]);
        sqlite3_bind_int64(q, 1, id);
        is_good = q && sqlite3_step(q) == SQLITE_DONE;
        removed += i == 0 ? sqlite3_changes(s->db) : 0;
    }
    if (is_good && report_run(s, "COMMIT")) {
        s->outbox_rows -= removed;
        return FINE;
    }
    struct fault f = report_store_fault(s);
    report_run(s, "ROLLBACK");
    return f;
}
