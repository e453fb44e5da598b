/* SPDX-License-Identifier: ISC */
/* The days on which genuine mail came from a network (serve/greylist_book.h). */
#include "serve/greylist_book.h"

#include "mail_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "os/file.h"

static const int64_t day_ms = INT64_C(24) * 60 * 60 * 1000, start_ms = INT64_C(1700000000000);

static const struct policy_rules rules = {
    .greylist = {.delay_ms = 1000, .window_ms = 10000, .lifetime_ms = INT64_C(36) * 86400000},
    .greylist_size = 200};

static struct ip_address ip_of(const char *text)
{
    struct ip_address ip;
    assert_true(ip_parse(str_from(text), &ip));
    return ip;
}

static int64_t days_of(struct greylist_book *b, const char *ip, struct str author, int64_t now_ms)
{
    int64_t found = -1;
    struct ip_address address = ip_of(ip);
    assert_false(greylist_book_days(b, &rules, &address, author, now_ms, &found).kind);
    return found;
}

static int64_t days(struct greylist_book *b, const char *ip, int64_t now_ms)
{
    return days_of(b, ip, STR("a.test"), now_ms);
}

static void praise(struct greylist_book *b, const char *ip, int64_t now_ms)
{
    struct ip_address address = ip_of(ip);
    assert_false(greylist_book_praise(b, &rules, &address, STR("a.test"), now_ms).kind);
    assert_true(greylist_book_has_praised(b, &address, STR("a.test"), now_ms));
    assert_false(greylist_book_has_praised(b, &address, STR("a.test"), now_ms + day_ms));
    assert_false(greylist_book_has_praised(b, &address, STR("b.test"), now_ms));
}

static struct greylist_book *open_book(const char *path, bool is_read_only)
{
    struct greylist_book *b;
    assert_false(greylist_book_open(path, is_read_only, &b).kind);
    return b;
}

static void test_days_of_a_network(void **state)
{
    const char *path = *state;
    struct greylist_book *b = open_book(path, false);
    for (int k = 0; k < 100; k++)
        praise(b, "192.0.2.7", start_ms + k);
    assert_int_equal(days(b, "192.0.2.200", start_ms), 1); /* a flood is one day */
    assert_int_equal(days(b, "192.0.3.7", start_ms), 0);
    praise(b, "192.0.2.8", start_ms + day_ms);
    praise(b, "2001:db8::1", start_ms);
    greylist_book_close(b);
    b = open_book(path, true);
    assert_int_equal(days(b, "192.0.2.7", start_ms + day_ms), 2);
    assert_int_equal(days(b, "2001:db8::ffff", start_ms), 1);
    assert_int_equal(days(b, "2001:db8:0:1::1", start_ms), 0);
    assert_int_equal(days(b, "192.0.2.7", start_ms + 38 * day_ms), 0); /* forgotten */
    greylist_book_close(b);
}

/* An attacker's own mail, however genuine, makes his network known for nobody else. */
static void test_history_is_of_a_domain(void **state)
{
    const char *path = *state;
    struct greylist_book *b = open_book(path, false);
    for (int k = 0; k < 9; k++)
        praise(b, "203.0.113.7", start_ms + k * day_ms);
    assert_int_equal(days(b, "203.0.113.7", start_ms + 9 * day_ms), 9);
    assert_int_equal(days_of(b, "203.0.113.7", STR("b.test"), start_ms + 9 * day_ms), 0);
    assert_int_equal(days_of(b, "203.0.113.7", STR("x.a.test"), start_ms + 9 * day_ms), 0);
    assert_int_equal(days_of(b, "203.0.113.7", STR_NONE, start_ms + 9 * day_ms), 0);
    greylist_book_close(b);
}

/* Greylisting and history have rows of their own. */
static void test_passing_the_greylist_is_no_history(void **state)
{
    const char *path = *state;
    struct greylist_book *b = open_book(path, false);
    struct greylist_verdict v;
    struct greylist_try t = {ip_of("198.51.100.1"), STR("a@a.test"), STR("b@b.test"), start_ms};
    assert_false(greylist_book_try(b, &rules, &t, &v).kind);
    t.now_ms += 2000;
    assert_false(greylist_book_try(b, &rules, &t, &v).kind);
    assert_true(v.may_pass);
    assert_int_equal(days(b, "198.51.100.1", t.now_ms), 0);
    greylist_book_close(b);
}

/* Those that were seen longest ago make room. */
static void test_it_is_bounded(void **state)
{
    const char *path = *state;
    struct greylist_book *b = open_book(path, false);
    char text[32];
    int64_t kept = 0;
    for (int k = 0; k < 1000; k++) {
        snprintf(text, sizeof text, "10.%d.%d.1", k / 200, k % 200);
        praise(b, text, start_ms + k);
    }
    for (int k = 0; k < 1000; k++) {
        snprintf(text, sizeof text, "10.%d.%d.1", k / 200, k % 200);
        kept += days(b, text, start_ms + 1000);
    }
    assert_in_range(kept, 1, rules.greylist_size);
    assert_int_equal(days(b, text, start_ms + 1000), 1);
    greylist_book_close(b);
}

static int make_path(void **state)
{
    static char folder[] = "/tmp/eb-greylist-XXXXXX", path[64];
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/book", folder);
    *state = path;
    return 0;
}

static int remove_path(void **state)
{
    char *path = *state;
    *strrchr(path, '/') = '\0';
    return file_remove_tree(path).kind != FAULT_FINE;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days_of_a_network),
        cmocka_unit_test(test_history_is_of_a_domain),
        cmocka_unit_test(test_passing_the_greylist_is_no_history),
        cmocka_unit_test(test_it_is_bounded),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
