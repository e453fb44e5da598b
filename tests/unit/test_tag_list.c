/* SPDX-License-Identifier: ISC */
/* Tag lists (RFC 6376 3.2): what is one, what is not, and what their values are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "check/tag_list.h"

/* The list as "name<value>name<value>", or "-" when it is none. */
static void expect(const char *text, size_t n, const char *expected)
{
    struct tag_list list;
    char seen[400] = "-";
    if (tag_list_parse(str_make(text, n), &list)) {
        size_t used = 0;
        for (size_t i = 0; i < list.count; i++)
            used += (size_t)snprintf(seen + used, sizeof seen - used, STR_FMT "<" STR_FMT ">",
                                     STR_ARG(list.tag[i].name), STR_ARG(list.tag[i].value));
    }
    assert_string_equal(seen, expected);
}

static void test_what_is_a_tag_list(void **state)
{
    (void)state;
    static const struct {
        const char *text, *list;
    } rows[] = {
        {"a=b", "a<b>"},
        {"a=b;", "a<b>"},
        {"a=b; ", "a<b>"},
        {"a=b;c=d", "a<b>c<d>"},
        {" a = b ; c = d ; ", "a<b>c<d>"},
        {"a=", "a<>"},
        {"a= ; b=", "a<>b<>"},
        {"a=b c", "a<b c>"},
        {"a=b=c", "a<b=c>"},
        {"A=b; a=c", "A<b>a<c>"},
        {"a_1=b", "a_1<b>"},
        {"a=!~:<>", "a<!~:<>>"},
        {"\r\n a\r\n =\r\n\tb\r\n ;\r\n c=d\r\n ", "a<b>c<d>"},
        {"a=b\r\n c", "a<b\r\n c>"},
        {"a=b\r\n \r\n c", "a<b\r\n \r\n c>"},
        {"a=m\xc3\xbcller", "a<m\xc3\xbcller>"},
        {"", "-"},
        {" ", "-"},
        {";", "-"},
        {"a=b;;", "-"},
        {";a=b", "-"},
        {"a=b; ;c=d", "-"},
        {"a", "-"},
        {"a;b=c", "-"},
        {"=b", "-"},
        {"1a=b", "-"},
        {"_a=b", "-"},
        {"a-b=c", "-"},
        {"a b=c", "-"},
        {"a=b; a=c", "-"},
        {"a=b\r\nc=d", "-"},
        {"a=b\n c", "-"},
        {"a=b\r c", "-"},
        {"a=b\r\n", "-"},
        {"a=\x7f", "-"},
        {"a=\x1b[0m", "-"},
        {"a=m\xfcller", "-"},
        {"m\xc3\xbc=a", "-"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(rows[i].text, strlen(rows[i].text), rows[i].list);
    expect("a=b\0c", 5, "-");
    expect("a\0=b", 4, "-");
}

static void test_the_number_of_tags_is_bounded(void **state)
{
    (void)state;
    char text[TAG_LIST_MAX * 8 + 8];
    size_t used = 0;
    struct tag_list list;
    for (int i = 0; i < TAG_LIST_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "t%d=;", i);
    assert_true(tag_list_parse(str_make(text, used), &list));
    assert_int_equal(list.count, TAG_LIST_MAX);
    used += (size_t)snprintf(text + used, sizeof text - used, "z=");
    assert_false(tag_list_parse(str_make(text, used), &list));
}

static void test_tags_are_found_by_case(void **state)
{
    (void)state;
    struct tag_list list;
    assert_true(tag_list_parse(STR("bh=1; b=2; B= 3 ;c="), &list));
    assert_true(str_equal(tag_list_find(&list, "b")->value, STR("2")));
    assert_true(str_equal(tag_list_find(&list, "B")->value, STR("3")));
    assert_true(str_equal(tag_list_find(&list, "B")->whole, STR(" 3 ")));
    assert_int_equal(tag_list_find(&list, "c")->value.n, 0);
    assert_null(tag_list_find(&list, "BH"));
    assert_null(tag_list_find(&list, ""));
}

static void test_a_forgiving_reader_goes_on_behind_what_is_no_tag(void **state)
{
    (void)state;
    struct str rest = STR("a=1; nonsense;; b=\x01; c=3");
    struct tag tag;
    assert_int_equal(tag_next(&rest, &tag), TAG_GOOD);
    assert_int_equal(tag_next(&rest, &tag), TAG_BAD);
    assert_int_equal(tag_next(&rest, &tag), TAG_BAD);
    assert_int_equal(tag_next(&rest, &tag), TAG_BAD);
    assert_true(str_equal(tag.name, STR("b")));
    assert_int_equal(tag_next(&rest, &tag), TAG_GOOD);
    assert_true(str_equal(tag.value, STR("3")));
    assert_int_equal(tag_next(&rest, &tag), TAG_END);
    assert_int_equal(tag_next(&rest, &tag), TAG_END);
}

static void expect_items(const char *value, const char *expected)
{
    struct str rest = str_from(value), item;
    char seen[200] = "";
    size_t used = 0;
    while (tag_item_next(&rest, ':', &item))
        used += (size_t)snprintf(seen + used, sizeof seen - used, "<" STR_FMT ">", STR_ARG(item));
    assert_string_equal(seen, expected);
}

static void test_items_of_a_value(void **state)
{
    (void)state;
    expect_items("a", "<a>");
    expect_items("a:b", "<a><b>");
    expect_items(" a :\r\n b\t", "<a><b>");
    expect_items("a::b:", "<a><><b><>");
    expect_items("", "<>");
}

static void test_a_value_is_joined(void **state)
{
    (void)state;
    struct buf out = buf_make(5);
    assert_true(tag_value_join(&out, STR(" a\r\n b\t c ")));
    assert_true(str_equal(buf_str(&out), STR("abc")));
    assert_false(tag_value_join(&out, STR("d e f")));
    assert_true(str_equal(buf_str(&out), STR("abc")));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_a_tag_list),
        cmocka_unit_test(test_the_number_of_tags_is_bounded),
        cmocka_unit_test(test_tags_are_found_by_case),
        cmocka_unit_test(test_a_forgiving_reader_goes_on_behind_what_is_no_tag),
        cmocka_unit_test(test_items_of_a_value),
        cmocka_unit_test(test_a_value_is_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
