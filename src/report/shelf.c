/* SPDX-License-Identifier: ISC */
/*
 * shelf.c - the reports of others about us
 */
#include "report/shelf.h"

#include <stdlib.h>

#include "report/internal.h"

/* What is there: of all, and of those that nobody proves. */
struct load {
    int64_t reports, records, unproven, unproven_records;
};

static bool measure(struct report_store *s, struct load *out)
{
    REPORT_STATEMENT(q, s,
                     "SELECT count(*), ifnull(sum(records), 0), ifnull(sum(NOT authentic), 0), "
                     "ifnull(sum(records * NOT authentic), 0) FROM shelf");
    if (!q || sqlite3_step(q) != SQLITE_ROW)
        return false;
    *out = (struct load){sqlite3_column_int64(q, 0), sqlite3_column_int64(q, 1),
                         sqlite3_column_int64(q, 2), sqlite3_column_int64(q, 3)};
    return true;
}

static bool drop(struct report_store *s, int64_t id)
{
    static const char *const steps[] = {"DELETE FROM record WHERE shelf = ?1",
                                        "DELETE FROM shelf WHERE id = ?1"};
    bool is_good = true;
    for (size_t i = 0; i < 2 && is_good; i++) {
        REPORT_STATEMENT(q, s, steps[i]);
        sqlite3_bind_int64(q, 1, id);
        is_good = q && sqlite3_step(q) == SQLITE_DONE;
    }
    return is_good;
}

static int64_t first_number(sqlite3_stmt *q)
{
    return q && sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
}

/* The oldest of who takes the most room, among those that are proven or those that are not. */
static bool drop_one(struct report_store *s, bool is_authentic)
{
    REPORT_STATEMENT(q, s,
                     "SELECT min(id) FROM shelf WHERE authentic = ?1 GROUP BY submitter "
                     "ORDER BY sum(records + 1) DESC LIMIT 1");
    sqlite3_bind_int(q, 1, is_authentic);
    int64_t id = first_number(q);
    return id >= 0 && drop(s, id);
}

static bool is_full(const struct load *l, int64_t records, bool is_authentic)
{
    enum { PART = REPORT_SHELF_UNPROVEN_PART };
    return l->reports >= REPORT_SHELF_MAX || l->records + records > REPORT_SHELF_ALL_RECORDS_MAX ||
           (!is_authentic && (l->unproven >= REPORT_SHELF_MAX / PART ||
                              l->unproven_records + records > REPORT_SHELF_ALL_RECORDS_MAX / PART));
}

/* False on a fault. *has_room is false when what is not proven would push out what is. */
static bool make_room(struct report_store *s, size_t records, bool is_authentic, bool *has_room)
{
    struct load l;
    *has_room = true;
    while (measure(s, &l)) {
        if (!is_full(&l, (int64_t)records, is_authentic))
            return true;
        *has_room = is_authentic || l.unproven > 0;
        if (!*has_room)
            return true;
        if (!drop_one(s, l.unproven == 0))
            return false;
    }
    return false;
}

/*
 * Looks for the report of that name by that submitter. What DMARC proves takes the place of what anybody can have sent in
 * its name. False on a fault.
 */
static bool find_same(struct report_store *s, const struct document *d,
                      const struct shelf_origin *origin, bool *is_there)
{
    REPORT_STATEMENT(q, s,
                     "SELECT id, authentic FROM shelf WHERE kind = ?1 AND domain = ?2 AND "
                     "organization = ?3 AND report = ?4 AND submitter = ?5");
    *is_there = false;
    if (!q)
        return false;
    sqlite3_bind_int(q, 1, (int)d->kind);
    report_bind_text(q, 2, d->domain);
    report_bind_text(q, 3, d->organization);
    report_bind_text(q, 4, d->report_id);
    report_bind_text(q, 5, origin->submitter);
    int result = sqlite3_step(q);
    if (result != SQLITE_ROW)
        return result == SQLITE_DONE;
    *is_there = sqlite3_column_int(q, 1) || !origin->is_authentic;
    return *is_there || drop(s, sqlite3_column_int64(q, 0));
}

/* Its id, or -1 on a fault. */
static int64_t add_head(struct report_store *s, const struct document *d,
                        const struct shelf_origin *origin, const char *about)
{
    REPORT_STATEMENT(q, s,
                     "INSERT INTO shelf (kind, domain, organization, report, submitter, "
                     "authentic, begin, end, arrived, good, bad, records, about) VALUES (?1, ?2, "
                     "?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
    if (!q)
        return -1;
    sqlite3_bind_int(q, 1, (int)d->kind);
    report_bind_text(q, 2, d->domain);
    report_bind_text(q, 3, d->organization);
    report_bind_text(q, 4, d->report_id);
    report_bind_text(q, 5, origin->submitter);
    sqlite3_bind_int(q, 6, origin->is_authentic);
    sqlite3_bind_int64(q, 7, d->begin_s);
    sqlite3_bind_int64(q, 8, d->end_s);
    sqlite3_bind_int64(q, 9, origin->arrived_s);
    sqlite3_bind_int64(q, 10, d->good);
    sqlite3_bind_int64(q, 11, d->bad);
    sqlite3_bind_int64(q, 12, (int64_t)d->count);
    report_bind_text(q, 13, str_from(about));
    return sqlite3_step(q) == SQLITE_DONE ? sqlite3_last_insert_rowid(s->db) : -1;
}

static bool add_records(struct report_store *s, int64_t id, const struct document *d)
{
    REPORT_STATEMENT(q, s, "INSERT INTO record VALUES (?1, ?2, ?3, ?4)");
    for (size_t i = 0; q && i < d->count; i++) {
        sqlite3_bind_int64(q, 1, id);
        sqlite3_bind_int64(q, 2, (int64_t)i);
        sqlite3_bind_int64(q, 3, d->record[i].count);
        report_bind_text(q, 4, d->record[i].text);
        if (sqlite3_step(q) != SQLITE_DONE)
            return false;
        sqlite3_reset(q);
    }
    return q;
}

/* Within the transaction. False on a fault. */
static bool add(struct report_store *s, const struct document *d, const struct shelf_origin *origin,
                bool *is_new)
{
    bool is_there, has_room;
    if (!find_same(s, d, origin, &is_there))
        return false;
    if (is_there)
        return true;
    if (!make_room(s, d->count, origin->is_authentic, &has_room))
        return false;
    if (!has_room)
        return true;
    char *about = json_dumps(d->about, JSON_COMPACT | JSON_SORT_KEYS);
    int64_t id = about ? add_head(s, d, origin, about) : -1;
    free(about);
    *is_new = true;
    return id >= 0 && add_records(s, id, d);
}

struct fault shelf_add(struct report_store *s, const struct document *d,
                       const struct shelf_origin *origin, bool *is_new)
{
    REPORT_LOCKED(s);
    struct fault f = FINE;
    *is_new = false;
    if (!report_run(locked, "BEGIN IMMEDIATE") || !add(s, d, origin, is_new) ||
        !report_run(s, "COMMIT")) {
        f = report_store_fault(s);
        report_run(s, "ROLLBACK");
        *is_new = false;
    }
    return f;
}

static json_t *column_text(sqlite3_stmt *q, int at)
{
    struct str text = report_column(q, at);
    return json_stringn(text.n ? text.p : "", text.n);
}

static json_t *column_json(sqlite3_stmt *q, int at)
{
    struct str text = report_column(q, at);
    json_t *value = json_loadb(text.n ? text.p : "", text.n, 0, NULL);
    return value ? value : json_object();
}

/* A row of the columns below. */
#define COLUMNS                                                                                    \
    "id, kind, domain, organization, report, submitter, authentic, begin, end, arrived, good, "    \
    "bad, records, about"

static json_t *read_row(sqlite3_stmt *q)
{
    return json_pack(
        "{s:I, s:s, s:o, s:o, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "id",
        (json_int_t)sqlite3_column_int64(q, 0), "kind",
        report_kind_name(sqlite3_column_int(q, 1) ? REPORT_TLS : REPORT_DMARC), "domain",
        column_text(q, 2), "organization", column_text(q, 3), "report_id", column_text(q, 4),
        "submitter", column_text(q, 5), "authentic", sqlite3_column_int(q, 6), "begin",
        (json_int_t)sqlite3_column_int64(q, 7), "end", (json_int_t)sqlite3_column_int64(q, 8),
        "arrived", (json_int_t)sqlite3_column_int64(q, 9), "pass",
        (json_int_t)sqlite3_column_int64(q, 10), "fail", (json_int_t)sqlite3_column_int64(q, 11),
        "record_count", (json_int_t)sqlite3_column_int64(q, 12), "about", column_json(q, 13));
}

json_t *shelf_list(struct report_store *s, const struct shelf_filter *filter)
{
    REPORT_LOCKED(s);
    REPORT_STATEMENT(
        q, locked,
        "SELECT " COLUMNS " FROM shelf WHERE end >= ?1 AND (?2 = '' OR domain = ?2 OR "
        "substr(domain, -length(?2) - 1) = '.' || ?2) ORDER BY end DESC, id DESC LIMIT "
        "?3");
    sqlite3_bind_int64(q, 1, filter->since_s);
    report_bind_text(q, 2, filter->domain);
    sqlite3_bind_int(q, 3, SHELF_LIST_MAX);
    int result = q ? SQLITE_ROW : SQLITE_ERROR;
    json_t *list = json_array();
    while (result == SQLITE_ROW && (result = sqlite3_step(q)) == SQLITE_ROW)
        json_array_append_new(list, read_row(q));
    if (result == SQLITE_DONE)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *read_records(struct report_store *s, int64_t id)
{
    REPORT_STATEMENT(q, s, "SELECT text, count FROM record WHERE shelf = ?1 ORDER BY number");
    sqlite3_bind_int64(q, 1, id);
    json_t *list = json_array();
    while (q && sqlite3_step(q) == SQLITE_ROW) {
        json_t *record = column_json(q, 0);
        json_object_set_new(record, "count", json_integer(sqlite3_column_int64(q, 1)));
        json_array_append_new(list, record);
    }
    return list;
}

json_t *shelf_get(struct report_store *s, int64_t id)
{
    REPORT_LOCKED(s);
    REPORT_STATEMENT(q, locked, "SELECT " COLUMNS " FROM shelf WHERE id = ?1");
    sqlite3_bind_int64(q, 1, id);
    if (!q || sqlite3_step(q) != SQLITE_ROW)
        return NULL;
    json_t *report = read_row(q);
    json_object_set_new(report, "records", read_records(s, id));
    return report;
}
