/* SPDX-License-Identifier: ISC */
/* DMARC (RFC 9989): records, tree walks, alignment, and the policy that counts. */
#include "check/dmarc.h"

#include "mail_test.h"

#include "fake_zone.h"

static const char *const zone =
    "_dmarc.example.com TXT v=DMARC1; p=reject; sp=quarantine; np=none; rua=mailto:d@example.com\n"
    "example.com A 192.0.2.1\n"
    "www.example.com A 192.0.2.1\n"
    "deep.in.www.example.com A 192.0.2.1\n"
    "_dmarc.strict.example.net TXT v=DMARC1; p=reject; adkim=s; aspf=s\n"
    "_dmarc.own.example.com TXT v=DMARC1; p=none\n"
    "_dmarc.unit.example.com TXT v=DMARC1; p=quarantine; psd=n\n"
    "_dmarc.between.www.example.com TXT v=DMARC1; p=quarantine\n"
    "far.between.www.example.com A 192.0.2.1\n"
    "_dmarc.test.org TXT v=DMARC1; p=reject; t=y\n"
    "_dmarc.test2.org TXT v=DMARC1; p=quarantine; t=y\n"
    "_dmarc.test3.org TXT v=DMARC1; p=none; t=y\n"
    "_dmarc.bank TXT v=DMARC1; p=reject; sp=reject; np=quarantine; psd=y\n"
    "a.bank A 192.0.2.1\n"
    "_dmarc.b.bank TXT v=DMARC1; p=none\n"
    "_dmarc.dev TXT v=DMARC1; p=reject\n"
    "mine.dev A 192.0.2.1\n"
    "_dmarc.two.org TXT v=DMARC1; p=reject\n"
    "_dmarc.two.org TXT v=DMARC1; p=none\n"
    "_dmarc.beside.org TXT v=spf1 -all\n"
    "_dmarc.beside.org TXT v=DMARC1; p=reject\n"
    "_dmarc.old.org TXT v=DMARC1; p=reject; pct=0; ri=3600\n"
    "_dmarc.nop.org TXT v=DMARC1; rua=mailto:x@nop.org\n"
    "_dmarc.nothing.org TXT v=DMARC1; adkim=s\n"
    "_dmarc.badsp.org TXT v=DMARC1; p=reject; sp=delete; rua=mailto:x@badsp.org\n"
    "_dmarc.broken.org FAIL\n"
    "_dmarc.halfbroken.org TXT v=DMARC1; p=reject\n"
    "_dmarc.a.halfbroken.org FAIL\n"
    "_dmarc.top.example.org FAIL\n"
    "_dmarc.xn--mller-kva.example TXT v=DMARC1; p=reject\n"
    "_dmarc.l.e.v.e.l.s.long.example TXT v=DMARC1; p=reject; sp=none\n"
    "_dmarc.e.v.e.l.s.long.example TXT v=DMARC1; p=quarantine\n";

struct row {
    const char *author, *spf, *dkim, *dkim2;
    const char *unsure; /* the domain of a signature whose key the DNS has not given */
    enum dmarc_result result;
    enum dmarc_policy policy;
    const char *record, *organization;
};

/* With a record of its own the author's organization is looked for only to compare it with another name. */
static bool has_organization(const struct dmarc_verdict *v, const struct row *r)
{
    return v->organization.n > 0
               ? str_equal(v->organization, str_from(r->organization))
               : v->record_domain.n == 0 || str_equal(v->record_domain, v->author);
}

static void check_row(const struct row *r)
{
    struct fake_zone z = {.text = zone};
    struct arena arena = arena_make(1 << 20);
    struct asker asker = {.answer = fake_answer, .context = &z, .arena = &arena, .left = 40};
    struct str signers[2] = {r->dkim ? str_from(r->dkim) : STR_NONE,
                             r->dkim2 ? str_from(r->dkim2) : STR_NONE};
    struct str unsure = r->unsure ? str_from(r->unsure) : STR_NONE;
    struct dmarc_question q = {.spf_domain = r->spf ? str_from(r->spf) : STR_NONE,
                               .dkim_domains = signers,
                               .dkim_count = r->dkim2  ? 2
                                             : r->dkim ? 1
                                                       : 0,
                               .unsure_domains = &unsure,
                               .unsure_count = r->unsure ? 1 : 0};
    struct dmarc_verdict v;
    dmarc_finish(dmarc_begin(str_from(r->author), &asker), &q, &v);
    if (v.result != r->result || v.policy != r->policy ||
        !str_equal(v.record_domain, str_from(r->record)) || !has_organization(&v, r))
        fail_msg("%s spf %s dkim %s: %s %s of <" STR_FMT "> in <" STR_FMT "> (" STR_FMT ")\n%s",
                 r->author, r->spf, r->dkim, dmarc_result_name(v.result),
                 dmarc_policy_name(v.policy), STR_ARG(v.record_domain), STR_ARG(v.organization),
                 STR_ARG(v.reason), z.log);
    assert_int_equal(v.is_spf_aligned || v.is_dkim_aligned, v.result == DMARC_PASS);
    assert_int_equal(v.aligned.n > 0, v.result == DMARC_PASS);
    arena_free(&arena);
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_row(&rows[i]);
}

static void test_alignment(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"example.com", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_REJECT, "example.com",
         "example.com"},
        {"example.com", "example.com", NULL, NULL, NULL, DMARC_PASS, DMARC_ASKS_REJECT,
         "example.com", "example.com"},
        {"example.com", NULL, "example.com", NULL, NULL, DMARC_PASS, DMARC_ASKS_REJECT,
         "example.com", "example.com"},
        {"Example.COM", NULL, "EXAMPLE.com", NULL, NULL, DMARC_PASS, DMARC_ASKS_REJECT,
         "example.com", "example.com"},
        {"example.com", "www.example.com", NULL, NULL, NULL, DMARC_PASS, DMARC_ASKS_REJECT,
         "example.com", "example.com"},
        {"www.example.com", NULL, "example.com", NULL, NULL, DMARC_PASS, DMARC_ASKS_QUARANTINE,
         "example.com", "example.com"},
        {"example.com", "badexample.com", "com", NULL, NULL, DMARC_FAIL, DMARC_ASKS_REJECT,
         "example.com", "example.com"},
        {"example.com", NULL, "elsewhere.net", "mail.example.com", NULL, DMARC_PASS,
         DMARC_ASKS_REJECT, "example.com", "example.com"},
        {"example.com", NULL, "unit.example.com", NULL, NULL, DMARC_FAIL, DMARC_ASKS_REJECT,
         "example.com", "example.com"}, /* an organization of its own */
        {"unit.example.com", "example.com", NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_QUARANTINE,
         "unit.example.com", "unit.example.com"},
        {"a.unit.example.com", "unit.example.com", NULL, NULL, NULL, DMARC_PASS,
         DMARC_ASKS_QUARANTINE, "unit.example.com", "unit.example.com"},
        {"strict.example.net", "a.strict.example.net", NULL, NULL, NULL, DMARC_FAIL,
         DMARC_ASKS_REJECT, "strict.example.net", "strict.example.net"},
        {"strict.example.net", NULL, "a.strict.example.net", NULL, NULL, DMARC_FAIL,
         DMARC_ASKS_REJECT, "strict.example.net", "strict.example.net"},
        {"strict.example.net", NULL, "strict.example.net", NULL, NULL, DMARC_PASS,
         DMARC_ASKS_REJECT, "strict.example.net", "strict.example.net"},
        {"m\xc3\xbcller.example", NULL, "xn--mller-kva.example", NULL, NULL, DMARC_PASS,
         DMARC_ASKS_REJECT, "xn--mller-kva.example", "xn--mller-kva.example"},
    };
    check_rows(rows, sizeof rows / sizeof *rows);
}

static void test_the_record_that_counts(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"nowhere.net", NULL, "nowhere.net", NULL, NULL, DMARC_NONE, DMARC_ASKS_NONE, "",
         "nowhere.net"},
        {"own.example.com", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_NONE, "own.example.com",
         "example.com"},
        {"own.example.com", "example.com", NULL, NULL, NULL, DMARC_PASS, DMARC_ASKS_NONE,
         "own.example.com", "example.com"},
        {"www.example.com", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_QUARANTINE,
         "example.com", "example.com"},
        {"absent.example.com", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_NONE, "example.com",
         "example.com"},
        {"in.www.example.com", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_QUARANTINE,
         "example.com", "example.com"}, /* no data, but there */
        {"far.between.www.example.com", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_QUARANTINE,
         "example.com", "example.com"}, /* not of the nearest one above */
        {"test.org", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_QUARANTINE, "test.org",
         "test.org"},
        {"test2.org", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_NONE, "test2.org",
         "test2.org"},
        {"test3.org", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_NONE, "test3.org",
         "test3.org"},
        {"a.bank", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_REJECT, "bank", "a.bank"},
        {"absent.bank", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_QUARANTINE, "bank",
         "absent.bank"},
        {"www.a.bank", "a.bank", NULL, NULL, NULL, DMARC_PASS, DMARC_ASKS_QUARANTINE, "bank",
         "a.bank"},
        {"a.bank", "other.bank", NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_REJECT, "bank", "a.bank"},
        {"x.b.bank", "b.bank", NULL, NULL, NULL, DMARC_PASS, DMARC_ASKS_NONE, "b.bank", "b.bank"},
        {"bank", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_REJECT, "bank", "bank"},
        {"mine.dev", "other.dev", NULL, NULL, NULL, DMARC_NONE, DMARC_ASKS_NONE, "", "mine.dev"},
        {"two.org", NULL, NULL, NULL, NULL, DMARC_NONE, DMARC_ASKS_NONE, "", "two.org"},
        {"beside.org", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_REJECT, "beside.org",
         "beside.org"},
        {"old.org", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_REJECT, "old.org", "old.org"},
        {"nop.org", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_NONE, "nop.org", "nop.org"},
        {"nothing.org", NULL, "nothing.org", NULL, NULL, DMARC_NONE, DMARC_ASKS_NONE, "",
         "nothing.org"},
        {"badsp.org", NULL, NULL, NULL, NULL, DMARC_FAIL, DMARC_ASKS_NONE, "badsp.org",
         "badsp.org"},
    };
    check_rows(rows, sizeof rows / sizeof *rows);
}

static void test_failures_of_the_dns(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"broken.org", NULL, "broken.org", NULL, NULL, DMARC_TEMPERROR, DMARC_ASKS_NONE, "",
         "broken.org"},
        {"a.halfbroken.org", NULL, NULL, NULL, NULL, DMARC_TEMPERROR, DMARC_ASKS_NONE, "",
         "a.halfbroken.org"},
        {"halfbroken.org", NULL, "a.halfbroken.org", NULL, NULL, DMARC_TEMPERROR, DMARC_ASKS_REJECT,
         "halfbroken.org", "halfbroken.org"},
        {"halfbroken.org", "halfbroken.org", "a.halfbroken.org", NULL, NULL, DMARC_PASS,
         DMARC_ASKS_REJECT, "halfbroken.org", "halfbroken.org"},
        {"example.com", NULL, NULL, NULL, "example.com", DMARC_TEMPERROR, DMARC_ASKS_REJECT,
         "example.com", "example.com"},
        {"example.com", NULL, NULL, NULL, "mail.example.com", DMARC_TEMPERROR, DMARC_ASKS_REJECT,
         "example.com", "example.com"},
        {"example.com", "example.com", NULL, NULL, "example.com", DMARC_PASS, DMARC_ASKS_REJECT,
         "example.com", "example.com"},
        /* The failures of strangers change nothing. */
        {"example.com", NULL, NULL, NULL, "elsewhere.net", DMARC_FAIL, DMARC_ASKS_REJECT,
         "example.com", "example.com"},
        {"example.com", NULL, "nowhere.org", NULL, "badexample.com", DMARC_FAIL, DMARC_ASKS_REJECT,
         "example.com", "example.com"},
    };
    check_rows(rows, sizeof rows / sizeof *rows);
}

/* The names that a walk asks about, one by one. */
static void assert_walk(const char *author, const char *log)
{
    struct fake_zone z = {.text = zone};
    struct arena arena = arena_make(1 << 20);
    struct asker asker = {.answer = fake_answer, .context = &z, .arena = &arena, .left = 40};
    struct dmarc_verdict v;
    dmarc_finish(dmarc_begin(str_from(author), &asker), &(struct dmarc_question){0}, &v);
    assert_string_equal(z.log, log);
    arena_free(&arena);
}

static void test_walks_are_short(void **state)
{
    (void)state;
    assert_walk("a.b.nowhere.net", "TXT _dmarc.a.b.nowhere.net\nTXT _dmarc.b.nowhere.net\n"
                                   "TXT _dmarc.nowhere.net\nTXT _dmarc.net\n");
    assert_walk("1.2.3.4.5.6.7.8.9.net",
                "TXT _dmarc.1.2.3.4.5.6.7.8.9.net\nTXT _dmarc.4.5.6.7.8.9.net\n"
                "TXT _dmarc.5.6.7.8.9.net\nTXT _dmarc.6.7.8.9.net\nTXT _dmarc.7.8.9.net\n"
                "TXT _dmarc.8.9.net\nTXT _dmarc.9.net\nTXT _dmarc.net\n");
    assert_walk("3.4.5.6.7.8.9.net",
                "TXT _dmarc.3.4.5.6.7.8.9.net\nTXT _dmarc.4.5.6.7.8.9.net\n"
                "TXT _dmarc.5.6.7.8.9.net\nTXT _dmarc.6.7.8.9.net\nTXT _dmarc.7.8.9.net\n"
                "TXT _dmarc.8.9.net\nTXT _dmarc.9.net\nTXT _dmarc.net\n");
    assert_walk("unit.example.com", "TXT _dmarc.unit.example.com\n");
    assert_walk("a.bank", "TXT _dmarc.a.bank\nTXT _dmarc.bank\nA a.bank\n");
    assert_walk("broken.org", "TXT _dmarc.broken.org\n");
}

static void assert_asked(const char *spf, const char *dkim, enum dmarc_result result,
                         const char *log)
{
    struct fake_zone z = {.text = zone};
    struct arena arena = arena_make(1 << 20);
    struct asker asker = {.answer = fake_answer, .context = &z, .arena = &arena, .left = 40};
    struct str signers[] = {str_from(dkim), STR("nowhere.org")};
    struct dmarc_verdict v;
    dmarc_finish(dmarc_begin(STR("example.com"), &asker),
                 &(struct dmarc_question){
                     .spf_domain = str_from(spf), .dkim_domains = signers, .dkim_count = 2},
                 &v);
    assert_int_equal(v.result, result);
    assert_string_equal(z.log, log);
    arena_free(&arena);
}

static void test_what_nothing_depends_on_is_not_asked(void **state)
{
    (void)state;
    const char *own = "TXT _dmarc.example.com\n";
    assert_asked("example.com", "Example.com", DMARC_PASS, own);
    assert_asked("a.b.c.other.org", "a.b.c.d.e.f.g.elsewhere.net", DMARC_FAIL, own);
    assert_asked("badexample.com", "com", DMARC_FAIL, own);
    assert_asked("bounce.example.com", "example.com", DMARC_PASS,
                 "TXT _dmarc.example.com\nTXT _dmarc.com\nTXT _dmarc.bounce.example.com\n");
}

static void test_records(void **state)
{
    (void)state;
    struct dmarc_record r;
    static const char *const none[] = {"",
                                       "v=spf1 -all",
                                       "v=DMARC2; p=none",
                                       "v=dmarc1; p=none",
                                       "p=none; v=DMARC1",
                                       "v=DMARC1.0; p=reject",
                                       "vDMARC1; p=none",
                                       "; v=DMARC1; p=none"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (dmarc_record_parse(str_from(none[i]), &r))
            fail_msg("%s", none[i]);
    assert_true(dmarc_record_parse(
        STR("v = DMARC1 ;p=Reject;SP=none;; nonsense;adkim=s;aspf=x;t=Y;psd=N; rua= mailto:a@b.c ,"
            "mailto:d@e.f!10m;p=none;x-new=1;fo=1:d"),
        &r));
    assert_int_equal(r.p, DMARC_ASKS_REJECT);
    assert_int_equal(r.sp, DMARC_ASKS_NONE);
    assert_int_equal(r.np, DMARC_ASKS_NONE);
    assert_true(r.is_dkim_strict && !r.is_spf_strict && r.is_test && !r.is_broken);
    assert_int_equal(r.psd, DMARC_PSD_NO);
    assert_str(r.fo, "1:d");
    struct str address;
    assert_true(dmarc_uri_next(&r.rua, &address));
    assert_str(address, "a@b.c");
    assert_true(dmarc_uri_next(&r.rua, &address));
    assert_str(address, "d@e.f");
    assert_false(dmarc_uri_next(&r.rua, &address));
}

static void test_addresses_for_reports(void **state)
{
    (void)state;
    struct str list = STR("https://x.example/r, mailto:, mailto:@b, mailto:a@, MAILTO:a@b!5g ,"
                          "mailto:c@d?subject=x,,mailto:e"),
               address;
    assert_true(dmarc_uri_next(&list, &address));
    assert_str(address, "a@b");
    assert_true(dmarc_uri_next(&list, &address));
    assert_str(address, "c@d");
    assert_false(dmarc_uri_next(&list, &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_the_record_that_counts),
        cmocka_unit_test(test_failures_of_the_dns),
        cmocka_unit_test(test_walks_are_short),
        cmocka_unit_test(test_what_nothing_depends_on_is_not_asked),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_addresses_for_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
