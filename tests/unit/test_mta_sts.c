/* SPDX-License-Identifier: ISC */
/* MTA-STS records and policies (RFC 8461 section 3), which addresses may be asked for them, and TLSA records (RFC 7672 section 3). */
#include "check/mta_sts.h"

#include "mail_test.h"

#include "net/fetch.h"
#include "proto/dns.h"

static const struct {
    const char *text;
    enum mta_sts_record found;
    const char *id;
} records[] = {
    {"v=STSv1; id=20160831085700Z;", MTA_STS_GOOD, "20160831085700Z"},
    {"v=STSv1;id=a", MTA_STS_GOOD, "a"},
    {"v=STSv1 ;\tid=a ; x.y-z_1=v ;", MTA_STS_GOOD, "a"},
    {"v=STSv1; id=12345678901234567890123456789012", MTA_STS_GOOD,
     "12345678901234567890123456789012"},
    {"v=STSv1; id=123456789012345678901234567890123", MTA_STS_BROKEN, ""},
    {"v=STSv1; id=a-b", MTA_STS_BROKEN, ""},
    {"v=STSv1; id=", MTA_STS_BROKEN, ""},
    {"v=STSv1; id=a; id=b", MTA_STS_BROKEN, "a"},
    {"v=STSv1;", MTA_STS_BROKEN, ""},
    {"v=STSv1", MTA_STS_BROKEN, ""},
    {"v=STSv1; ; id=a", MTA_STS_BROKEN, ""},
    {"v=STSv10; id=a", MTA_STS_ABSENT, ""},
    {"V=STSv1; id=a", MTA_STS_ABSENT, ""},
    {" v=STSv1; id=a", MTA_STS_ABSENT, ""},
    {" v=STSv1", MTA_STS_ABSENT, ""},
    {"id=a; v=STSv1", MTA_STS_ABSENT, ""},
    {"v=spf1 -all", MTA_STS_ABSENT, ""},
    {"", MTA_STS_ABSENT, ""},
};

static void test_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct str id;
        enum mta_sts_record found = mta_sts_record_parse(str_from(records[i].text), &id);
        if (found != records[i].found ||
            (found == MTA_STS_GOOD && !str_equal(id, str_from(records[i].id))))
            fail_msg("\"%s\" is %d with id \"" STR_FMT "\"", records[i].text, found, STR_ARG(id));
    }
}

#define HEAD "version: STSv1\nmode: enforce\nmx: a.example\n"

static const struct {
    const char *text;
    const char *reason; /* NULL: it is a policy */
    int64_t max_age_s;
} policies[] = {
    {HEAD "max_age: 604800\n", NULL, 604800},
    {"max_age: 5\r\nmx: a.example\r\nmode: enforce\r\nversion: STSv1", NULL, 5},
    {"version:STSv1\nmode:\tenforce \nmx:a.example\nmax_age:  0\n\n", NULL, 0},
    {HEAD "max_age: 31557600\n", NULL, 31557600},
    {HEAD "max_age: 31557601\n", NULL, 31557600},
    {HEAD "max_age: 9999999999\n", NULL, 31557600},
    {HEAD "max_age: 1\nmax_age: 2\nmode: none\nversion: STSv2\nnew-field.1: x\n", NULL, 1},
    {"version: STSv1\nmode: none\nmax_age: 1\n", NULL, 1},
    {HEAD "max_age: 99999999999\n", "its max_age is no number of seconds", 0},
    {HEAD "max_age: -1\n", "its max_age is no number of seconds", 0},
    {HEAD, "it has no max_age", 0},
    {"version: STSv1\nmode: testing\nmax_age: 1\n", "it has no mx", 0},
    {"version: STSv1\nmx: a.example\nmax_age: 1\n", "it has no mode", 0},
    {"mode: none\nmax_age: 1\n", "it has no version", 0},
    {"version: STSv2\nmode: none\nmax_age: 1\n", "its version is not STSv1", 0},
    {"version: STSv1\nmode: Enforce\nmax_age: 1\n", "its mode is none of enforce, testing and none",
     0},
    {HEAD "mx: *.*.example\nmax_age: 1\n", "an mx of it is no host name", 0},
    {HEAD "mx: m*.example\nmax_age: 1\n", "an mx of it is no host name", 0},
    {HEAD "mx:\nmax_age: 1\n", "an mx of it is no host name", 0},
    {HEAD "max_age: 1\n<html>\n", "a line of it is no field", 0},
    {"", "it has no version", 0},
};

static void test_policies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        struct arena a = arena_make(1 << 20);
        struct mta_sts_policy p;
        const char *reason;
        bool is_good = mta_sts_policy_parse(str_from(policies[i].text), &a, &p, &reason);
        if (is_good != !policies[i].reason ||
            (is_good ? p.max_age_s != policies[i].max_age_s : !!strcmp(reason, policies[i].reason)))
            fail_msg("row %zu: %s, max_age %lld", i, is_good ? "good" : reason,
                     (long long)p.max_age_s);
        arena_free(&a);
    }
}

static void test_a_policy_has_bounds(void **state)
{
    (void)state;
    struct arena a = arena_make(1 << 20);
    struct buf text = buf_make(1 << 20);
    struct mta_sts_policy p;
    const char *reason;
    buf_append(&text, STR(HEAD "max_age: 1\n"));
    for (int i = 1; i < MTA_STS_MX_MAX; i++)
        buf_append(&text, STR("mx: b.example\n"));
    assert_true(mta_sts_policy_parse(buf_str(&text), &a, &p, &reason));
    buf_append(&text, STR("mx: b.example\n"));
    assert_false(mta_sts_policy_parse(buf_str(&text), &a, &p, &reason));
    text.used = 0;
    buf_append(&text, STR(HEAD "max_age: 1\n"));
    while (text.used < MTA_STS_POLICY_MAX)
        buf_append_byte(&text, '\n');
    assert_true(mta_sts_policy_parse(buf_str(&text), &a, &p, &reason));
    buf_append_byte(&text, '\n');
    assert_false(mta_sts_policy_parse(buf_str(&text), &a, &p, &reason));
    buf_free(&text);
    arena_free(&a);
}

static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *host;
        bool has;
    } rows[] = {
        {"mx.example.com", "MX.Example.COM", true},
        {"mx.example.com", "a.mx.example.com", false},
        {"*.example.com", "mx.example.com", true},
        {"*.example.com", "example.com", false},
        {"*.example.com", "a.mx.example.com", false},
        {"*.example.com", ".example.com", false},
        {"*.com", "example.com", true},
        {"mx.example.com", "mx.example.co", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str pattern = str_from(rows[i].pattern);
        const struct mta_sts_policy p = {.mx = &pattern, .mx_count = 1};
        if (mta_sts_policy_has(&p, str_from(rows[i].host)) != rows[i].has)
            fail_msg("%s and %s", rows[i].pattern, rows[i].host);
    }
}

static void test_only_public_addresses_are_asked(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        bool is_public;
    } rows[] = {
        {"8.8.8.8", true},
        {"2a00:1450::1", true},
        {"127.0.0.1", false},
        {"10.1.2.3", false},
        {"172.31.255.255", false},
        {"172.32.0.1", true},
        {"192.168.0.1", false},
        {"169.254.169.254", false},
        {"100.64.0.1", false},
        {"0.0.0.0", false},
        {"224.0.0.1", false},
        {"255.255.255.255", false},
        {"::1", false},
        {"::", false},
        {"::ffff:127.0.0.1", false},
        {"::127.0.0.1", false},
        {"64:ff9b::7f00:1", false},
        {"fe80::1", false},
        {"fec0::1", false},
        {"fd00::1", false},
        {"ff02::1", false},
        {"2002:7f00:1::1", false},
        {"2001:db8::1", false},
        {"192.0.2.1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ip_address ip;
        assert_true(ip_parse(str_from(rows[i].ip), &ip));
        if (fetch_is_public(&ip) != rows[i].is_public)
            fail_msg("%s", rows[i].ip);
    }
}

static void test_tlsa_records(void **state)
{
    (void)state;
    static const char digest[64] = {1};
    static const struct {
        const char *head; /* usage, selector, matching */
        size_t size;
        bool is_read, is_usable;
    } rows[] = {
        {"\3\1\1", 32, true, true},  {"\2\0\1", 32, true, true},  {"\3\1\2", 64, true, true},
        {"\3\1\0", 60, true, true},  {"\3\1\1", 31, true, false}, {"\3\1\1", 33, true, false},
        {"\3\1\2", 32, true, false}, {"\0\0\1", 32, true, false}, {"\1\1\1", 32, true, false},
        {"\4\1\1", 32, true, false}, {"\3\2\1", 32, true, false}, {"\3\1\3", 32, true, false},
        {"\3\1\1", 0, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char data[3 + 64];
        struct dns_tlsa t;
        memcpy(data, rows[i].head, 3);
        memcpy(data + 3, digest, rows[i].size);
        bool is_read = dns_tlsa_read(str_make(data, 3 + rows[i].size), &t);
        if (is_read != rows[i].is_read || (is_read && dns_tlsa_is_usable(&t) != rows[i].is_usable))
            fail_msg("row %zu", i);
    }
    assert_false(dns_tlsa_read(STR("\3\1"), &(struct dns_tlsa){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_a_policy_has_bounds),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_only_public_addresses_are_asked),
        cmocka_unit_test(test_tlsa_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
