/* SPDX-License-Identifier: ISC */
/* Names that the checks ask about, and how often they may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_zone.h"

static struct ask_answer ask_once(const char *name, size_t length, struct fake_zone *zone)
{
    struct arena arena = arena_make(1 << 20);
    struct asker asker = {.answer = fake_answer, .context = zone, .arena = &arena, .left = 1};
    struct ask_answer answer;
    ask(&asker, str_make(name, length), ASK_A, &answer);
    assert_int_equal(asker.left + zone->asked, 1);
    arena_free(&arena);
    return answer;
}

static void expect(const char *name, size_t length, enum ask_status status, const char *log)
{
    struct fake_zone zone = {.text = "host.example A 192.0.2.1\nbroken.example FAIL\n"};
    assert_int_equal(ask_once(name, length, &zone).status, status);
    assert_string_equal(zone.log, log);
}

static void test_names_are_asked_for_in_one_spelling(void **state)
{
    (void)state;
    expect("host.example", 12, ASK_FOUND, "A host.example\n");
    expect("HOST.Example.", 13, ASK_FOUND, "A host.example\n");
    expect("example", 7, ASK_NO_DATA, "A example\n");
    expect("none.example", 12, ASK_NO_NAME, "A none.example\n");
    expect("broken.example", 14, ASK_FAILED, "A broken.example\n");
}

static void test_impossible_names_cost_no_question(void **state)
{
    (void)state;
    char name[256];
    expect("", 0, ASK_NO_NAME, "");
    expect(".", 1, ASK_NO_NAME, "");
    expect("a..example", 10, ASK_NO_NAME, "");
    expect(".example", 8, ASK_NO_NAME, "");
    expect("example..", 9, ASK_NO_NAME, "");
    expect("a b.example", 11, ASK_NO_NAME, "A a b.example\n"); /* SPF's %_ makes such names */
    expect("a\0b.example", 11, ASK_NO_NAME, "");
    expect("a\\.example", 10, ASK_NO_NAME, "");
    expect("m\xc3\xbcller.example", 15, ASK_NO_NAME, "");
    memset(name, 'a', sizeof name);
    for (size_t i = 63; i < sizeof name; i += 64)
        name[i] = '.';
    expect(name, 254, ASK_NO_NAME, "");
    name[63] = 'a';
    expect(name, 100, ASK_NO_NAME, "");
}

static void test_the_longest_names_are_asked_for(void **state)
{
    (void)state;
    struct fake_zone zone = {.text = ""};
    char name[256];
    memset(name, 'a', sizeof name);
    for (size_t i = 63; i < sizeof name; i += 64)
        name[i] = '.';
    assert_int_equal(ask_once(name, 253, &zone).status, ASK_NO_NAME);
    assert_int_equal(zone.asked, 1);
}

static void test_questions_are_counted(void **state)
{
    (void)state;
    struct fake_zone zone = {.text = "host.example A 192.0.2.1\n"};
    struct arena arena = arena_make(1 << 20);
    struct asker asker = {.answer = fake_answer, .context = &zone, .arena = &arena, .left = 2};
    struct ask_answer answer;
    ask(&asker, str_from("host.example"), ASK_A, &answer);
    ask(&asker, str_from("host.example"), ASK_A, &answer);
    assert_int_equal(answer.status, ASK_FOUND);
    ask(&asker, str_from("host.example"), ASK_A, &answer);
    assert_int_equal(answer.status, ASK_FAILED);
    assert_int_equal(zone.asked, 2);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_asked_for_in_one_spelling),
        cmocka_unit_test(test_impossible_names_cost_no_question),
        cmocka_unit_test(test_the_longest_names_are_asked_for),
        cmocka_unit_test(test_questions_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
