/* SPDX-License-Identifier: ISC */
/*
 * test_mailbox_list.c - the addresses in To, Cc and Bcc
 */
#include "mail/mailbox_list.h"
#include "mail_test.h"

static void assert_list(const char *value, const char *expected)
{
    struct buf all = buf_make(1000);
    struct str rest = str_from(value);
    struct buf one = buf_make(300);
    while (mailbox_list_next(&rest, &one)) {
        buf_append(&all, buf_str(&one));
        buf_append_byte(&all, '|');
        one.used = 0;
    }
    assert_str(buf_str(&all), expected);
    assert_int_equal(rest.n, 0);
    buf_free(&all);
    buf_free(&one);
}

static void test_addresses_in_every_form(void **state)
{
    (void)state;
    assert_list("", "");
    assert_list(" a@b.test", "a@b.test|");
    assert_list("a@b.test, c@d.test ,\r\n\te@f.test\r\n", "a@b.test|c@d.test|e@f.test|");
    assert_list("Alice <a@b.test>, \"Doe, Jane\" <jane@b.test>", "a@b.test|jane@b.test|");
    assert_list("a@b.test (Alice, of (the) B \\) )", "a@b.test|");
    assert_list("Friends: a@b.test, Bob <b@b.test>; , c@d.test", "a@b.test|b@b.test|c@d.test|");
    assert_list("undisclosed-recipients:;", "");
    assert_list("\"odd, one\"@b.test", "\"odd, one\"@b.test|");
    assert_list("\"a\\\"b\"@b.test", "\"a\\\"b\"@b.test|");
    assert_list("x@[IPv6:::1]", "x@[IPv6:::1]|");
    assert_list("X <@route:x@b.test>", "@route:x@b.test|");
    assert_list("root", "root|");
    assert_list("<>,,;", "");
}

static void test_broken_input_ends(void **state)
{
    (void)state;
    assert_list("a@b.test (never closed", "a@b.test|");
    assert_list("\"never closed", "\"never closed\"|");
    assert_list("<a@b.test", "a@b.test|");
    assert_list("a@[1.2", "a@[1.2]|");
    assert_list("\\", "\\|");
    assert_list("<\"a\\\r\nb\"@c.test>", "\"a\\b\"@c.test|");
    assert_list("x@[1.2\r\n .3]", "x@[1.2 .3]|");
}

static void test_what_readers_differ_about(void **state)
{
    (void)state;
    static const char *const clear[] = {"",
                                        "a@b.test",
                                        "\"Doe, \\\" J\" <j@b.test>, x@[1.2.3.4] (a (b) \\) c)",
                                        "g: a@b.test, <c@d.test>;",
                                        "Doe, Jane <j@b.test>",
                                        "> a@b.test",
                                        "a@b.test c@d.test <e@f.test>",
                                        "\"a@b.test\"@d.test",
                                        "<@a.test,@b.test:c@d.test>",
                                        "\"a@b.test\": c@d.test;",
                                        "<c@d.test> \"a@b.test\" (a@b.test)"};
    static const char *const unclear[] = {
        "a@b.test \"",    "\"a <c@d.test>",  "a@b.test (x",   "a@b.test (x\\)", "<a@b.test",
        "a@[1.2.3.4",     "<a@b.test><c@d>", "<<a@b>>",       "x, <a@b",        "a@b.test@d.test",
        "<a@b c@d.test>", "a@b>c@d.test",    "<a@b,@d.test>", "a@b: c@d.test;", "<c@d.test> a@b",
        "<a@b:c@d.test>", "<@a:b@c:d@e>"};
    for (size_t i = 0; i < sizeof clear / sizeof *clear; i++)
        assert_true(mailbox_list_is_clear(str_from(clear[i])));
    for (size_t i = 0; i < sizeof unclear / sizeof *unclear; i++)
        assert_false(mailbox_list_is_clear(str_from(unclear[i])));
}

static void test_a_full_buffer_stops(void **state)
{
    (void)state;
    struct buf out = buf_make(8);
    struct str rest = STR("a@b.test, cc@d.test");
    assert_true(mailbox_list_next(&rest, &out));
    assert_false(mailbox_list_next(&rest, &out));
    assert_str(buf_str(&out), "a@b.test");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_in_every_form),
        cmocka_unit_test(test_broken_input_ends),
        cmocka_unit_test(test_what_readers_differ_about),
        cmocka_unit_test(test_a_full_buffer_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
