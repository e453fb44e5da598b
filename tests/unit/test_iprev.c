/* SPDX-License-Identifier: ISC */
/* The confirmed name of a client (RFC 8601 sections 2.7.3 and 3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "check/iprev.h"
#include "fake_zone.h"

static void expect(const char *ip, const char *text, const char *result, const char *name)
{
    struct fake_zone zone = {.text = text};
    struct arena arena = arena_make(1 << 20);
    struct asker asker = {.answer = fake_answer, .context = &zone, .arena = &arena, .left = 40};
    struct ip_address address;
    struct iprev_verdict v;
    assert_true(ip_parse(str_from(ip), &address));
    iprev_check(&address, &asker, &v);
    assert_string_equal(iprev_result_name(v.result), result);
    assert_true(str_equal(v.name, str_from(name)));
    assert_true(v.reason.n > 0);
    assert_true(zone.asked <= 1 + IPREV_NAMES_MAX);
    arena_free(&arena);
}

static void test_a_name_that_has_the_address_is_confirmed(void **state)
{
    (void)state;
    expect("192.0.2.7",
           "7.2.0.192.in-addr.arpa PTR a.test\n7.2.0.192.in-addr.arpa PTR b.test\n"
           "a.test A 192.0.2.8\nb.test A 192.0.2.6\nb.test A 192.0.2.7\n",
           "pass", "b.test");
    expect("2001:db8::7",
           "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR a.test\n"
           "a.test AAAA 2001:db8::7\n",
           "pass", "a.test");
    expect("::ffff:192.0.2.7", "7.2.0.192.in-addr.arpa PTR a.test\na.test A 192.0.2.7\n", "pass",
           "a.test");
    expect("192.0.2.7",
           "7.2.0.192.in-addr.arpa PTR a.test\n7.2.0.192.in-addr.arpa PTR b.test\n"
           "a.test FAIL\nb.test A 192.0.2.7\n",
           "pass", "b.test");
}

static void test_names_without_it_fail(void **state)
{
    (void)state;
    expect("192.0.2.7", "7.2.0.192.in-addr.arpa PTR a.test\na.test A 192.0.2.8\n", "fail", "");
    /* IPv6 addresses confirm nothing about an IPv4 one */
    expect("192.0.2.7", "7.2.0.192.in-addr.arpa PTR a.test\na.test AAAA ::ffff:192.0.2.7\n",
           "permerror", "");
}

/* The DNS has them, and their owner vouches for them. */
static void test_names_that_are_no_hosts_are_not_confirmed(void **state)
{
    static const char *const rows[] = {
        "a(bank.test);x.evil.test", "a\"b.evil.test", "-a.evil.test", "a..evil.test", "192.0.2.7",
        "b\xc3\xbc.evil.test"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char zone[300];
        snprintf(zone, sizeof zone,
                 "7.2.0.192.in-addr.arpa PTR %s\n%s A 192.0.2.7\n"
                 "7.2.0.192.in-addr.arpa PTR good_1.test\ngood_1.test A 192.0.2.%d\n",
                 rows[i], rows[i], i % 2 ? 7 : 8);
        expect("192.0.2.7", zone, i % 2 ? "pass" : "fail", i % 2 ? "good_1.test" : "");
    }
}

static void test_what_is_missing_is_a_permerror(void **state)
{
    (void)state;
    expect("192.0.2.7", "", "permerror", "");
    expect("192.0.2.7", "7.2.0.192.in-addr.arpa TXT x\n", "permerror", "");
    expect("192.0.2.7", "7.2.0.192.in-addr.arpa PTR a.test\n", "permerror", "");
    expect("192.0.2.7", "7.2.0.192.in-addr.arpa PTR a..test\n", "permerror", "");
}

static void test_a_dns_that_fails_is_a_temperror(void **state)
{
    (void)state;
    expect("192.0.2.7", "7.2.0.192.in-addr.arpa FAIL\n", "temperror", "");
    expect("192.0.2.7",
           "7.2.0.192.in-addr.arpa PTR a.test\n7.2.0.192.in-addr.arpa PTR b.test\n"
           "a.test FAIL\nb.test A 192.0.2.8\n",
           "temperror", "");
}

static void test_the_eleventh_name_is_not_asked_about(void **state)
{
    char zone[2048] = "";
    (void)state;
    for (int i = 0; i < 11; i++)
        snprintf(zone + strlen(zone), sizeof zone - strlen(zone),
                 "7.2.0.192.in-addr.arpa PTR h%d.test\nh%d.test A 192.0.2.%d\n", i, i,
                 i < 10 ? 8 : 7);
    expect("192.0.2.7", zone, "fail", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_that_has_the_address_is_confirmed),
        cmocka_unit_test(test_names_without_it_fail),
        cmocka_unit_test(test_names_that_are_no_hosts_are_not_confirmed),
        cmocka_unit_test(test_what_is_missing_is_a_permerror),
        cmocka_unit_test(test_a_dns_that_fails_is_a_temperror),
        cmocka_unit_test(test_the_eleventh_name_is_not_asked_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
