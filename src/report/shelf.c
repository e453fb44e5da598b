/* SPDX-License-Identifier: ISC */
/*
 * shelf.c - the reports of others about us
 */
#include "report/shelf.h"

#include <stdlib.h>

#include "report/internal.h"

static int64_t number_of(struct report_store *s, const char *sql)
{
    REPORT_STATEMENT(q, s, sql);
    return q && sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
}

/* The oldest of who has the most. */
static bool drop_one(struct report_store *s)
{
    int64_t id = number_of(s, "SELECT min(id) FROM shelf GROUP BY submitter ORDER BY count(*) DESC "
                              "LIMIT 1");
    static const char *const steps[] = {"DELETE FROM record WHERE shelf = ?1",
                                        "DELETE FROM shelf WHERE id = ?1"};
    bool is_good = id >= 0;
    for (size_t i = 0; i < 2 && is_good; i++) {
        REPORT_STATEMENT(q, s, steps[i]);
        sqlite3_bind_int64(q, 1, id);
        is_good = q && sqlite3_step(q) == SQLITE_DONE;
    }
    return is_good;
}

static bool make_room(struct report_store *s, size_t records)
{
    for (;;) {
        int64_t reports = number_of(s, "SELECT count(*) FROM shelf");
        int64_t all = number_of(s, "SELECT ifnull(sum(records), 0) FROM shelf");
        if (reports < 0 || all < 0)
            return false;
        if (reports < REPORT_SHELF_MAX && all + (int64_t)records <= REPORT_SHELF_ALL_RECORDS_MAX)
            return true;
        if (!drop_one(s))
            return false;
    }
}

/* -1: a fault. 0: it is there already. */
static int64_t add_head(struct report_store *s, const struct document *d,
                        const struct shelf_origin *origin, const char *about)
{
    REPORT_STATEMENT(
        q, s,
        "INSERT OR IGNORE INTO shelf (kind, domain, organization, report, submitter, "
        "authentic, begin, end, arrived, good, bad, records, about) VALUES (?1, ?2, ?3, "
        "?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
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
    if (sqlite3_step(q) != SQLITE_DONE)
        return -1;
    return sqlite3_changes(s->db) > 0 ? sqlite3_last_insert_rowid(s->db) : 0;
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

struct fault shelf_add(struct report_store *s, const struct document *d,
                       const struct shelf_origin *origin, bool *is_new)
{
    REPORT_LOCKED(s);
    char *about = json_dumps(d->about, JSON_COMPACT | JSON_SORT_KEYS);
    int64_t id = about && report_run(locked, "BEGIN IMMEDIATE") && make_room(s, d->count)
                     ? add_head(s, d, origin, about)
                     : -1;
    *is_new = id > 0;
    bool is_good = id == 0 || (id > 0 && add_records(s, id, d));
    struct fault f = FINE;
    if (!is_good || !report_run(s, "COMMIT")) {
        f = report_store_fault(s);
        report_run(s, "ROLLBACK");
    }
    free(about);
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
