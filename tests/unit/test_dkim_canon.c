/* SPDX-License-Identifier: ISC */
/* Canonical forms of header fields and bodies (RFC 6376 3.4), and the hashes of bodies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "check/dkim_body.h"

static void expect_field(enum dkim_canon canon, const char *field, const char *expected)
{
    struct buf out = buf_make(strlen(field) + 2);
    assert_true(dkim_canon_field(canon, str_from(field), &out));
    assert_true(buf_append_byte(&out, '\0') || out.used == out.limit);
    assert_int_equal(out.used - 1, strlen(expected));
    assert_memory_equal(out.data, expected, strlen(expected));
    buf_free(&out);
}

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        const char *field, *simple, *relaxed;
    } rows[] = {
        /* RFC 6376 3.4.5 */
        {"A: X\r\n", "A: X", "a:X"},
        {"B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  ", "b:Y Z"},
        {"SUBJect: AbC\r\n", "SUBJect: AbC", "subject:AbC"},
        {"A:\r\n", "A:", "a:"},
        {"A: \t \r\n", "A: \t ", "a:"},
        {"A:\r\n b\r\n", "A:\r\n b", "a:b"},
        {"A:b\r\n \r\n c\r\n", "A:b\r\n \r\n c", "a:b c"},
        {"A: b  c\t\td\r\n", "A: b  c\t\td", "a:b c d"},
        {"A: b", "A: b", "a:b"},
        {"A: b\rc\nd\r\n", "A: b\rc\nd", "a:b\rc\nd"},
        {"A: m\xc3\x9c\xff\r\n", "A: m\xc3\x9c\xff", "a:m\xc3\x9c\xff"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_field(DKIM_SIMPLE, rows[i].field, rows[i].simple);
        expect_field(DKIM_RELAXED, rows[i].field, rows[i].relaxed);
    }
}

static void test_a_field_without_its_signature(void **state)
{
    (void)state;
    struct str field = STR("DKIM-Signature: b= ab\r\n c ; d=x\r\n");
    struct buf out = buf_make(100);
    assert_true(dkim_canon_without(DKIM_SIMPLE, field, str_make(field.p + 18, 8), &out));
    assert_true(str_equal(buf_str(&out), STR("DKIM-Signature: b=; d=x")));
    out.used = 0;
    assert_true(dkim_canon_without(DKIM_RELAXED, field, str_make(field.p + 18, 8), &out));
    assert_true(str_equal(buf_str(&out), STR("dkim-signature:b=; d=x")));
    buf_free(&out);
}

static void keep(void *context, struct str piece)
{
    assert_true(buf_append(context, piece));
}

/* Whole, octet by octet, and in two pieces cut at each place. */
static void expect_body(enum dkim_canon canon, struct str body, struct str expected)
{
    struct buf out = buf_make(1 << 20);
    for (size_t cut = 0; cut <= body.n + 1; cut++) {
        struct dkim_canon_body b = dkim_canon_body(canon, (struct dkim_sink){keep, &out});
        out.used = 0;
        for (size_t i = 0; i < body.n && cut > body.n; i++)
            dkim_canon_feed(&b, str_make(body.p + i, 1));
        if (cut <= body.n) {
            dkim_canon_feed(&b, str_head(body, cut));
            dkim_canon_feed(&b, str_skip(body, cut));
        }
        dkim_canon_end(&b);
        assert_int_equal(out.used, expected.n);
        assert_memory_equal(out.data ? out.data : "", expected.p, expected.n);
    }
    buf_free(&out);
}

static void test_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *body, *simple, *relaxed;
    } rows[] = {
        /* RFC 6376 3.4.5 */
        {" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
        {"", "\r\n", ""},
        {"\r\n", "\r\n", ""},
        {"\r\n\r\n\r\n", "\r\n", ""},
        {" ", " \r\n", ""},
        {" \r\n", " \r\n", ""},
        {" \t\r\n\t \r\n", " \t\r\n\t \r\n", ""},
        {"a", "a\r\n", "a\r\n"},
        {"a\r\n", "a\r\n", "a\r\n"},
        {"a  \r\n", "a  \r\n", "a\r\n"},
        {"a  ", "a  \r\n", "a\r\n"},
        {"a\r\n ", "a\r\n \r\n", "a\r\n"},
        {"a\r\n\r\n \r\n\r\n", "a\r\n\r\n \r\n", "a\r\n"},
        {"\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n"},
        {"a\r\n\r\n\r\nb\r\n\r\n", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"},
        {"\t\ta\t \tb\r\n", "\t\ta\t \tb\r\n", " a b\r\n"},
        {"a\rb\nc\r\n", "a\rb\nc\r\n", "a\rb\nc\r\n"},
        {"a \r b\r\n", "a \r b\r\n", "a \r b\r\n"},
        {"a\r\r\n", "a\r\r\n", "a\r\r\n"},
        {"a\r", "a\r\r\n", "a\r\r\n"},
        {"\r", "\r\r\n", "\r\r\n"},
        {"\n", "\n\r\n", "\n\r\n"},
        {"a\r\n\r", "a\r\n\r\r\n", "a\r\n\r\r\n"},
        {"a \r\n\r\n\r\n b", "a \r\n\r\n\r\n b\r\n", "a\r\n\r\n\r\n b\r\n"},
        {"\xff\xc3\x9c\x80 \r\n", "\xff\xc3\x9c\x80 \r\n", "\xff\xc3\x9c\x80\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_body(DKIM_SIMPLE, str_from(rows[i].body), str_from(rows[i].simple));
        expect_body(DKIM_RELAXED, str_from(rows[i].body), str_from(rows[i].relaxed));
    }
    expect_body(DKIM_RELAXED, STR("a\0 \0b"), STR("a\0 \0b\r\n"));
}

static void test_long_bodies(void **state)
{
    (void)state;
    struct buf body = buf_make(1 << 20), relaxed = buf_make(1 << 20);
    for (int i = 0; i < 200; i++)
        assert_true(buf_append(&body, STR("word  word\t\r\n\r\n")) &&
                    buf_append(&relaxed, STR("word word\r\n\r\n")));
    expect_body(DKIM_SIMPLE, buf_str(&body), str_head(buf_str(&body), body.used - 2));
    expect_body(DKIM_RELAXED, buf_str(&body), str_head(buf_str(&relaxed), relaxed.used - 2));
    buf_free(&body);
    buf_free(&relaxed);
}

static void expect_hash(const struct dkim_body *b, int want, const char *text, uint64_t octets)
{
    unsigned char hash[DKIM_HASH_SIZE];
    uint64_t seen;
    assert_int_equal(EVP_Digest(text, strlen(text), hash, NULL, EVP_sha256(), NULL), 1);
    struct str made = dkim_body_hash(b, want, &seen);
    assert_int_equal(made.n, DKIM_HASH_SIZE);
    assert_memory_equal(made.p, hash, DKIM_HASH_SIZE);
    assert_int_equal(seen, octets);
}

static void test_hashes_of_the_first_octets(void **state)
{
    (void)state;
    struct dkim_body *b = dkim_body_make();
    uint64_t octets;
    int relaxed = dkim_body_want(b, DKIM_RELAXED, DKIM_BODY_WHOLE);
    int three = dkim_body_want(b, DKIM_RELAXED, 3), none = dkim_body_want(b, DKIM_RELAXED, 0);
    int exact = dkim_body_want(b, DKIM_RELAXED, 5), more = dkim_body_want(b, DKIM_RELAXED, 6);
    int simple = dkim_body_want(b, DKIM_SIMPLE, 4);
    assert_int_equal(dkim_body_want(b, DKIM_RELAXED, DKIM_BODY_WHOLE), relaxed);
    assert_int_equal(dkim_body_want(b, DKIM_RELAXED, 3), three);
    dkim_body_feed(b, STR("a \t"));
    dkim_body_feed(b, STR(" b \r\n\r\n"));
    dkim_body_end(b);
    expect_hash(b, relaxed, "a b\r\n", 5);
    expect_hash(b, three, "a b", 5);
    expect_hash(b, none, "", 5);
    expect_hash(b, exact, "a b\r\n", 5);
    expect_hash(b, simple, "a \t ", 8);
    assert_int_equal(dkim_body_hash(b, more, &octets).n, 0);
    dkim_body_free(b);
}

static void test_hashes_of_nothing(void **state)
{
    (void)state;
    struct dkim_body *b = dkim_body_make();
    int none = dkim_body_want(b, DKIM_RELAXED, 0), whole = dkim_body_want(b, DKIM_SIMPLE, 2);
    dkim_body_end(b);
    expect_hash(b, none, "", 0);
    expect_hash(b, whole, "\r\n", 2);
    dkim_body_free(b);
}

static void test_wanted_hashes_are_bounded(void **state)
{
    (void)state;
    struct dkim_body *b = dkim_body_make();
    for (int i = 0; i < DKIM_BODY_WANTS_MAX; i++)
        assert_int_equal(dkim_body_want(b, DKIM_SIMPLE, (uint64_t)i), i);
    assert_int_equal(dkim_body_want(b, DKIM_SIMPLE, DKIM_BODY_WANTS_MAX), -1);
    assert_int_equal(dkim_body_want(b, DKIM_SIMPLE, 7), 7);
    dkim_body_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_a_field_without_its_signature),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_long_bodies),
        cmocka_unit_test(test_hashes_of_the_first_octets),
        cmocka_unit_test(test_hashes_of_nothing),
        cmocka_unit_test(test_wanted_hashes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
