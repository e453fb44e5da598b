/* SPDX-License-Identifier: ISC */
/* Reports: what is counted, kept and written; whom they may be sent to; what others' reports may do to us. */
#include "report/count.h"

#include <sqlite3.h>
#include <unistd.h>

#include "check/report_destination.h"
#include "check/tlsrpt_record.h"
#include "fake_zone.h"
#include "mail_test.h"
#include "report/letter.h"
#include "report/outbox.h"
#include "report/reading.h"
#include "task_test.h"

enum { DAY = 20000, NOON = DAY * REPORT_DAY_S + 43200 };

struct place {
    char folder[64], path[80];
    struct report_store *store;
};

static void open_place(struct place *p)
{
    snprintf(p->folder, sizeof p->folder, "/tmp/eb-report-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->path, sizeof p->path, "%s/reports.db", p->folder);
    assert_int_equal(report_store_open(p->path, &p->store).kind, FAULT_FINE);
}

static void reopen(struct place *p)
{
    report_store_close(p->store);
    assert_int_equal(report_store_open(p->path, &p->store).kind, FAULT_FINE);
}

static void close_place(struct place *p)
{
    report_store_close(p->store);
    unlink(p->path);
    assert_int_equal(rmdir(p->folder), 0);
}

static void count_text(struct place *p, const char *domain, const char *text, int64_t time_s)
{
    report_store_count(p->store, &(struct report_outcome){.domain = str_from(domain),
                                                          .rua = STR("mailto:a@b.example"),
                                                          .policy = STR("{\"p\":\"none\"}"),
                                                          .text = str_from(text),
                                                          .time_s = time_s,
                                                          .count = 1});
}

static size_t list_reports(struct place *p, struct report_ticket *first)
{
    struct arena a = arena_make(16 << 20);
    struct report_ticket *ticket;
    size_t count;
    assert_int_equal(report_store_flush(p->store).kind, FAULT_FINE);
    assert_int_equal(report_outbox_list(p->store, &a, &ticket, &count).kind, FAULT_FINE);
    if (count > 0 && first)
        first->id = ticket[0].id;
    arena_free(&a);
    return count;
}

static void test_outcomes_are_counted_by_domain_day_and_policy(void **state)
{
    struct place p;
    struct report_ticket first;
    struct report_draft d;
    (void)state;
    open_place(&p);
    for (int i = 0; i < 3; i++)
        count_text(&p, "a.example", "{\"ip\":\"192.0.2.1\"}", NOON + i);
    count_text(&p, "a.example", "{\"ip\":\"192.0.2.2\"}", NOON);
    assert_int_equal(list_reports(&p, &first), 1);
    count_text(&p, "a.example", "{\"ip\":\"192.0.2.1\"}", NOON);
    count_text(&p, "a.example", "{\"ip\":\"192.0.2.1\"}", NOON + REPORT_DAY_S);
    count_text(&p, "b.example", "{\"ip\":\"192.0.2.1\"}", NOON);
    reopen(&p); /* which writes down what was counted */
    assert_int_equal(list_reports(&p, NULL), 3);
    assert_int_equal(report_outbox_close(p.store, first.id, NOON + 2 * REPORT_DAY_S, &d).kind,
                     FAULT_FINE);
    assert_int_equal(d.row_count, 2);
    assert_int_equal(d.row[0].count, 4);
    assert_int_equal(d.begin_s, (int64_t)DAY * REPORT_DAY_S);
    assert_int_equal(d.end_s, (int64_t)(DAY + 1) * REPORT_DAY_S - 1);
    report_draft_free(&d);
    assert_int_equal(report_outbox_remove(p.store, first.id).kind, FAULT_FINE);
    assert_int_equal(report_outbox_close(p.store, first.id, NOON, &d).kind, FAULT_NEVER);
    report_draft_free(&d);
    assert_int_equal(list_reports(&p, NULL), 2);
    close_place(&p);
}

/* Beyond the bound outcomes have no row of their own, and the report says how many. */
static void test_a_report_has_a_bounded_number_of_rows(void **state)
{
    struct place p;
    struct report_ticket first;
    struct report_draft d;
    char text[64];
    (void)state;
    open_place(&p);
    for (int i = 0; i < REPORT_OUTBOX_ROWS_MAX + 50; i++) {
        snprintf(text, sizeof text, "{\"ip\":\"%d\"}", i);
        count_text(&p, "a.example", text, NOON);
    }
    assert_int_equal(list_reports(&p, &first), 1);
    assert_int_equal(report_outbox_close(p.store, first.id, NOON, &d).kind, FAULT_FINE);
    assert_int_equal(d.row_count, REPORT_OUTBOX_ROWS_MAX);
    assert_int_equal(d.lost, 50);
    report_draft_free(&d);
    close_place(&p);
}

/* Between two flushes memory is bounded: what finds no room is lost, and nothing else is. */
static void test_what_waits_in_memory_is_bounded(void **state)
{
    struct place p;
    char domain[64];
    (void)state;
    open_place(&p);
    for (int i = 0; i < REPORT_PENDING_MAX + 100; i++) {
        snprintf(domain, sizeof domain, "d%d.example", i);
        count_text(&p, domain, "{}", NOON);
    }
    assert_int_equal(list_reports(&p, NULL), REPORT_PENDING_MAX);
    close_place(&p);
}

/* What is sent early ends where the next report of the day begins. */
static void test_reports_of_a_day_do_not_overlap(void **state)
{
    struct place p;
    struct report_ticket first;
    struct report_draft d;
    (void)state;
    open_place(&p);
    count_text(&p, "a.example", "{}", NOON);
    list_reports(&p, &first);
    assert_int_equal(report_outbox_close(p.store, first.id, NOON + 10, &d).kind, FAULT_FINE);
    assert_int_equal(d.end_s, NOON + 9);
    report_draft_free(&d);
    /* It is closed: a second reading is the same, and what comes now counts for the next. */
    count_text(&p, "a.example", "{}", NOON + 20);
    assert_int_equal(list_reports(&p, NULL), 2);
    assert_int_equal(report_outbox_close(p.store, first.id, NOON + 500, &d).kind, FAULT_FINE);
    assert_int_equal(d.end_s, NOON + 9);
    assert_int_equal(d.row[0].count, 1);
    report_draft_free(&d);
    assert_int_equal(report_outbox_remove(p.store, first.id).kind, FAULT_FINE);
    list_reports(&p, &first);
    assert_int_equal(report_outbox_close(p.store, first.id, NOON + 500, &d).kind, FAULT_FINE);
    assert_int_equal(d.begin_s, NOON + 10);
    report_draft_free(&d);
    close_place(&p);
}

static void count_tls(struct place *p, const char *type, const char *failure)
{
    const struct str strings[] = {STR("version: STSv1"), STR("mode: enforce")};
    const struct str patterns[] = {STR("*.mail.example")};
    struct report_outcome *o = report_tls_outcome(&(struct report_tls){
        .domain = STR("a.example"),
        .policy_domain = type[0] == 't' ? STR("mx1.mail.example") : STR("a.example"),
        .policy_type = type,
        .policy_string = strings,
        .policy_string_count = 2,
        .mx_pattern = patterns,
        .mx_pattern_count = 1,
        .failure = failure,
        .sending_ip = STR("192.0.2.1"),
        .receiving_ip = STR("192.0.2.2"),
        .receiving_mx = STR("mx1.mail.example"),
        .reason = STR("expired\r\nX: y"),
        .time_s = NOON});
    o->rua = STR("mailto:tls@a.example");
    report_store_count(p->store, o);
    free(o);
}

static bool has_record(const struct document *d, struct str part)
{
    for (size_t i = 0; i < d->count; i++)
        if (str_find(d->record[i].text, part) < d->record[i].text.n)
            return true;
    return false;
}

/* What we write of TLS we read (RFC 8460 section 4). */
static void test_outcomes_of_tls_become_a_report(void **state)
{
    struct place p;
    struct report_ticket first;
    struct report_draft d;
    struct document read;
    struct buf packed = buf_make(LETTER_MAX), mail = buf_make(LETTER_MAX);
    const struct report_author by = {STR("Us"), STR("postmaster@us.example"), STR("mx.us.example"),
                                     STR("1.2@us.example")};
    (void)state;
    open_place(&p);
    count_tls(&p, "tlsa", "validation-failure");
    for (int i = 0; i < 5; i++)
        count_tls(&p, "sts", NULL);
    count_tls(&p, "sts", "certificate-expired");
    count_tls(&p, "sts", "certificate-expired");
    assert_int_equal(list_reports(&p, &first), 1);
    assert_int_equal(report_outbox_close(p.store, first.id, NOON, &d).kind, FAULT_FINE);
    assert_int_equal(d.ticket.kind, REPORT_TLS);
    assert_true(letter_pack(&d, &by, &packed));
    const struct letter letter = {&d, &by, STR("tls@a.example"), STR("=_b"), NOON, 0};
    assert_true(letter_append(&letter, buf_str(&packed), &mail));
    struct str text = buf_str(&mail);
    assert_true(str_find(text, STR("multipart/report; report-type=\"tlsrpt\"")) < text.n);
    assert_true(str_find(text, STR("TLS-Report-Domain: a.example\r\n")) < text.n);
    assert_true(str_find(text, STR("TLS-Report-Submitter: mx.us.example\r\n")) < text.n);
    assert_true(str_find(text, STR("application/tlsrpt+gzip")) < text.n);
    assert_int_equal(report_read(text, &read).kind, FAULT_FINE);
    assert_int_equal(read.kind, REPORT_TLS);
    assert_int_equal(read.good, 5);
    assert_int_equal(read.bad, 3);
    assert_int_equal(read.count, 4); /* two policies, each with a kind of failure */
    /* The report is about the domain, though its first policy is about a host of somebody's (section 1.1). */
    assert_true(str_equal(read.domain, STR("a.example")));
    assert_true(has_record(&read, STR("\"mx1.mail.example\"")));
    assert_true(has_record(&read, STR("certificate-expired")));
    assert_true(has_record(&read, STR("expired??X: y")));
    document_free(&read);
    report_draft_free(&d);
    buf_free(&packed);
    buf_free(&mail);
    close_place(&p);
}

struct foreign {
    const char *submitter, *organization, *id;
    bool is_authentic;
    int records;
};

static bool add_foreign(struct place *p, const struct foreign *f)
{
    struct document d;
    bool is_new;
    const struct shelf_origin origin = {
        .submitter = str_from(f->submitter), .is_authentic = f->is_authentic, .arrived_s = NOON};
    document_start(&d, REPORT_DMARC);
    d.organization = str_from(f->organization ? f->organization : f->submitter);
    d.report_id = str_from(f->id);
    d.domain = STR("a.example");
    d.end_s = NOON;
    for (int i = 0; i < f->records; i++)
        document_add(&d, 1, json_pack("{s:s}", "ip", "192.0.2.1"));
    assert_int_equal(shelf_add(p->store, &d, &origin, &is_new).kind, FAULT_FINE);
    document_free(&d);
    return is_new;
}

/* How many reports of that submitter are there, and the id of one of them. */
static size_t count_foreign(struct place *p, const char *submitter, int64_t *id)
{
    size_t i, count = 0;
    json_t *each, *all = shelf_list(p->store, &(struct shelf_filter){0});
    json_array_foreach(all, i, each)
    {
        if (strcmp(json_string_value(json_object_get(each, "submitter")), submitter) != 0)
            continue;
        count++;
        if (id)
            *id = json_integer_value(json_object_get(each, "id"));
    }
    json_decref(all);
    return count;
}

/* Reports without records, put into the file at once: each by itself would wait for the disk. */
static void fill(struct place *p, int count, bool is_authentic)
{
    char sql[500];
    sqlite3 *db;
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
             "INSERT INTO shelf SELECT NULL, 0, 'a.example', 'flood', i, 'flood' || (i %% 2) || "
             "'.example', %d, 0, %d, 0, 0, 0, 0, '{}' FROM n",
             count, is_authentic, NOON);
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Who sends reports in masses loses his own, not those of others. */
static void test_a_flood_of_reports_displaces_itself(void **state)
{
    enum { PART = REPORT_SHELF_MAX / REPORT_SHELF_UNPROVEN_PART };
    static const char *const ids[] = {"a", "b", "c", "d", "e"};
    struct place p;
    int64_t id;
    (void)state;
    open_place(&p);
    assert_true(add_foreign(&p, &(struct foreign){"honest.example", NULL, "1", false, 2}));
    assert_false(add_foreign(&p, &(struct foreign){"honest.example", NULL, "1", false, 2}));
    fill(&p, PART - 1, false);
    for (int i = 0; i < 5; i++)
        assert_true(add_foreign(&p, &(struct foreign){"flood0.example", NULL, ids[i], false, 0}));
    assert_int_equal(count_foreign(&p, "flood0.example", NULL) +
                         count_foreign(&p, "flood1.example", NULL),
                     PART - 1);
    assert_int_equal(count_foreign(&p, "honest.example", &id), 1);
    json_t *shown = shelf_get(p.store, id);
    assert_int_equal(json_array_size(json_object_get(shown, "records")), 2);
    json_decref(shown);
    close_place(&p);
}

/* Each forged one has another author and as many records as there may be: not one that is proven goes. */
static void test_what_is_not_proven_never_pushes_out_what_is(void **state)
{
    struct place p;
    char submitter[32];
    (void)state;
    open_place(&p);
    for (int i = 0; i < 3; i++)
        assert_true(
            add_foreign(&p, &(struct foreign){"big.example", NULL,
                                              (const char *[]){"a", "b", "c"}[i], true, 9}));
    add_foreign(&p, &(struct foreign){"honest.example", NULL, "1", false, 2});
    for (int i = 0; i < 20; i++) {
        snprintf(submitter, sizeof submitter, "flood%d.example", i);
        assert_true(
            add_foreign(&p, &(struct foreign){submitter, NULL, "1", false, DOCUMENT_RECORDS_MAX}));
    }
    assert_int_equal(count_foreign(&p, "big.example", NULL), 3);
    assert_int_equal(count_foreign(&p, "honest.example", NULL), 1);
    assert_int_equal(count_foreign(&p, "flood0.example", NULL), 0);
    assert_int_equal(count_foreign(&p, "flood19.example", NULL), 1);
    close_place(&p);
}

static void test_what_is_proven_goes_last(void **state)
{
    struct place p;
    (void)state;
    open_place(&p);
    add_foreign(&p, &(struct foreign){"anybody.example", NULL, "1", false, 0});
    fill(&p, REPORT_SHELF_MAX - 1, true);
    assert_int_equal(count_foreign(&p, "anybody.example", NULL), 1);
    assert_true(add_foreign(&p, &(struct foreign){"late.example", NULL, "1", true, 0}));
    assert_int_equal(count_foreign(&p, "anybody.example", NULL), 0);
    assert_false(add_foreign(&p, &(struct foreign){"anybody.example", NULL, "2", false, 0}));
    assert_true(add_foreign(&p, &(struct foreign){"late.example", NULL, "2", true, 0}));
    assert_int_equal(count_foreign(&p, "flood0.example", NULL) +
                         count_foreign(&p, "flood1.example", NULL),
                     REPORT_SHELF_MAX - 2);
    close_place(&p);
}

/* The id of a report can be guessed: nobody but its submitter keeps it out by sending another one of that id before. */
static void test_a_forged_report_does_not_keep_the_genuine_one_out(void **state)
{
    static const struct foreign forged = {"big.example", "Big", "day-1", false, 1},
                                other = {"evil.example", "Big", "day-1", true, 1},
                                genuine = {"big.example", "Big", "day-1", true, 2};
    struct place p;
    int64_t id = 0;
    (void)state;
    open_place(&p);
    assert_true(add_foreign(&p, &forged));
    assert_true(add_foreign(&p, &other));
    assert_true(add_foreign(&p, &genuine));
    assert_false(add_foreign(&p, &forged));
    assert_false(add_foreign(&p, &genuine));
    assert_int_equal(count_foreign(&p, "evil.example", NULL), 1);
    assert_int_equal(count_foreign(&p, "big.example", &id), 1);
    json_t *shown = shelf_get(p.store, id);
    assert_true(json_is_true(json_object_get(shown, "authentic")));
    assert_int_equal(json_array_size(json_object_get(shown, "records")), 2);
    json_decref(shown);
    close_place(&p);
}

/* The tables that version 1 had and later ones changed. */
static const char back_to_1[] =
    "ALTER TABLE shelf RENAME TO shelf_2; DROP INDEX shelf_submitter;"
    "CREATE TABLE shelf (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, domain TEXT "
    "NOT NULL, organization TEXT NOT NULL, report TEXT NOT NULL, submitter TEXT NOT NULL, "
    "authentic INTEGER NOT NULL, begin INTEGER NOT NULL, end INTEGER NOT NULL, arrived INTEGER NOT "
    "NULL, good INTEGER NOT NULL, bad INTEGER NOT NULL, records INTEGER NOT NULL, about TEXT NOT "
    "NULL, UNIQUE (kind, organization, report, domain));"
    "CREATE INDEX shelf_submitter ON shelf (submitter);"
    "INSERT INTO shelf SELECT * FROM shelf_2; DROP TABLE shelf_2; PRAGMA user_version = 1;";

static void test_the_file_of_version_1_is_taken_over(void **state)
{
    struct place p;
    sqlite3 *db;
    int64_t before, after = 0;
    (void)state;
    open_place(&p);
    add_foreign(&p, &(struct foreign){"anybody.example", NULL, "0", false, 0});
    add_foreign(&p, &(struct foreign){"big.example", "Big", "day-1", true, 2});
    assert_int_equal(count_foreign(&p, "big.example", &before), 1);
    report_store_close(p.store);
    assert_int_equal(sqlite3_open(p.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, back_to_1, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(report_store_open(p.path, &p.store).kind, FAULT_FINE);
    assert_int_equal(count_foreign(&p, "big.example", &after), 1);
    assert_int_equal(after, before);
    json_t *shown = shelf_get(p.store, after);
    assert_int_equal(json_array_size(json_object_get(shown, "records")), 2);
    json_decref(shown);
    assert_true(add_foreign(&p, &(struct foreign){"evil.example", "Big", "day-1", true, 1}));
    assert_false(add_foreign(&p, &(struct foreign){"big.example", "Big", "day-1", true, 1}));
    reopen(&p);
    assert_int_equal(count_foreign(&p, "evil.example", &before), 1);
    assert_true(before > after);
    close_place(&p);
}

static void test_destinations_must_want_reports(void **state)
{
    static const char zone[] = "_dmarc.a.example TXT v=DMARC1; p=none\n"
                               "_dmarc.other.example TXT v=DMARC1; p=none\n"
                               "a.example._report._dmarc.other.example TXT v=DMARC1\n"
                               "a.example._report._dmarc.moved.example TXT v=DMARC1; "
                               "rua=mailto:new@moved.example\n"
                               "a.example._report._dmarc.away.example TXT v=DMARC1; "
                               "rua=mailto:x@victim.example\n"
                               "a.example._report._dmarc.junk.example TXT v=spf1 -all\n"
                               "a.example._report._dmarc.down.example FAIL\n";
    static const struct {
        const char *uri, *address;
        enum report_consent consent;
    } rows[] = {
        {"mailto:x@a.example", "x@a.example", REPORT_CONSENT_GIVEN},
        {"mailto:x@mail.a.example", "x@mail.a.example", REPORT_CONSENT_GIVEN},
        {"mailto:x@other.example", "x@other.example", REPORT_CONSENT_GIVEN},
        {"mailto:x@moved.example", "new@moved.example", REPORT_CONSENT_GIVEN},
        {"mailto:x@away.example", "x@away.example", REPORT_CONSENT_MISSING},
        {"mailto:x@junk.example", "x@junk.example", REPORT_CONSENT_MISSING},
        {"mailto:x@victim.example", "x@victim.example", REPORT_CONSENT_MISSING},
        {"mailto:x@down.example", "x@down.example", REPORT_CONSENT_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_zone z = {.text = zone};
        struct arena arena = arena_make(1 << 20);
        struct asker asker = {.answer = fake_answer, .context = &z, .arena = &arena, .left = 40};
        struct report_uri uri;
        struct str rest = str_from(rows[i].uri);
        assert_true(report_uri_next(&rest, &uri));
        assert_int_equal(report_destination_check(STR("a.example"), &uri, &asker), rows[i].consent);
        assert_true(str_equal(str_make(uri.address, uri.address_n), str_from(rows[i].address)));
        arena_free(&arena);
    }
}

static void test_uris_and_their_sizes(void **state)
{
    struct str rest =
        STR("mailto:a@b.example!10m , https://c.example/x!1, mailto:d%2ce@f.example?x,"
            "ftp://g,mailto:h@i.example!x, mailto:, mailto:@j,mailto:k@l!2");
    struct report_uri uri;
    (void)state;
    assert_true(report_uri_next(&rest, &uri));
    assert_int_equal(uri.limit_bytes, 10 << 20);
    assert_true(report_uri_next(&rest, &uri) && uri.is_https);
    assert_true(report_uri_next(&rest, &uri));
    assert_true(str_equal(str_make(uri.address, uri.address_n), STR("d,e@f.example")));
    assert_true(uri.limit_bytes == UINT64_MAX);
    assert_true(report_uri_next(&rest, &uri));
    assert_int_equal(uri.limit_bytes, 2);
    assert_true(str_equal(uri.domain, STR("l")));
    assert_false(report_uri_next(&rest, &uri));
}

static bool find_tlsrpt(const char *text, bool *has_failed)
{
    struct fake_zone z = {.text = text};
    struct arena arena = arena_make(1 << 20);
    struct asker asker = {.answer = fake_answer, .context = &z, .arena = &arena, .left = 4};
    struct tlsrpt_record r;
    bool has = tlsrpt_record_find(STR("a.example"), &asker, &r, has_failed);
    assert_true(!has || str_starts(r.rua, STR("mailto:x@")));
    arena_free(&arena);
    return has;
}

static void test_records_of_tlsrpt(void **state)
{
    bool has_failed;
    (void)state;
    assert_true(find_tlsrpt("_smtp._tls.a.example TXT v=TLSRPTv1; rua=mailto:x@y\n", &has_failed));
    assert_true(find_tlsrpt("_smtp._tls.a.example TXT v=TLSRPTv1;rua=mailto:x@y;n=1\n"
                            "_smtp._tls.a.example TXT something else\n",
                            &has_failed));
    assert_false(find_tlsrpt("_smtp._tls.a.example TXT v=TLSRPTv1; rua=mailto:x@y\n"
                             "_smtp._tls.a.example TXT v=TLSRPTv1; rua=mailto:x@z\n",
                             &has_failed));
    assert_false(find_tlsrpt("_smtp._tls.a.example TXT v=TLSRPTv2; rua=mailto:x@y\n", &has_failed));
    assert_false(find_tlsrpt("_smtp._tls.a.example TXT rua=mailto:x@y; v=TLSRPTv1\n", &has_failed));
    assert_false(find_tlsrpt("_smtp._tls.a.example TXT v=TLSRPTv1\n", &has_failed));
    assert_false(
        find_tlsrpt("_smtp._tls.a.example TXT v =TLSRPTv1; rua=mailto:x@y\n", &has_failed));
    assert_false(has_failed);
    assert_false(find_tlsrpt("_smtp._tls.a.example FAIL\n", &has_failed));
    assert_true(has_failed);
}

static void count_and_hear(void *arg)
{
    (void)arg;
    struct place p;
    struct bell bell;
    open_place(&p);
    bell_init(&bell);
    report_store_ring(p.store, &bell);
    assert_false(report_store_has_news(p.store));
    count_text(&p, "one.test", "{}", 1800000000);
    assert_int_equal(bell_wait(&bell).kind, FAULT_FINE);
    assert_true(report_store_has_news(p.store));
    report_store_ring(p.store, NULL);
    close_place(&p);
    loop_stop(loop_current());
}

static void test_what_is_counted_rings(void **state)
{
    (void)state;
    run_as_task(count_and_hear);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes_are_counted_by_domain_day_and_policy),
        cmocka_unit_test(test_a_report_has_a_bounded_number_of_rows),
        cmocka_unit_test(test_what_waits_in_memory_is_bounded),
        cmocka_unit_test(test_reports_of_a_day_do_not_overlap),
        cmocka_unit_test(test_outcomes_of_tls_become_a_report),
        cmocka_unit_test(test_a_flood_of_reports_displaces_itself),
        cmocka_unit_test(test_what_is_not_proven_never_pushes_out_what_is),
        cmocka_unit_test(test_what_is_proven_goes_last),
        cmocka_unit_test(test_a_forged_report_does_not_keep_the_genuine_one_out),
        cmocka_unit_test(test_the_file_of_version_1_is_taken_over),
        cmocka_unit_test(test_destinations_must_want_reports),
        cmocka_unit_test(test_uris_and_their_sizes),
        cmocka_unit_test(test_records_of_tlsrpt),
        cmocka_unit_test(test_what_is_counted_rings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
