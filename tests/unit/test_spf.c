/* SPDX-License-Identifier: ISC */
/* SPF verdicts, a row for each rule of RFC 7208 about mechanisms, modifiers and limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "check/spf_record.h"
#include "spf_room.h"

static bool result_is(const char *ip, const char *record, const char *more, const char *result)
{
    struct run r;
    run_record(ip, record, more, &r);
    bool is_so = strcmp(spf_result_name(r.v.result), result) == 0;
    if (!is_so)
        print_error("%s from %s: %s, not %s: " STR_FMT "\n%s", record, ip,
                    spf_result_name(r.v.result), result, STR_ARG(r.v.reason), r.zone.log);
    assert_true(r.v.reason.n > 0 && str_is_printable(r.v.reason));
    end_run(&r);
    return is_so;
}

struct row {
    const char *record, *result;
};

static void expect_rows(const char *ip, const struct row *rows, size_t count)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong += !result_is(ip, rows[i].record, "", rows[i].result);
    assert_int_equal(wrong, 0);
}
#define EXPECT_ROWS(ip, rows) expect_rows(ip, rows, sizeof(rows) / sizeof(rows)[0])

static void test_grammar(void **state)
{
    static const struct row rows[] = {
        {"v=spf1", "neutral"},
        {"V=SPF1 +ALL", "pass"},
        {"v=spf1   +all  ", "pass"},
        {"v=spf1\t+all", "none"},
        {"v=spf10 +all", "none"},
        {"v=spf1+all", "none"},
        {" v=spf1 +all", "none"},
        {"v=spf2.0/pra +all", "none"},
        {"v=spf1 all", "pass"},
        {"v=spf1 -all", "fail"},
        {"v=spf1 ~all", "softfail"},
        {"v=spf1 ?all", "neutral"},
        {"v=spf1 --all", "permerror"},
        {"v=spf1 *all", "permerror"},
        {"v=spf1 -", "permerror"},
        {"v=spf1 all.", "permerror"},
        {"v=spf1 all:example.com", "permerror"},
        {"v=spf1 all/8", "permerror"},
        {"v=spf1 -all\ta", "permerror"},
        {"v=spf1 -all,", "permerror"},
        {"v=spf1 +all m\xc3\xbcll", "permerror"},
        {"v=spf1 +all x=\x01", "permerror"},
        /* a fault behind a match (4.6) */
        {"v=spf1 +all nonsense", "permerror"},
        {"v=spf1 ip4:192.0.2.1 a:..", "permerror"},
        {"v=spf1 ip4:192.0.2.1 redirect=", "permerror"},
        /* unknown modifiers (6) */
        {"v=spf1 moo.cow-far_out=man:dog/cat +all", "pass"},
        {"v=spf1 x= +all", "pass"},
        {"v=spf1 a=host.example.com -all", "fail"},
        {"v=spf1 X=1 x=2 +all", "pass"},
        {"v=spf1 x=%{l}%{c}%% +all", "pass"},
        {"v=spf1 x=%nonsense +all", "permerror"},
        {"v=spf1 x=%{q} +all", "permerror"},
        {"v=spf1 moo/cow=x +all", "permerror"},
        {"v=spf1 1x=y +all", "permerror"},
        {"v=spf1 =y +all", "permerror"},
        {"v=spf1 -x=y +all", "permerror"},
        {"v=spf1 redirect:pass.example.com +all", "permerror"},
        {"v=spf1 exp:why.example.com -all", "permerror"},
        {"v=spf1 exp= -all", "permerror"},
        {"v=spf1 exp=why.example.com exp=why.example.com +all", "permerror"},
        {"v=spf1 redirect=pass.example.com redirect=pass.example.com +all", "permerror"},
        {"v=spf1 REDIRECT=pass.example.com", "pass"},
    };
    (void)state;
    EXPECT_ROWS("192.0.2.1", rows);
}

static void test_octets_that_no_term_has(void **state)
{
    static const struct str records[] = {{"v=spf1 \0all", 11}, {"v=spf1 all\0", 11},
                                         {"v=spf1 \0x=y", 11}, {"v=spf1 x\0=y", 11},
                                         {"v=spf1 x=\0", 10},  {"v=spf1 a:\0.example", 18},
                                         {"v=spf1 all\n", 11}, {"v=spf1 x=\x7f", 10}};
    struct spf_record record;
    struct spf_wrong wrong;
    (void)state;
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
        assert_false(spf_record_parse(records[i], &record, &wrong));
    assert_true(spf_record_parse(STR("v=spf1 all x=~"), &record, &wrong));
}

static void test_addresses_of_ipv4(void **state)
{
    static const struct row rows[] = {
        {"v=spf1 ip4:192.0.2.1 -all", "pass"},
        {"v=spf1 IP4:192.0.2.1 -all", "pass"},
        {"v=spf1 ip4:192.0.2.1/32 -all", "pass"},
        {"v=spf1 ip4:192.0.2.2 -all", "fail"},
        {"v=spf1 ip4:192.0.2.99/24 -all", "pass"},
        {"v=spf1 ip4:10.0.0.0/0 -all", "pass"},
        {"v=spf1 -ip4:192.0.2.0/31 +all", "fail"},
        {"v=spf1 ip4:192.0.2.1/33 -all", "permerror"},
        {"v=spf1 ip4:192.0.2.1/024 -all", "permerror"},
        {"v=spf1 ip4:192.0.2.1/ -all", "permerror"},
        {"v=spf1 ip4:192.0.2.1//32 -all", "permerror"},
        {"v=spf1 ip4:192.0.2 -all", "permerror"},
        {"v=spf1 ip4:192.0.2.01 -all", "permerror"},
        {"v=spf1 ip4:192.0.2.1:25 -all", "permerror"},
        {"v=spf1 ip4:2001:db8::1 -all", "permerror"},
        {"v=spf1 ip4:192.0.2.256 -all", "permerror"},
        {"v=spf1 ip4 -all", "permerror"},
        {"v=spf1 ip4: -all", "permerror"},
        {"v=spf1 ip4/24 -all", "permerror"},
        {"v=spf1 ip4:%{i} -all", "permerror"},
        {"v=spf1 ip6:::/0 -all", "fail"},
        {"v=spf1 ip6:::ffff:192.0.2.1 -all", "fail"},
        {"v=spf1 ip6:192.0.2.1 -all", "permerror"},
    };
    (void)state;
    EXPECT_ROWS("192.0.2.1", rows);
    /* ::ffff:a.b.c.d is IPv4 (5) */
    assert_true(result_is("::ffff:192.0.2.1", "v=spf1 ip4:192.0.2.1 -all", "", "pass"));
    assert_true(result_is("::ffff:192.0.2.1", "v=spf1 a:host.example.com/28 -all", "", "pass"));
}

static void test_addresses_of_ipv6(void **state)
{
    static const struct row rows[] = {
        {"v=spf1 ip6:2001:db8::1 -all", "pass"},
        {"v=spf1 ip6:2001:DB8:0::1/128 -all", "pass"},
        {"v=spf1 ip6:2001:db8::ffff/64 -all", "pass"},
        {"v=spf1 ip6:2001:db8::2 -all", "fail"},
        {"v=spf1 ip6:::1.1.1.1/0 -all", "pass"},
        {"v=spf1 ip6:::ffff:192.0.2.1/96 -all", "fail"},
        {"v=spf1 ip6:::ffff:192.0.2.1/0 -all", "pass"},
        {"v=spf1 ip6:2001:db8::1/129 -all", "permerror"},
        {"v=spf1 ip6:2001:db8::1/064 -all", "permerror"},
        {"v=spf1 ip6:2001:db8::1//64 -all", "permerror"},
        {"v=spf1 ip6:2001:db8:::1 -all", "permerror"},
        {"v=spf1 ip6:fe80::1%eth0 -all", "permerror"},
        {"v=spf1 ip6 -all", "permerror"},
        {"v=spf1 ip4:0.0.0.0/0 -all", "fail"},
        {"v=spf1 a -all", "pass"},
        {"v=spf1 a:host.example.com -all", "fail"},
        {"v=spf1 a:host.example.com//120 -all", "pass"},
        {"v=spf1 a:host.example.com/8 -all", "fail"},
        {"v=spf1 a:host.example.com/8//120 -all", "pass"},
        {"v=spf1 mx//120 -all", "pass"},
        {"v=spf1 a:mapped.example.com//0 -all", "pass"},
        {"v=spf1 a:mapped.example.com//1 -all", "pass"},
        {"v=spf1 a:mapped.example.com//64 -all", "fail"},
        {"v=spf1 a:mapped.example.com//128 -all", "fail"},
    };
    (void)state;
    EXPECT_ROWS("2001:db8::1", rows);
}

static void test_hosts(void **state)
{
    static const struct row rows[] = {
        {"v=spf1 a -all", "pass"},
        {"v=spf1 A -all", "pass"},
        {"v=spf1 a/32 -all", "pass"},
        {"v=spf1 a:host.example.com -all", "fail"},
        {"v=spf1 a:host.example.com. -all", "fail"},
        {"v=spf1 a:HOST.example.com/28 -all", "pass"},
        {"v=spf1 a:host.example.com/0 -all", "pass"},
        {"v=spf1 a:host.example.com/28//64 -all", "pass"},
        {"v=spf1 a//33 -all", "pass"},
        {"v=spf1 a/33 -all", "permerror"},
        {"v=spf1 a//129 -all", "permerror"},
        {"v=spf1 a/08 -all", "permerror"},
        {"v=spf1 a/24/24 -all", "permerror"},
        {"v=spf1 a///64 -all", "permerror"},
        {"v=spf1 a//64/24 -all", "permerror"},
        {"v=spf1 a/ -all", "permerror"},
        {"v=spf1 a/x -all", "permerror"},
        {"v=spf1 a: -all", "permerror"},
        {"v=spf1 a:/24 -all", "permerror"},
        {"v=spf1 aa -all", "permerror"},
        {"v=spf1 a:none.example.com -all", "fail"},
        {"v=spf1 a:broken.example.com -all", "temperror"},
        {"v=spf1 a:txt.example.com -all", "fail"},
        /* domain-end (12) */
        {"v=spf1 a:host -all", "permerror"},
        {"v=spf1 a:.example -all", "fail"},
        {"v=spf1 a:host..example.com -all", "fail"},
        {"v=spf1 a:host.example.com.. -all", "permerror"},
        {"v=spf1 a:192.0.2.1 -all", "permerror"},
        {"v=spf1 a:host.1com -all", "fail"},
        {"v=spf1 a:host.xn--p1ai -all", "fail"},
        {"v=spf1 a:host.x-1 -all", "fail"},
        {"v=spf1 a:host.-com -all", "permerror"},
        {"v=spf1 a:host.com- -all", "permerror"},
        {"v=spf1 a:host.c_m -all", "permerror"},
        {"v=spf1 a:host:25/x.example.com -all", "fail"},
        {"v=spf1 a:host.example.com:25 -all", "permerror"},
        {"v=spf1 a:%{d} -all", "pass"},
        {"v=spf1 a:%{d}. -all", "permerror"},
        {"v=spf1 a:%{d}/32 -all", "pass"},
        {"v=spf1 a:x.%% -all", "fail"},
        {"v=spf1 mx -all", "fail"},
        {"v=spf1 mx/28 -all", "pass"},
        {"v=spf1 mx:example.com/27//64 -all", "pass"},
        {"v=spf1 mx:host.example.com -all", "fail"},
        {"v=spf1 mx:nullmx.example.com -all", "fail"},
        {"v=spf1 mx:broken.example.com -all", "temperror"},
        {"v=spf1 mx:brokenmx.example.com -all", "temperror"},
        {"v=spf1 mx:brokenmx.example.com/28 -all", "pass"},
        {"v=spf1 exists:host.example.com -all", "pass"},
        {"v=spf1 exists:none.example.com -all", "fail"},
        {"v=spf1 exists:broken.example.com -all", "temperror"},
        {"v=spf1 exists -all", "permerror"},
        {"v=spf1 exists: -all", "permerror"},
        {"v=spf1 exists:host.example.com/24 -all", "permerror"},
        {"v=spf1 exists:%{ir}.%{v}.%{d} -all", "pass"},
    };
    (void)state;
    EXPECT_ROWS("192.0.2.1", rows);
    /* exists asks for A records from IPv6 clients, too (5.7) */
    assert_true(result_is("2001:db8::1", "v=spf1 exists:client.example.net -all", "", "pass"));
    assert_true(result_is("2001:db8::1", "v=spf1 exists:mapped.example.com -all", "", "fail"));
}

static void test_mail_hosts_are_ten_at_most(void **state)
{
    char zone[1024] = "";
    (void)state;
    for (int i = 0; i < 10; i++)
        snprintf(zone + strlen(zone), sizeof zone - strlen(zone),
                 "ten.example.com MX 10 h%d.example.com\nh%d.example.com A 198.51.100.%d\n", i, i,
                 i);
    assert_true(result_is("198.51.100.9", "v=spf1 mx:ten.example.com -all", zone, "pass"));
    assert_true(result_is("192.0.2.1", "v=spf1 mx:ten.example.com -all", zone, "fail"));
    snprintf(zone + strlen(zone), sizeof zone - strlen(zone),
             "ten.example.com MX 20 host.example.com\n");
    assert_true(result_is("198.51.100.0", "v=spf1 mx:ten.example.com -all", zone, "permerror"));
}

static void test_names_of_the_client(void **state)
{
    static const struct row rows[] = {
        {"v=spf1 ptr:example.net -all", "pass"},
        {"v=spf1 PTR:client.EXAMPLE.net -all", "pass"},
        {"v=spf1 ptr:lient.example.net -all", "fail"},
        {"v=spf1 ptr:x.client.example.net -all", "fail"},
        /* forged.example.com does not have the address */
        {"v=spf1 ptr -all", "fail"},
        {"v=spf1 ptr:example.com -all", "fail"},
        {"v=spf1 ptr: -all", "permerror"},
        {"v=spf1 ptr/24 -all", "permerror"},
        {"v=spf1 ptr:example.net/24 -all", "permerror"},
    };
    (void)state;
    EXPECT_ROWS("192.0.2.1", rows);
    assert_true(result_is("192.0.2.7", "v=spf1 ptr:example.net -all", "", "fail"));
    /* 5.5: when the DNS fails, it does not match; a name whose addresses cannot be had is passed over */
    assert_true(result_is("192.0.2.7", "v=spf1 ptr:example.net -all",
                          "7.2.0.192.in-addr.arpa FAIL\n", "fail"));
    assert_true(result_is("192.0.2.7", "v=spf1 ptr:example.net -all",
                          "7.2.0.192.in-addr.arpa PTR a.example.net\na.example.net FAIL\n"
                          "7.2.0.192.in-addr.arpa PTR b.example.net\nb.example.net A 192.0.2.7\n",
                          "pass"));
    assert_true(result_is("2001:db8::1", "v=spf1 ptr:example.com -all",
                          "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6."
                          "arpa PTR mail.example.com\n",
                          "pass"));
}

static void test_the_eleventh_name_is_ignored(void **state)
{
    char zone[2048] = "";
    (void)state;
    for (int i = 0; i < 11; i++)
        snprintf(zone + strlen(zone), sizeof zone - strlen(zone),
                 "7.2.0.192.in-addr.arpa PTR h%d.example.net\nh%d.example.net A 192.0.2.%d\n", i, i,
                 i < 9 ? 8 : 7);
    assert_true(result_is("192.0.2.7", "v=spf1 ptr:h9.example.net -all", zone, "pass"));
    assert_true(result_is("192.0.2.7", "v=spf1 ptr:h10.example.net -all", zone, "fail"));
}

static void test_other_records(void **state)
{
    static const struct row rows[] = {
        /* the table of 5.2 */
        {"v=spf1 include:pass.example.com -all", "pass"},
        {"v=spf1 ~include:pass.example.com -all", "softfail"},
        {"v=spf1 include:fail.example.com +all", "pass"},
        {"v=spf1 include:softfail.example.com ?all", "neutral"},
        {"v=spf1 include:neutral.example.com ~all", "softfail"},
        {"v=spf1 include:broken.example.com -all", "temperror"},
        {"v=spf1 include:wrong.example.com -all", "permerror"},
        {"v=spf1 include:two.example.com -all", "permerror"},
        {"v=spf1 include:none.example.com -all", "permerror"},
        {"v=spf1 include:txt.example.com -all", "permerror"},
        {"v=spf1 include:x..example.com -all", "permerror"},
        {"v=spf1 include -all", "permerror"},
        {"v=spf1 include: -all", "permerror"},
        {"v=spf1 include:pass.example.com/24 -all", "permerror"},
        {"v=spf1 ip4:192.0.2.1 include:none.example.com", "pass"},
        {"v=spf1 include:loop.example.com", "permerror"},
        /* 6.1 */
        {"v=spf1 redirect=pass.example.com", "pass"},
        {"v=spf1 redirect=fail.example.com", "fail"},
        {"v=spf1 redirect=fail.example.com ip4:192.0.2.1", "pass"},
        {"v=spf1 redirect=fail.example.com ?all", "neutral"},
        {"v=spf1 ?all redirect=%{x}.example.com", "permerror"},
        {"v=spf1 redirect=none.example.com", "permerror"},
        {"v=spf1 redirect=txt.example.com", "permerror"},
        {"v=spf1 redirect=x..example.com", "permerror"},
        {"v=spf1 redirect=broken.example.com", "temperror"},
        {"v=spf1 redirect=two.example.com", "permerror"},
        {"v=spf1 redirect=round.example.com", "permerror"},
        {"v=spf1 redirect=%{d2}", "permerror"},
        {"v=spf1 redirect=pass -all", "permerror"},
    };
    (void)state;
    EXPECT_ROWS("192.0.2.1", rows);
}

/* The lines of a zone that make d0.example.com include d1, and so on; the last has the given record. */
static void chain(char *zone, size_t size, const char *term, int length, const char *last)
{
    zone[0] = '\0';
    for (int i = 0; i < length; i++)
        snprintf(zone + strlen(zone), size - strlen(zone),
                 "d%d.example.com TXT v=spf1 %sd%d.example.com\n", i, term, i + 1);
    snprintf(zone + strlen(zone), size - strlen(zone), "d%d.example.com TXT %s\n", length, last);
}

static void test_ten_terms_ask_the_dns(void **state)
{
    static char zone[4096];
    (void)state;
    assert_true(result_is("192.0.2.99",
                          "v=spf1 a a a a mx mx exists:host.example.com/x.example.com "
                          "ptr:example.org a a ip4:10.0.0.1 ip6:::1 -all",
                          "", "fail"));
    assert_true(result_is("192.0.2.99", "v=spf1 a a a a a a a a a a a -all", "", "permerror"));
    assert_true(result_is("192.0.2.99", "v=spf1 a a a a a a a a a a redirect=pass.example.com", "",
                          "permerror"));
    /* nothing behind a match counts */
    assert_true(result_is("192.0.2.1", "v=spf1 a mx mx mx mx mx mx mx mx mx mx mx", "", "pass"));
    chain(zone, sizeof zone, "include:", 9, "v=spf1 +all");
    assert_true(result_is("192.0.2.1", "v=spf1 include:d0.example.com -all", zone, "pass"));
    chain(zone, sizeof zone, "include:", 10, "v=spf1 +all");
    assert_true(result_is("192.0.2.1", "v=spf1 include:d0.example.com -all", zone, "permerror"));
    chain(zone, sizeof zone, "redirect=", 9, "v=spf1 +all");
    assert_true(result_is("192.0.2.1", "v=spf1 redirect=d0.example.com", zone, "pass"));
    chain(zone, sizeof zone, "redirect=", 10, "v=spf1 +all");
    assert_true(result_is("192.0.2.1", "v=spf1 redirect=d0.example.com", zone, "permerror"));
    /* terms of all records count together */
    chain(zone, sizeof zone, "a:%{o} mx:%{o} include:", 3, "v=spf1 -all");
    assert_true(result_is("192.0.2.99", "v=spf1 include:d0.example.com -all", zone, "fail"));
    chain(zone, sizeof zone, "a:%{o} mx:%{o} include:", 3, "v=spf1 a:%{o} -all");
    assert_true(result_is("192.0.2.99", "v=spf1 include:d0.example.com -all", zone, "permerror"));
}

static void test_two_questions_may_be_void(void **state)
{
    static const struct row rows[] = {
        {"v=spf1 a:n1.example.com a:n2.example.com -all", "fail"},
        {"v=spf1 a:n1.example.com a:n2.example.com a:n3.example.com -all", "permerror"},
        {"v=spf1 a:n1.example.com mx:n2.example.com exists:n3.example.com -all", "permerror"},
        /* a name without such records is void, too; names that cannot be are not asked for */
        {"v=spf1 mx:host.example.com a:txt.example.com a:n1.example.com -all", "permerror"},
        {"v=spf1 a:a..b.example.com a:a..c.example.com a:a..d.example.com -all", "fail"},
        {"v=spf1 a:n1.example.com a:n2.example.com mx:nullmx.example.com -all", "fail"},
    };
    (void)state;
    EXPECT_ROWS("192.0.2.1", rows);
    assert_true(result_is("192.0.2.7", "v=spf1 a:n1.example.com a:n2.example.com ptr -all", "",
                          "permerror"));
    assert_true(result_is("192.0.2.7", "v=spf1 ptr ptr ptr ptr -all", "", "fail"));
    assert_true(result_is("192.0.2.7",
                          "v=spf1 a:n1.example.com a:n2.example.com a:%{p}.example.com -all", "",
                          "permerror"));
    /* the client's own zone cannot make a fail a permerror */
    assert_true(result_is("192.0.2.7", "v=spf1 ptr -all",
                          "7.2.0.192.in-addr.arpa PTR n1.example.com\n"
                          "7.2.0.192.in-addr.arpa PTR n2.example.com\n"
                          "7.2.0.192.in-addr.arpa PTR n3.example.com\n",
                          "fail"));
}

static void test_the_limit_of_void_questions_is_a_setting(void **state)
{
    (void)state;
    struct setting s = {.ip = "192.0.2.1",
                        .helo = "h.test",
                        .from = "a@b.test",
                        .zone = "b.test TXT v=spf1 a:n1.test a:n2.test a:n3.test -all\n",
                        .void_limit = 3};
    struct run r;
    run_setting(&s, &r);
    assert_int_equal(r.v.result, SPF_FAIL);
    assert_int_equal(r.v.voids, 3);
    assert_int_equal(r.v.terms, 3);
    end_run(&r);
}

static void test_a_question_that_is_not_left_is_a_temperror(void **state)
{
    struct setting s = {.ip = "192.0.2.1",
                        .helo = "h.test",
                        .from = "a@b.test",
                        .zone = "b.test TXT v=spf1 a:n1.test a:n2.test -all\n",
                        .questions = 2};
    struct run r;
    (void)state;
    run_setting(&s, &r);
    assert_int_equal(r.v.result, SPF_TEMPERROR);
    assert_int_equal(r.zone.asked, 2);
    end_run(&r);
}

static void test_macros_that_are_wrong(void **state)
{
    static const struct row rows[] = {
        {"v=spf1 exists:%(ir).%{d} -all", "permerror"},
        {"v=spf1 exists:%{ir.%{d} -all", "permerror"},
        {"v=spf1 exists:%{}.%{d} -all", "permerror"},
        {"v=spf1 exists:%{d0} -all", "permerror"},
        {"v=spf1 exists:%{d00} -all", "permerror"},
        {"v=spf1 exists:%{dr2} -all", "permerror"},
        {"v=spf1 exists:%{d!} -all", "permerror"},
        {"v=spf1 exists:%{d. } -all", "permerror"},
        {"v=spf1 exists:%{b}.%{d} -all", "permerror"},
        {"v=spf1 exists:%{d -all", "permerror"},
        {"v=spf1 exists:% -all", "permerror"},
        {"v=spf1 exists:%x.example.com -all", "permerror"},
        /* c, r and t are for explanations */
        {"v=spf1 exists:%{c}.example.com -all", "permerror"},
        {"v=spf1 exists:%{r}.example.com -all", "permerror"},
        {"v=spf1 exists:%{T}.example.com -all", "permerror"},
        {"v=spf1 exp=%{t}.example.com -all", "permerror"},
    };
    (void)state;
    EXPECT_ROWS("192.0.2.1", rows);
}

struct deep_zone {
    struct fake_zone zone;
    const char *start, *deepest;
};

static void answer_deeply(void *context, struct arena *arena, const char *name, enum ask_type type,
                          struct ask_answer *out)
{
    struct deep_zone *deep = context;
    const char *here = __builtin_frame_address(0);
    deep->deepest = here < deep->deepest ? here : deep->deepest;
    fake_answer(&deep->zone, arena, name, type, out);
}

static void test_the_deepest_records_fit_a_task(void **state)
{
    static char zone[4096];
    struct deep_zone deep = {.zone = {.text = zone}, .start = __builtin_frame_address(0)};
    struct arena arena = arena_make(SPF_ARENA_OCTETS + 16384);
    struct asker asker = {
        .answer = answer_deeply, .context = &deep, .arena = &arena, .left = QUESTIONS};
    struct spf_question q = {
        .mail_from = STR("a@d0.example.com"), .helo = STR("h.test"), .void_limit = SPF_VOID_LIMIT};
    struct spf_verdict v;
    (void)state;
    chain(zone, sizeof zone, "include:", 9, "v=spf1 mx:m.example.com -all");
    strcat(zone, "m.example.com MX 10 h.example.com\nh.example.com A 192.0.2.1\n");
    deep.deepest = deep.start;
    assert_true(ip_parse(STR("192.0.2.1"), &q.ip));
    spf_check(&q, &asker, &v);
    assert_int_equal(v.result, SPF_PASS);
    assert_int_equal(v.terms, 10);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    assert_true(deep.start - deep.deepest < 12 * 1024);
#endif
    arena_free(&arena);
}

/* Every reason, mechanism and name as long as it can be. */
static void test_a_check_keeps_to_its_memory(void **state)
{
    static char zone[8192];
    static struct fake_zone fake = {.text = zone};
    char label[64], from[700], helo[700];
    struct arena arena = arena_make(SPF_ARENA_OCTETS + 16384);
    struct asker asker = {
        .answer = fake_answer, .context = &fake, .arena = &arena, .left = QUESTIONS};
    struct spf_verdict v;
    (void)state;
    memset(label, 'x', 60);
    label[60] = '\0';
    snprintf(zone, sizeof zone, "%s.%s.%s.example.com TXT v=spf1 include:%s.%s.%s.example.com\n",
             label, label, label, label, label, label);
    snprintf(from, sizeof from, "%s.%s.%s.%s.%s@%s.%s.%s.example.com", label, label, label, label,
             label, label, label, label);
    snprintf(helo, sizeof helo, "%s.%s.%s.%s.%s.%s.%s.%s.%s", label, label, label, label, label,
             label, label, label, label);
    struct spf_question q = {
        .mail_from = str_from(from), .helo = str_from(helo), .void_limit = SPF_VOID_LIMIT};
    assert_true(ip_parse(STR("2001:db8::1"), &q.ip));
    spf_check(&q, &asker, &v);
    assert_int_equal(v.result, SPF_PERMERROR);
    assert_int_equal(v.terms, 11);
    assert_true(v.reason.n <= SPF_REASON_MAX && v.mechanism.n <= SPF_MECHANISM_MAX);
    assert_true(arena.total <= SPF_ARENA_OCTETS + 16384);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_octets_that_no_term_has),
        cmocka_unit_test(test_addresses_of_ipv4),
        cmocka_unit_test(test_addresses_of_ipv6),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_mail_hosts_are_ten_at_most),
        cmocka_unit_test(test_names_of_the_client),
        cmocka_unit_test(test_the_eleventh_name_is_ignored),
        cmocka_unit_test(test_other_records),
        cmocka_unit_test(test_ten_terms_ask_the_dns),
        cmocka_unit_test(test_two_questions_may_be_void),
        cmocka_unit_test(test_the_limit_of_void_questions_is_a_setting),
        cmocka_unit_test(test_a_question_that_is_not_left_is_a_temperror),
        cmocka_unit_test(test_macros_that_are_wrong),
        cmocka_unit_test(test_the_deepest_records_fit_a_task),
        cmocka_unit_test(test_a_check_keeps_to_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
