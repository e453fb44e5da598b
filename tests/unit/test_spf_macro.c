/* SPDX-License-Identifier: ISC */
/* Macros, explanations, senders and what is told of an SPF verdict (RFC 7208 sections 2, 6.2, 7 and 9.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "check/spf_header.h"
#include "spf_room.h"

/* The name that the spec asks for, from alice@example.com or another sender. */
static void expect_question(const char *ip, const char *from, const char *spec, const char *name)
{
    static char zone[6000];
    char log[600];
    struct setting s = {.ip = ip, .helo = "mail.example.com", .from = from, .zone = zone};
    struct run r;
    snprintf(zone, sizeof zone, "%s TXT v=spf1 exists:%s -all\n%s", strrchr(from, '@') + 1, spec,
             ZONE);
    run_setting(&s, &r);
    snprintf(log, sizeof log, "A %s\n", name);
    size_t n = strlen(r.zone.log), m = strlen(log);
    if (n < m || strcmp(r.zone.log + n - m, log) != 0)
        print_error("%s: %s is not asked:\n%s", spec, name, r.zone.log);
    assert_true(n >= m && strcmp(r.zone.log + n - m, log) == 0);
    end_run(&r);
}

static void test_macros(void **state)
{
    static const char SENDER[] = "strong-bad@email.example.com";
    static const struct {
        const char *spec, *name;
    } rows[] = {
        /* the examples of 7.4, in lower case as the DNS is asked */
        {"%{s}.%{d}", "strong-bad@email.example.com.email.example.com"},
        {"%{o}.x.%{d}", "email.example.com.x.email.example.com"},
        {"%{d}", "email.example.com"},
        {"%{d4}", "email.example.com"},
        {"%{d3}", "email.example.com"},
        {"%{d2}", "example.com"},
        {"%{d1}.%{d1}", "com.com"},
        {"%{dr}", "com.example.email"},
        {"%{d2r}", "example.email"},
        {"%{l}.%{d}", "strong-bad.email.example.com"},
        {"%{l-}.%{d}", "strong.bad.email.example.com"},
        {"%{lr}.%{d}", "strong-bad.email.example.com"},
        {"%{lr-}.%{d}", "bad.strong.email.example.com"},
        {"%{l1r-}.%{d}", "strong.email.example.com"},
        {"%{l1-}.%{d}", "bad.email.example.com"},
        {"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
        {"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
        {"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
        {"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
        {"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
        /* escapes, the rest of the letters, case */
        {"%{h}.x.%{d}", "mail.example.com.x.email.example.com"},
        {"%%%-x.%{d}", "%%20x.email.example.com"},
        {"%{S}.%{d}", "strong-bad%40email.example.com.email.example.com"},
        {"%{D2}", "example.com"},
        {"%{DR}", "com.example.email"},
        {"%{p}.%{d}", "unknown.email.example.com"},
        {"%{d128}", "email.example.com"},
        {"%{d99999999999999999999r}", "com.example.email"},
        {"%{l-+,/_=}.%{d}", "strong.bad.email.example.com"},
        {"%{d-.}", "email.example.com"},
        {"%{i/}.%{d}", "192.0.2.3.email.example.com"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_question("192.0.2.3", SENDER, rows[i].spec, rows[i].name);
    expect_question("2001:db8::cb01", SENDER, "%{ir}.%{v}._spf.%{d2}",
                    "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf."
                    "example.com");
    expect_question("::ffff:192.0.2.3", SENDER, "%{i}.%{v}.%{d}",
                    "192.0.2.3.in-addr.email.example.com");
    expect_question("192.0.2.3", "a+b.c@example.com", "%{lr+}.%{d}", "b.c.a.example.com");
    expect_question("192.0.2.3", "@example.com", "%{l}.%{s}.%{d}",
                    "postmaster.postmaster@example.com.example.com");
    /* %{p}: confirmed, and best of all the domain itself or below it (7.3) */
    expect_question("192.0.2.1", "a@email.example.com", "%{p}.%{d}",
                    "client.example.net.email.example.com");
    expect_question("192.0.2.1", "a@example.net", "%{p}.%{d}", "client.example.net.example.net");
}

static void test_names_are_cut_from_the_left(void **state)
{
    char label[64], spec[700], name[600];
    (void)state;
    memset(label, 'x', 60);
    label[60] = '\0';
    snprintf(spec, sizeof spec, "a.b.%s.%s.%s.%s.%s.%s.%%{d}", label, label, label, label, label,
             label);
    snprintf(name, sizeof name, "%s.%s.%s.example.com", label, label, label);
    expect_question("192.0.2.3", "a@example.com", spec, name);
    /* exactly 253 octets stay */
    snprintf(spec, sizeof spec, "a.%s.%s.%s.%.56s.%%{d}", label, label, label, label);
    snprintf(name, sizeof name, "a.%s.%s.%s.%.56s.example.com", label, label, label, label);
    assert_int_equal(strlen(name), 253);
    expect_question("192.0.2.3", "a@example.com", spec, name);
    snprintf(spec, sizeof spec, "aa.%s.%s.%s.%.56s.%%{d}", label, label, label, label);
    expect_question("192.0.2.3", "a@example.com", spec, name + 2);
}

static void test_macros_are_bounded(void **state)
{
    static char record[8192] = "v=spf1 exists:";
    struct run r;
    (void)state;
    for (int i = 0; i < 1001; i++)
        memcpy(record + strlen(record), "%{s}", 5);
    run_record("192.0.2.1", record, "", &r);
    assert_int_equal(r.v.result, SPF_PERMERROR);
    assert_int_equal(r.zone.asked, 1);
    end_run(&r);
    record[strlen(record) - 4] = '\0';
    run_record("192.0.2.1", record, "", &r);
    assert_int_equal(r.v.result, SPF_NEUTRAL);
    end_run(&r);
}

static void expect_explanation(const char *record, const char *more, const char *explanation)
{
    struct run r;
    run_record("192.0.2.1", record, more, &r);
    assert_int_equal(r.v.result, SPF_FAIL);
    if (!str_equal(r.v.explanation, str_from(explanation)))
        print_error("%s: \"" STR_FMT "\"\n%s", record, STR_ARG(r.v.explanation), r.zone.log);
    assert_true(str_equal(r.v.explanation, str_from(explanation)));
    end_run(&r);
}

static void test_explanations(void **state)
{
    (void)state;
    expect_explanation("v=spf1 -all", "", "");
    expect_explanation("v=spf1 exp=why.example.com -all", "", "because");
    expect_explanation("v=spf1 EXP=why.%{d} -all", "", "because");
    expect_explanation("v=spf1 -all exp=x.example.com",
                       "x.example.com TXT %{c} is not %{i} at 100%%, %{l}%_%{o}, says %{r} at "
                       "%{t}: http://example.com/?s=%{S}&p=%{p}\n",
                       "192.0.2.1 is not 192.0.2.1 at 100%, alice example.com, says "
                       "mx.receiver.test at 1700000000: "
                       "http://example.com/?s=alice%40example.com&p=client.example.net");
    /* whatever goes wrong, there is none */
    expect_explanation("v=spf1 -all exp=none.example.com", "", "");
    expect_explanation("v=spf1 -all exp=broken.example.com", "", "");
    expect_explanation("v=spf1 -all exp=host.example.com", "", "");
    expect_explanation("v=spf1 -all exp=a..b.example.com", "", "");
    expect_explanation("v=spf1 -all exp=two.example.com", "", "");
    expect_explanation("v=spf1 -all exp=x.example.com", "x.example.com TXT %nonsense\n", "");
    expect_explanation("v=spf1 -all exp=x.example.com", "x.example.com TXT %{z}\n", "");
    expect_explanation("v=spf1 -all exp=x.example.com", "x.example.com TXT m\xc3\xbcll\n", "");
    expect_explanation("v=spf1 -all exp=x.example.com", "x.example.com TXT a\rb\n", "");
    /* that of the record that redirects is not used, nor that of an included one */
    expect_explanation("v=spf1 exp=x.example.com redirect=fail.example.com",
                       "x.example.com TXT not this\n", "because");
    expect_explanation("v=spf1 -include:x.example.com",
                       "x.example.com TXT v=spf1 +all exp=why.example.com\n", "");
    expect_explanation("v=spf1 include:fail.example.com -all", "", "");
    /* %{d} is the domain of the record */
    expect_explanation("v=spf1 redirect=x.example.com",
                       "x.example.com TXT v=spf1 -all exp=y.%{d}\ny.x.example.com TXT %{d} %{o}\n",
                       "x.example.com example.com");
    /* void questions have all been asked, and this one does not count */
    expect_explanation("v=spf1 a:n1.example.com a:n2.example.com -all exp=x.example.com",
                       "x.example.com TXT %{p}\n", "client.example.net");
}

static void test_an_explanation_fits_a_reply(void **state)
{
    static char zone[2000] = "x.example.com TXT ";
    struct setting s = {.ip = "192.0.2.1", .helo = "h.test", .zone = zone};
    struct run r;
    (void)state;
    memset(zone + strlen(zone), 'x', 1000);
    snprintf(zone + strlen(zone), 100, "\nexample.com TXT v=spf1 -all exp=x.example.com\n");
    s.from = "a@example.com";
    run_setting(&s, &r);
    assert_int_equal(r.v.explanation.n, SPF_EXPLANATION_MAX);
    end_run(&r);
    snprintf(zone, sizeof zone,
             "x.example.com TXT %%{l}\nexample.com TXT v=spf1 -all exp=x.example.com\n");
    s.from = "\"a\r\n250 \x80\"@example.com";
    run_setting(&s, &r);
    assert_true(str_equal(r.v.explanation, STR("\"a??250 ?\"")));
    end_run(&r);
}

static void expect_identity(enum spf_identity identity, const char *helo, const char *from,
                            const char *result, const char *sender)
{
    struct setting s = {.ip = "192.0.2.1",
                        .helo = helo,
                        .from = from,
                        .identity = identity,
                        .zone = "mail.example.com TXT v=spf1 exists:%{l}.%{o}.%{h} -all\n"
                                "postmaster.mail.example.com.mail.example.com A 127.0.0.2\n"
                                "example.com TXT v=spf1 ~all\nxn--mller-kva.test TXT v=spf1 +all\n"
                                "single TXT v=spf1 +all\n1.2.3.4 TXT v=spf1 +all\n"};
    struct run r;
    run_setting(&s, &r);
    if (strcmp(spf_result_name(r.v.result), result) != 0)
        print_error("%s %s: %s, " STR_FMT "\n", helo, from, spf_result_name(r.v.result),
                    STR_ARG(r.v.reason));
    assert_string_equal(spf_result_name(r.v.result), result);
    assert_true(str_equal(r.v.sender, str_from(sender)));
    assert_int_equal(r.v.identity, identity);
    end_run(&r);
}

static void test_identities(void **state)
{
    static const char HELO[] = "mail.example.com";
    (void)state;
    expect_identity(SPF_MAIL_FROM, HELO, "alice@example.com", "softfail", "alice@example.com");
    expect_identity(SPF_MAIL_FROM, HELO, "a@b@example.com", "softfail", "a@b@example.com");
    expect_identity(SPF_MAIL_FROM, HELO, "alice@example.com.", "softfail", "alice@example.com");
    expect_identity(SPF_MAIL_FROM, HELO, "@example.com", "softfail", "postmaster@example.com");
    expect_identity(SPF_MAIL_FROM, HELO, "", "pass", "postmaster@mail.example.com");
    expect_identity(SPF_HELO, HELO, "alice@example.com", "pass", "postmaster@mail.example.com");
    expect_identity(SPF_HELO, "mail.example.com.", "", "pass", "postmaster@mail.example.com");
    expect_identity(SPF_MAIL_FROM, HELO, "x@m\xc3\xbcller.test", "pass", "x@xn--mller-kva.test");
    /* 4.3: malformed, a literal, a single label, an address */
    expect_identity(SPF_HELO, "[192.0.2.1]", "", "none", "postmaster@[192.0.2.1]");
    expect_identity(SPF_HELO, "1.2.3.4", "", "none", "postmaster@1.2.3.4");
    expect_identity(SPF_HELO, "single", "", "none", "postmaster@single");
    expect_identity(SPF_HELO, "", "", "none", "postmaster@");
    expect_identity(SPF_HELO, "a..example.com", "", "none", "postmaster@a..example.com");
    expect_identity(SPF_HELO, "a b.example.com", "", "none", "postmaster@a b.example.com");
    expect_identity(SPF_MAIL_FROM, HELO, "a@none.example.org", "none", "a@none.example.org");
    expect_identity(SPF_MAIL_FROM, HELO, "a@[192.0.2.1]", "none", "a@[192.0.2.1]");
}

static void test_malformed_domains_cost_no_question(void **state)
{
    static const char *const helos[] = {
        "[192.0.2.1]",
        "single",
        "a..example.com",
        "192.0.2.1",
        "x\x80.example.com",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.example.com"};
    (void)state;
    for (size_t i = 0; i < sizeof helos / sizeof helos[0]; i++) {
        struct setting s = {.ip = "192.0.2.1", .helo = helos[i], .from = "", .zone = ""};
        struct run r;
        run_setting(&s, &r);
        assert_int_equal(r.v.result, SPF_NONE);
        assert_int_equal(r.zone.asked, 0);
        end_run(&r);
    }
}

/* RFC 8616 section 4 */
static void test_a_local_part_that_is_not_ascii_matches_nothing(void **state)
{
    static const char *const specs[] = {"%{l}.example.com", "%{L}.example.com", "%{S}.example.com"};
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        char zone[500];
        struct setting s = {
            .ip = "192.0.2.1", .helo = "h.test", .from = "m\xc3\xbcller@example.com", .zone = zone};
        struct run r;
        snprintf(zone, sizeof zone, "example.com TXT v=spf1 exists:%s ~all\n", specs[i]);
        run_setting(&s, &r);
        assert_int_equal(r.v.result, SPF_SOFTFAIL);
        assert_int_equal(r.zone.asked, 1);
        end_run(&r);
    }
}

static void test_what_decided_is_told(void **state)
{
    static const struct {
        const char *record, *mechanism, *reason;
    } rows[] = {
        {"v=spf1 -IP4:192.0.2.99/24", "-ip4:192.0.2.99/24", "-IP4:192.0.2.99/24 of example.com"},
        {"v=spf1 +A/32//128", "a", "+A/32//128 of example.com"},
        {"v=spf1 include:pass.example.com", "include:pass.example.com", "+all of pass.example.com"},
        {"v=spf1 redirect=fail.example.com", "-all", "-all of fail.example.com"},
        {"v=spf1", "default", "nothing of example.com matches"},
        {"v=spf1 nonsense:(\"x\\", "", "unknown mechanism nonsense:(\"x\\ of example.com"},
        {"v=spf1 exists:broken.example.com", "exists:broken.example.com",
         "the DNS failed at broken.example.com"},
        {"v=spf1 include:none.example.com", "include:none.example.com",
         "no SPF record to include at none.example.com"},
        {"v=spf1 include:wrong.example.com", "include:wrong.example.com",
         "unknown mechanism nonsense of wrong.example.com"},
        {"v=spf1 a:%{d0}", "", "a domain or macro that is malformed in a:%{d0} of example.com"},
        {"v=spf1 a a a a a mx a a a a mx:example.org", "a", "a of example.com"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run r;
        run_record("192.0.2.1", rows[i].record, "", &r);
        if (!str_equal(r.v.mechanism, str_from(rows[i].mechanism)) ||
            !str_equal(r.v.reason, str_from(rows[i].reason)))
            print_error("%s: " STR_FMT ", " STR_FMT "\n", rows[i].record, STR_ARG(r.v.mechanism),
                        STR_ARG(r.v.reason));
        assert_true(str_equal(r.v.mechanism, str_from(rows[i].mechanism)));
        assert_true(str_equal(r.v.reason, str_from(rows[i].reason)));
        end_run(&r);
    }
}

static void expect_field(const struct setting *s, const char *field)
{
    struct run r;
    struct buf out = buf_make(SPF_HEADER_MAX);
    run_setting(s, &r);
    assert_true(spf_header_append(&out, &r.q, &r.v));
    assert_true(buf_append_byte(&out, '\0'));
    assert_string_equal(out.data, field);
    buf_free(&out);
    end_run(&r);
}

static void test_received_spf(void **state)
{
    (void)state;
    struct setting s = {.ip = "192.0.2.1",
                        .helo = "mail.example.com",
                        .from = "alice@example.com",
                        .zone = "example.com TXT v=spf1 ip4:192.0.2.0/24 -all\n"};
    expect_field(&s, "Received-SPF: pass (mx.receiver.test: domain of example.com designates\r\n"
                     " 192.0.2.1 as permitted sender) client-ip=192.0.2.1;\r\n"
                     " receiver=mx.receiver.test; identity=mailfrom;\r\n"
                     " envelope-from=\"alice@example.com\"; helo=mail.example.com;\r\n"
                     " mechanism=\"ip4:192.0.2.0/24\"\r\n");
    s.identity = SPF_HELO;
    s.helo = "evil) client-ip=10.0.0.1; \"x\\\r\nSubject: y";
    expect_field(
        &s, "Received-SPF: none (mx.receiver.test: evil? client-ip=10.0.0.1; \"x???Subject:\r\n"
            " y does not say which senders it permits) client-ip=192.0.2.1;\r\n"
            " receiver=mx.receiver.test; identity=helo; helo=\"evil) client-ip=10.0.0.1;\r\n"
            " \\\"x\\\\??Subject: y\"\r\n");
    s.identity = SPF_MAIL_FROM;
    s.ip = "2001:db8::1";
    s.helo = "";
    s.zone = "example.com TXT v=spf1 (\n";
    expect_field(&s,
                 "Received-SPF: permerror (mx.receiver.test: permanent error in processing of\r\n"
                 " example.com) client-ip=\"2001:db8::1\"; receiver=mx.receiver.test;\r\n"
                 " identity=mailfrom; envelope-from=\"alice@example.com\"; helo=\"\";\r\n"
                 " problem=\"unknown mechanism ( of example.com\"\r\n");
}

static void test_a_full_buffer_gets_no_part_of_the_field(void **state)
{
    struct setting s = {.ip = "192.0.2.1", .helo = "h.test", .from = "", .zone = ""};
    struct buf out = buf_make(100);
    struct run r;
    (void)state;
    run_setting(&s, &r);
    assert_false(spf_header_append(&out, &r.q, &r.v));
    assert_int_equal(out.used, 0);
    buf_free(&out);
    end_run(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_macros),
        cmocka_unit_test(test_names_are_cut_from_the_left),
        cmocka_unit_test(test_macros_are_bounded),
        cmocka_unit_test(test_explanations),
        cmocka_unit_test(test_an_explanation_fits_a_reply),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_malformed_domains_cost_no_question),
        cmocka_unit_test(test_a_local_part_that_is_not_ascii_matches_nothing),
        cmocka_unit_test(test_what_decided_is_told),
        cmocka_unit_test(test_received_spf),
        cmocka_unit_test(test_a_full_buffer_gets_no_part_of_the_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
