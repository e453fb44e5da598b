/* SPDX-License-Identifier: ISC */
/*
 * test_base.c - slices, buffers, numbers, encodings, the calendar and the containers
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/encode.h"
#include "base/fault.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/num.h"
#include "base/time.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_str(struct str got, const char *expected)
{
    assert_int_equal(got.n, strlen(expected));
    if (got.n > 0)
        assert_memory_equal(got.p, expected, got.n);
}

static void test_str_cut_and_trim(void **state)
{
    (void)state;
    struct str head, rest;
    assert_true(str_cut(STR("a=b=c"), '=', &head, &rest));
    assert_str(head, "a");
    assert_str(rest, "b=c");
    assert_false(str_cut(STR("abc"), '=', &head, &rest));
    assert_str(head, "abc");
    assert_str(rest, "");
    assert_str(str_trim(STR(" \t x y\r\n")), "x y");
    rest = STR("  MAIL  FROM:<>");
    assert_str(str_word(&rest), "MAIL");
    assert_str(str_word(&rest), "FROM:<>");
    assert_str(str_word(&rest), "");
}

static void test_str_find(void **state)
{
    (void)state;
    assert_int_equal(str_find(STR("aaab"), STR("ab")), 2);
    assert_int_equal(str_find(STR("aaab"), STR("ba")), 4);
    assert_int_equal(str_find(STR("ab"), STR("abc")), 2);
    assert_true(str_ends_nocase(STR("x.EXAMPLE"), STR(".example")));
    assert_true(str_has_8bit(STR("0123456789\xC3\xA9")));
    assert_false(str_has_8bit(STR("0123456789abcdef")));
}

static void test_buf_never_passes_its_limit(void **state)
{
    (void)state;
    struct buf b = buf_make(600);
    for (int i = 0; i < 60; i++)
        assert_true(buf_append(&b, STR("0123456789")));
    assert_false(buf_append_byte(&b, 'x'));
    assert_int_equal(b.used, 600);
    buf_consume(&b, 595);
    assert_str(buf_str(&b), "56789");
    buf_free(&b);
    b = buf_make(8);
    assert_false(buf_printf(&b, "%d", 123456789));
    assert_int_equal(b.used, 0);
    buf_free(&b);
}

static void test_numbers_have_a_maximum(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_true(num_parse(STR("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_false(num_parse(STR("18446744073709551616"), UINT64_MAX, &value));
    assert_false(num_parse(STR("11"), 10, &value));
    assert_false(num_parse(STR("+1"), 10, &value));
    assert_false(num_parse(STR(""), 10, &value));
    assert_true(num_parse_size(STR("50MiB"), UINT64_MAX, &value));
    assert_int_equal(value, 50 << 20);
    assert_false(num_parse_size(STR("50 apples"), UINT64_MAX, &value));
    assert_true(num_parse_duration(STR("1h30m"), UINT64_MAX, &value));
    assert_int_equal(value, 5400000);
    assert_true(num_parse_duration(STR("250ms"), UINT64_MAX, &value));
    assert_int_equal(value, 250);
    assert_false(num_parse_duration(STR("5d"), 1000, &value));
    char digits[NUM_DECIMAL_MAX];
    assert_str(num_format(INT64_MIN, digits), "-9223372036854775808");
    assert_str(num_format(0, digits), "0");
}

struct encoding_row {
    bool (*encode)(struct buf *, struct str);
    bool (*decode)(struct buf *, struct str);
    const char *plain, *coded;
};

static void test_encodings_round_trip(void **state)
{
    (void)state;
    static const struct encoding_row rows[] = {
        {encode_base64, decode_base64, "", ""},
        {encode_base64, decode_base64, "f", "Zg=="},
        {encode_base64, decode_base64, "fo", "Zm8="},
        {encode_base64, decode_base64, "foobar", "Zm9vYmFy"},
        {encode_hex, decode_hex, "\x01\xFE", "01fe"},
        {encode_xtext, decode_xtext, "a+b=c d", "a+2Bb+3Dc+20d"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = buf_make(100);
        assert_true(rows[i].encode(&b, str_from(rows[i].plain)));
        assert_str(buf_str(&b), rows[i].coded);
        b.used = 0;
        assert_true(rows[i].decode(&b, str_from(rows[i].coded)));
        assert_str(buf_str(&b), rows[i].plain);
        buf_free(&b);
    }
}

static void test_malformed_encodings_are_refused(void **state)
{
    (void)state;
    static const char *const base64[] = {
        "Zg", "Zg=", "Zh==", "Zm9=", "=Zg=", "Z===", "Zg==Zg==", "Zm 9"};
    struct buf b = buf_make(100);
    for (size_t i = 0; i < sizeof base64 / sizeof base64[0]; i++)
        assert_false(decode_base64(&b, str_from(base64[i])));
    assert_false(decode_xtext(&b, STR("a+2b")));
    assert_false(decode_xtext(&b, STR("a+2")));
    assert_false(decode_xtext(&b, STR("a+G0"))); /* once shifted a negative number */
    assert_false(decode_xtext(&b, STR("a+0G")));
    assert_false(decode_xtext(&b, STR("a=b")));
    assert_false(decode_hex(&b, STR("0g")));
    assert_int_equal(b.used, 0);
    buf_free(&b);
}

static void test_utf8_refuses_what_is_not_a_character(void **state)
{
    (void)state;
    assert_true(utf8_is_valid(STR("gr\xC3\xBC\xC3\x9F \xF0\x9F\x93\xAF")));
    static const char *const bad[] = {
        "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",        "\xF4\x90\x80\x80",
        "\xC3",     "\x80",         "\xF8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(utf8_is_valid(str_from(bad[i])));
}

static void test_calendar(void **state)
{
    (void)state;
    struct time_parts t = time_split(951782400); /* 2000-02-29, a Tuesday */
    assert_int_equal(t.year, 2000);
    assert_int_equal(t.month, 2);
    assert_int_equal(t.day, 29);
    assert_int_equal(t.weekday, 2);
    t = time_split(-1);
    assert_int_equal(t.year, 1969);
    assert_int_equal(t.second, 59);
    assert_int_equal(t.weekday, 3);
    for (int64_t at = -5000000000; at < 9000000000; at += 86399 * 17) {
        t = time_split(at);
        assert_true(time_join(&t) == at);
    }
}

static void test_fault_from_reply(void **state)
{
    (void)state;
    struct fault f = fault_make(451, FAULT_STATUS(4, 3, 0), "try %s\r\n250 later", "again");
    assert_int_equal(f.kind, FAULT_LATER);
    assert_string_equal(f.text, "try again??250 later");
    f = fault_make(550, FAULT_STATUS(5, 1, 1), "%s", "caf\xE9 \xC3\xA9 \xC3");
    assert_string_equal(f.text, "caf? \xC3\xA9 ?");
    struct fault_status status;
    struct str rest;
    assert_true(fault_status_parse(STR("5.1.10 no mail"), &status, &rest));
    assert_int_equal(status.detail, 10);
    assert_str(rest, "no mail");
    assert_false(fault_status_parse(STR("5.1 no"), &status, &rest));
    assert_false(fault_status_parse(STR("3.1.1 no"), &status, &rest));
    assert_false(fault_status_parse(STR("5.1.1000 no"), &status, &rest));
}

static void test_heap_gives_the_smallest_first(void **state)
{
    (void)state;
    struct heap h = {0};
    static struct heap_node nodes[200];
    uint32_t random = 1;
    for (int i = 0; i < 200; i++) {
        random = random * 1103515245 + 12345;
        heap_insert(&h, &nodes[i], random >> 16);
    }
    for (int i = 0; i < 200; i += 3)
        heap_remove(&h, &nodes[i]);
    int64_t last = -1;
    size_t count = 0;
    for (; heap_top(&h); count++) {
        assert_true(heap_top(&h)->key >= last);
        last = heap_top(&h)->key;
        heap_remove(&h, heap_top(&h));
    }
    assert_int_equal(count, 133);
    heap_free(&h);
}

static void test_map_finds_what_was_put_in(void **state)
{
    (void)state;
    struct map m = map_make(1, 2);
    static struct map_node nodes[500];
    static char names[500][8];
    for (int i = 0; i < 500; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        map_insert(&m, &nodes[i], str_from(names[i]));
    }
    for (int i = 0; i < 500; i += 2)
        map_remove(&m, &nodes[i]);
    for (int i = 0; i < 500; i++)
        assert_ptr_equal(map_find(&m, str_from(names[i])), i % 2 ? &nodes[i] : NULL);
    size_t cursor = 0, count = 0;
    for (struct map_node *n = map_walk(&m, &cursor, NULL); n; n = map_walk(&m, &cursor, n))
        count++;
    assert_int_equal(count, 250);
    map_free(&m);
}

static void test_siphash_matches_the_reference(void **state)
{
    (void)state;
    /* SipHash-1-3 of the empty string and of "hello" under a zero key differ and are stable. */
    uint64_t seed[2] = {0, 0};
    assert_true(map_hash(seed, STR("")) == UINT64_C(0xd1fba762150c532c));
}

static void count_call(void *arg)
{
    ++*(int *)arg;
}

static void test_arena_runs_cleanups_and_keeps_its_limit(void **state)
{
    (void)state;
    struct arena a = arena_make(100000);
    int calls = 0;
    arena_defer(&a, count_call, &calls);
    assert_str(arena_copy(&a, STR("abc")), "abc");
    assert_str(arena_printf(&a, "%d-%s", 5, "x"), "5-x");
    assert_null(arena_try(&a, 100001));
    assert_null(arena_try(&a, SIZE_MAX));
    for (int i = 0; i < 1000; i++)
        assert_int_equal((uintptr_t)arena_alloc(&a, 17) % _Alignof(max_align_t), 0);
    arena_free(&a);
    assert_int_equal(calls, 1);
    assert_int_equal(a.total, 0);
}

static void test_list_order_and_removal(void **state)
{
    (void)state;
    struct list l, a, b, c;
    list_init(&l);
    list_init(&a);
    list_push_back(&l, &b);
    list_push_front(&l, &a);
    list_push_back(&l, &c);
    list_remove(&b);
    list_remove(&b);
    assert_ptr_equal(list_pop_front(&l), &a);
    assert_ptr_equal(list_pop_front(&l), &c);
    assert_null(list_pop_front(&l));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str_cut_and_trim),
        cmocka_unit_test(test_str_find),
        cmocka_unit_test(test_buf_never_passes_its_limit),
        cmocka_unit_test(test_numbers_have_a_maximum),
        cmocka_unit_test(test_encodings_round_trip),
        cmocka_unit_test(test_malformed_encodings_are_refused),
        cmocka_unit_test(test_utf8_refuses_what_is_not_a_character),
        cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_fault_from_reply),
        cmocka_unit_test(test_heap_gives_the_smallest_first),
        cmocka_unit_test(test_map_finds_what_was_put_in),
        cmocka_unit_test(test_siphash_matches_the_reference),
        cmocka_unit_test(test_arena_runs_cleanups_and_keeps_its_limit),
        cmocka_unit_test(test_list_order_and_removal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
