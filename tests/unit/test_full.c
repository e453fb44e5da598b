/* SPDX-License-Identifier: ISC */
/* Mailboxes that had no room lately (directory/full.h). */
#include "directory/full.h"

#include "mail_test.h"

#include <stdio.h>

enum { START_MS = 1000, SMALL = 10000, LARGE = 1000000 };

static const struct str bob = {"bob@example.test", 16};

static void test_as_large_a_message_finds_no_room(void **state)
{
    struct full_mailboxes *f = *state;
    assert_false(full_mailboxes_has(f, bob, LARGE, START_MS));
    full_mailboxes_add(f, bob, LARGE, START_MS);
    assert_true(full_mailboxes_has(f, bob, LARGE, START_MS));
    assert_true(full_mailboxes_has(f, bob, LARGE - FULL_SLACK, START_MS));
    assert_false(full_mailboxes_has(f, bob, LARGE - FULL_SLACK - 1, START_MS));
    assert_false(full_mailboxes_has(f, bob, 0, START_MS));
    assert_false(full_mailboxes_has(f, STR("bob@example.org"), LARGE, START_MS));
    full_mailboxes_add(f, bob, SMALL, START_MS);
    full_mailboxes_add(f, bob, LARGE, START_MS); /* what is known of smaller ones stays */
    assert_true(full_mailboxes_has(f, bob, SMALL, START_MS));
    full_mailboxes_add(f, bob, 2000, START_MS);
    assert_true(full_mailboxes_has(f, bob, 0, START_MS)); /* hardly any is smaller */
}

static void test_room_for_a_smaller_one_says_nothing(void **state)
{
    struct full_mailboxes *f = *state;
    full_mailboxes_add(f, bob, LARGE, START_MS);
    full_mailboxes_remove(f, bob, SMALL);
    assert_true(full_mailboxes_has(f, bob, LARGE, START_MS));
    full_mailboxes_remove(f, STR("alice@example.test"), LARGE);
    assert_true(full_mailboxes_has(f, bob, LARGE, START_MS));
    full_mailboxes_remove(f, bob, LARGE);
    assert_false(full_mailboxes_has(f, bob, LARGE, START_MS));
}

static void test_it_lasts_for_a_while(void **state)
{
    struct full_mailboxes *f = *state;
    full_mailboxes_add(f, bob, SMALL, START_MS);
    full_mailboxes_add(f, bob, LARGE, START_MS + 1000);
    int64_t end = START_MS + 1000 + FULL_LASTS_MS;
    assert_true(full_mailboxes_has(f, bob, SMALL, end - 1));
    full_mailboxes_add(f, bob, LARGE, end); /* who asked in between is forgotten */
    assert_false(full_mailboxes_has(f, bob, SMALL, end));
    assert_true(full_mailboxes_has(f, bob, LARGE, end + FULL_LASTS_MS - 1));
    assert_false(full_mailboxes_has(f, bob, LARGE, end + FULL_LASTS_MS));
}

static void test_one_mailbox_has_many_spellings(void **state)
{
    struct full_mailboxes *f = *state;
    full_mailboxes_add(f, STR("Bob+lists+c@Example.TEST"), SMALL, START_MS);
    assert_true(full_mailboxes_has(f, bob, SMALL, START_MS));
    assert_true(full_mailboxes_has(f, STR("bob+x@example.test"), SMALL, START_MS));
    assert_false(full_mailboxes_has(f, STR("bobby@example.test"), SMALL, START_MS));
    full_mailboxes_add(f, STR("a@sub+domain.test"), SMALL, START_MS); /* no detail */
    assert_true(full_mailboxes_has(f, STR("a@sub+domain.test"), SMALL, START_MS));
    assert_false(full_mailboxes_has(f, STR("a@sub.test"), SMALL, START_MS));
}

static void test_what_is_no_address_is_left_alone(void **state)
{
    struct full_mailboxes *f = *state;
    char text[400];
    memset(text, 'a', sizeof text);
    full_mailboxes_add(f, bob, SMALL, START_MS);
    static const size_t sizes[] = {0, 1, 319, 320, 321, 400};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct str address = str_make(text, sizes[i]);
        full_mailboxes_add(f, address, SMALL, START_MS);
        assert_int_equal(full_mailboxes_has(f, address, SMALL, START_MS),
                         sizes[i] > 0 && sizes[i] <= 320);
        full_mailboxes_remove(f, address, SMALL);
        assert_false(full_mailboxes_has(f, address, SMALL, START_MS));
    }
    assert_true(full_mailboxes_has(f, bob, SMALL, START_MS));
}

static void test_their_number_is_bounded(void **state)
{
    struct full_mailboxes *f = *state;
    char text[40];
    for (int i = 0; i <= FULL_MOST; i++) {
        struct str address = str_make(text, (size_t)snprintf(text, sizeof text, "u%d@a.test", i));
        full_mailboxes_add(f, address, SMALL, START_MS);
        assert_true(full_mailboxes_has(f, address, SMALL, START_MS));
    }
    assert_false(full_mailboxes_has(f, STR("u0@a.test"), SMALL, START_MS));
}

static int set_up(void **state)
{
    *state = full_mailboxes_make();
    return 0;
}

static int tear_down(void **state)
{
    full_mailboxes_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_as_large_a_message_finds_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room_for_a_smaller_one_says_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_it_lasts_for_a_while, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_mailbox_has_many_spellings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_address_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_their_number_is_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
