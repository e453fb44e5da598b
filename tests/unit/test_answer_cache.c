/* SPDX-License-Identifier: ISC */
/* Answers of the DNS that are kept: how long, how much, and for which question. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "net/answer_cache.h"

enum { LIMIT = 64 << 10 };

static void put(struct answer_cache *c, const char *name, struct str record, uint32_t ttl_s)
{
    struct str data[] = {record, STR("second")};
    struct resolver_answer a = {
        .status = RESOLVER_FOUND, .is_secure = true, .ttl_s = ttl_s, .data = data, .count = 2};
    answer_cache_put(c, name, RESOLVER_TXT, 1000, &a);
}

/* The first record that is known at that time; "-" for none. */
static const char *get(struct answer_cache *c, const char *name, uint16_t type, int64_t now_ms)
{
    static char text[256];
    struct arena arena = arena_make(1 << 20);
    struct resolver_answer a;
    snprintf(text, sizeof text, "-");
    if (answer_cache_get(c, &arena, name, type, now_ms, &a)) {
        assert_int_equal(a.count, 2);
        assert_true(a.is_secure && a.status == RESOLVER_FOUND);
        assert_true(str_equal(a.data[1], STR("second")));
        snprintf(text, sizeof text, "%u %.*s", a.ttl_s, (int)a.data[0].n, a.data[0].p);
    }
    arena_free(&arena);
    return text;
}

static void test_an_answer_is_good_for_its_time(void **state)
{
    (void)state;
    struct answer_cache *c = answer_cache_make(LIMIT);
    assert_string_equal(get(c, "a.example", RESOLVER_TXT, 1000), "-");
    put(c, "a.example", STR("one"), 60);
    assert_string_equal(get(c, "A.Example", RESOLVER_TXT, 1000), "60 one");
    assert_string_equal(get(c, "a.example", RESOLVER_TXT, 31500), "29 one");
    assert_string_equal(get(c, "a.example", RESOLVER_A, 1000), "-");
    assert_string_equal(get(c, "b.example", RESOLVER_TXT, 1000), "-");
    put(c, "a.example", STR("two"), 10);
    assert_string_equal(get(c, "a.example", RESOLVER_TXT, 10999), "0 two");
    assert_string_equal(get(c, "a.example", RESOLVER_TXT, 11000), "-");
    put(c, "long.example", STR("x"), 1000000);
    assert_string_equal(get(c, "long.example", RESOLVER_TXT, 1000), "3600 x");
    put(c, "zero.example", STR("x"), 0);
    assert_string_equal(get(c, "zero.example", RESOLVER_TXT, 1000), "-");
    answer_cache_free(c);
}

static void test_what_is_used_least_goes_first(void **state)
{
    (void)state;
    static char big[2000];
    struct answer_cache *c = answer_cache_make(LIMIT);
    char name[32];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "n%d.example", i);
        put(c, name, str_make(big, sizeof big), 60);
        assert_string_not_equal(get(c, "n0.example", RESOLVER_TXT, 1000), "-");
    }
    int known = 0;
    for (int i = 1; i < 100; i++) {
        snprintf(name, sizeof name, "n%d.example", i);
        bool is_known = get(c, name, RESOLVER_TXT, 1000)[0] != '-';
        assert_true(is_known || known == 0); /* the newest are there, without a gap */
        known += is_known;
    }
    assert_in_range(known, 20, LIMIT / (int)sizeof big);
    answer_cache_free(c);
}

static void test_large_answers_and_long_names_are_not_kept(void **state)
{
    (void)state;
    static char big[LIMIT / 16], name[300];
    struct answer_cache *c = answer_cache_make(LIMIT);
    put(c, "a.example", str_make(big, sizeof big), 60);
    assert_string_equal(get(c, "a.example", RESOLVER_TXT, 1000), "-");
    memset(name, 'n', ANSWER_CACHE_NAME_MAX);
    put(c, name, STR("x"), 60);
    assert_string_equal(get(c, name, RESOLVER_TXT, 1000), "60 x");
    name[ANSWER_CACHE_NAME_MAX] = 'n';
    put(c, name, STR("y"), 60);
    assert_string_equal(get(c, name, RESOLVER_TXT, 1000), "-");
    answer_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_is_good_for_its_time),
        cmocka_unit_test(test_what_is_used_least_goes_first),
        cmocka_unit_test(test_large_answers_and_long_names_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
