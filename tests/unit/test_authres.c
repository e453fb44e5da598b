/* SPDX-License-Identifier: ISC */
/* Authentication-Results: written so that nothing can be added to it, and known when somebody forged ours. */
#include "mail/authres.h"
#include "mail/header.h"

#include "mail_test.h"

static void assert_field(struct authres *a, const char *expected)
{
    struct buf out = buf_make(AUTHRES_FIELD_MAX);
    assert_true(authres_append(a, &out));
    assert_str(buf_str(&out), expected);
    buf_free(&out);
}

static void test_results_are_written_in_order(void **state)
{
    (void)state;
    struct authres a;
    authres_begin(&a, STR("mx.example"));
    authres_add(&a, "spf", "pass", STR_NONE);
    authres_property(&a, "smtp.mailfrom", STR("jo@a.example"));
    authres_add(&a, "dkim", "fail", STR("the body's hash differs"));
    authres_property(&a, "header.d", STR("a.example"));
    authres_property(&a, "header.b", STR("dG/0+a=="));
    authres_property(&a, "header.s", STR_NONE);
    assert_field(&a, "Authentication-Results: mx.example; spf=pass smtp.mailfrom=jo@a.example;\r\n"
                     " dkim=fail reason=\"the body's hash differs\" header.d=a.example\r\n"
                     " header.b=\"dG/0+a==\"\r\n");
}

static void test_nothing_tested(void **state)
{
    (void)state;
    struct authres a;
    authres_begin(&a, STR("mx.example"));
    assert_field(&a, "Authentication-Results: mx.example; none\r\n");
}

static void test_values_cannot_end_the_field(void **state)
{
    (void)state;
    struct authres a;
    authres_begin(&a, STR("mx.example"));
    authres_add(&a, "spf", "none", STR("a\"b\\c\r\nX: y\x80"));
    authres_property(&a, "smtp.helo", STR("x; dkim=pass"));
    authres_property(&a, "smtp.mailfrom", STR("\"a b\"@c.example"));
    assert_field(&a,
                 "Authentication-Results: mx.example; spf=none reason=\"a\\\"b\\\\c??X: y?\"\r\n"
                 " smtp.helo=\"x; dkim=pass\" smtp.mailfrom=\"\\\"a b\\\"@c.example\"\r\n");
}

static void test_what_finds_no_room_is_left_out_whole(void **state)
{
    (void)state;
    struct authres a;
    struct str long_name = STR("a-name-that-is-repeated-until-the-field-is-full.example");
    authres_begin(&a, STR("mx.example"));
    for (size_t i = 0; i < 200; i++) {
        authres_add(&a, "dkim", "pass", STR_NONE);
        authres_property(&a, "header.d", long_name);
    }
    struct buf out = buf_make(AUTHRES_FIELD_MAX);
    assert_true(authres_append(&a, &out));
    struct header_field field;
    assert_true(header_find(buf_str(&out), STR("Authentication-Results"), &field));
    assert_int_equal(field.whole.n, out.used);
    assert_true(str_ends_nocase(field.value, STR(".example")) ||
                str_ends_nocase(field.value, STR("dkim=pass")));
    buf_free(&out);
}

static void test_whose_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool is_ours;
    } rows[] = {
        {" mx.example; none", true},
        {"MX.Example;spf=pass", true},
        {" mx.example", true},
        {"\r\n mx.example\r\n\t; none", true},
        {" mx.example 1; none", true},
        {" mx.example(we)1(one); none", true},
        {" (it was) mx.example ; none", true},
        {" (a (nested\\) one) of (them)) mx.example; none", true},
        {" \"mx.example\"; none", true},
        {" \"mx\\.exa\r\n mple\"; none", true},
        {" \"mx.\\example\" 1; none", true},
        {" other.example; none", false},
        {" other.example; spf=pass (mx.example)", false},
        {" mx.example.org; none", false},
        {" amx.example; none", false},
        {" (mx.example) other.example 1; none", false},
        {" mx.example.; none", true},
        {" \"mx.example.\"; none", true},
        {" other.example.; none", false},
        {" \"other.example\" 1; none", false},
        {" smtp_1.other.example; none", false},
        {" b\xc3\xbc.example; none", false},
        {" mx.example spf=pass", true}, /* nobody can tell */
        {" mx.example/1; none", true},
        {" mx.example= ; none", true},
        {" mx.example, other.example; none", true},
        {" <mx.example>; none", true},
        {" [mx.example]; none", true},
        {" x@mx.example; none", true},
        {" other mx.example; none", true},
        {" mx.example\x0b; none", true},
        {"\x01mx.example; none", true},
        {" \x7fmx.example; none", true},
        {" \xc2\xa0mx.example; none", true},
        {" mx.example\xc2\xa0; none", true},
        {" \xe2\x80\x8bmx.example; none", true},
        {" \xef\xbb\xbfmx.example; none", true},
        {" mx.ex\xc2\xad"
         "ample; none",
         true},
        {" \xa0mx.example; none", true},
        {" \xef\xbd\x8dx.example; none", true},
        {" \"mx.exam\xc2\xa0ple\"; none", true},
        {" \"other mx.example\"; none", true},
        {" =?utf-8?q?mx.example?=; none", true},
        {" (mx.example; none", true}, /* nor here */
        {" ; none", true},
        {"", true},
        {" \"mx.example; none", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (authres_is_of(str_from(rows[i].value), STR("mx.example")) != rows[i].is_ours)
            fail_msg("<%s> %d", rows[i].value, rows[i].is_ours);
    assert_true(authres_is_of(STR(" xn--mx-via.example; none"), STR("m\xc3\xbcx.example")) ==
                authres_is_of(STR(" m\xc3\xbcx.example; none"), STR("xn--mx-via.example")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_are_written_in_order),
        cmocka_unit_test(test_nothing_tested),
        cmocka_unit_test(test_values_cannot_end_the_field),
        cmocka_unit_test(test_what_finds_no_room_is_left_out_whole),
        cmocka_unit_test(test_whose_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
