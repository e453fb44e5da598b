/* SPDX-License-Identifier: ISC */
/* Signatures that are made (RFC 6376 5): what they cover, how they look, and that they hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "check/dkim_sign.h"
#include "check/dkim_verify.h"
#include "mail/header.h"
#include "fake_zone.h"
#include "os/key_pair.h"

enum { NOW = 1700000000 };

#define FROM "From: Joe <joe@example.com>\r\n"
#define BODY "Hi.\r\n\r\nJoe.\r\n"

static EVP_PKEY *rsa, *ed25519;
static char zone_text[4096];

static int make_keys(void **state)
{
    (void)state;
    struct buf text = buf_make(sizeof zone_text - 1);
    rsa = key_pair_make(DKIM_KEY_RSA);
    ed25519 = key_pair_make(DKIM_KEY_ED25519);
    assert_non_null(rsa);
    assert_non_null(ed25519);
    assert_true(buf_append(&text, STR("r1._domainkey.example.com TXT ")) &&
                dkim_key_append_record(rsa, &text) &&
                buf_append(&text, STR("\ne1._domainkey.example.com TXT ")) &&
                dkim_key_append_record(ed25519, &text) && buf_append_byte(&text, '\n'));
    memcpy(zone_text, text.data, text.used);
    buf_free(&text);
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ed25519);
    return 0;
}

/* The message with both signatures in front of its section; empty when it cannot be signed. */
static struct buf sign(struct str section, struct str body, int64_t lifetime_s)
{
    const struct dkim_sign_key keys[] = {{rsa, STR("r1")}, {ed25519, STR("e1")}};
    const struct dkim_sign_options options = {.domain = STR("example.com"),
                                              .now_s = NOW,
                                              .lifetime_s = lifetime_s,
                                              .keys = keys,
                                              .key_count = 2};
    struct buf out = buf_make(1 << 20);
    struct dkim_body *b = dkim_body_make();
    struct dkim_signer *s = dkim_sign_begin(section, b, &options);
    dkim_body_feed(b, body);
    dkim_body_end(b);
    if (s)
        assert_true(dkim_sign_finish(s, &out) && buf_append(&out, section));
    dkim_sign_free(s);
    dkim_body_free(b);
    return out;
}

/* How many signatures pass. */
static size_t count_passes(struct str section, struct str body)
{
    struct fake_zone *zone = calloc(1, sizeof *zone);
    struct arena arena = arena_make(1 << 20);
    struct asker asker = {fake_answer, zone, &arena, 40};
    const struct dkim_verify_options options = {.now_s = NOW};
    struct dkim_body *b = dkim_body_make();
    struct dkim_verifier *v = dkim_verify_begin(section, b, &options);
    size_t passes = 0;
    zone->text = zone_text;
    dkim_body_feed(b, body);
    dkim_body_end(b);
    dkim_verify_fetch(v, &asker);
    dkim_verify_finish(v, NULL);
    for (size_t i = 0; i < dkim_verify_count(v); i++)
        passes += dkim_verify_verdict(v, i)->result == DKIM_PASS;
    dkim_verify_free(v);
    dkim_body_free(b);
    arena_free(&arena);
    free(zone);
    return passes;
}

static void expect_passes(const char *before, const char *after, size_t passes)
{
    struct buf section = sign(str_from(before), STR(BODY), 0);
    struct buf changed = buf_make(1 << 20);
    assert_true(section.used > strlen(before));
    assert_int_equal(count_passes(buf_str(&section), STR(BODY)), 2);
    assert_true(buf_append(&changed, str_head(buf_str(&section), section.used - strlen(before))) &&
                buf_append(&changed, str_from(after)));
    assert_int_equal(count_passes(buf_str(&changed), STR(BODY)), passes);
    buf_free(&section);
    buf_free(&changed);
}

static void test_what_is_signed_cannot_be_added_to(void **state)
{
    (void)state;
    static const char *const names[] = {
        "From",         "To",          "Cc",           "Subject",
        "Date",         "Reply-To",    "Message-ID",   "References",
        "MIME-Version", "In-Reply-To", "Content-Type", "Content-Transfer-Encoding",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char after[200];
        snprintf(after, sizeof after, "%s: x\r\n" FROM, names[i]);
        expect_passes(FROM, after, 0);
    }
    expect_passes(FROM "List-Unsubscribe: <https://a.example>\r\n",
                  "List-Unsubscribe: <https://b.example>\r\n" FROM
                  "List-Unsubscribe: <https://a.example>\r\n",
                  0);
}

static void test_what_others_may_do_to_a_message(void **state)
{
    (void)state;
    expect_passes(FROM, "Received: by them\r\n" FROM, 2);
    expect_passes(FROM, "List-Id: <a.example>\r\nSender: b\r\n" FROM, 2);
    expect_passes(FROM "Subject: a b\r\n", FROM "SUBJECT:a\r\n\t b \r\n", 2);
    expect_passes(FROM "X-Mailer: a\r\n", FROM, 2);
    expect_passes(FROM "List-Id: <a.example>\r\n", FROM, 0);
    expect_passes(FROM "To: a\r\nTo: b\r\n", FROM "To: b\r\nTo: a\r\n", 0);
}

static void test_lines_are_short(void **state)
{
    (void)state;
    struct buf section = sign(STR(FROM "List-Id: x\r\n"), STR(BODY), 86400);
    struct str rest = str_head(buf_str(&section), section.used - strlen(FROM "List-Id: x\r\n"));
    struct header_field field;
    struct header_iterator i = header_iterate(rest);
    size_t fields = 0;
    while (header_next(&i, &field))
        fields += str_equal(field.name, STR("DKIM-Signature"));
    assert_int_equal(fields, 2);
    assert_int_equal(i.rest.n, 0);
    assert_true(str_find(rest, STR("c=relaxed/relaxed;")) < rest.n);
    assert_true(str_find(rest, STR("x=1700086400;")) < rest.n);
    assert_true(str_find(rest, STR("t=1700000000;")) < rest.n);
    while (rest.n > 0) {
        size_t line = str_find(rest, STR("\r\n"));
        assert_true(line <= 76);
        rest = str_skip(rest, line + 2);
    }
    assert_int_equal(count_passes(buf_str(&section), STR(BODY)), 2);
    buf_free(&section);
}

static void test_bodies_of_all_kinds(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "\r\n", " ", "a", "a\r\n\r\n", "\r\na \t b\r\n\r\n c"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct buf section = sign(STR(FROM "\r\n"), str_from(bodies[i]), 0);
        assert_int_equal(count_passes(buf_str(&section), str_from(bodies[i])), 2);
        assert_int_equal(count_passes(buf_str(&section), STR("else")), 0);
        buf_free(&section);
    }
}

static void test_what_cannot_be_signed(void **state)
{
    (void)state;
    struct buf many = buf_make(1 << 20), out;
    out = sign(STR("To: b\r\n"), STR(BODY), 0);
    assert_int_equal(out.used, 0);
    assert_true(buf_append(&many, STR(FROM)));
    for (int i = 0; i < 100; i++)
        assert_true(buf_append(&many, STR("To: b\r\n")));
    out = sign(buf_str(&many), STR(BODY), 0);
    assert_int_equal(out.used, 0);
    many.used -= 20 * strlen("To: b\r\n");
    out = sign(buf_str(&many), STR(BODY), 0);
    assert_int_equal(count_passes(buf_str(&out), STR(BODY)), 2);
    buf_free(&out);
    buf_free(&many);
}

static void expect_refused(EVP_PKEY *key, size_t limit)
{
    const struct dkim_sign_key keys[] = {{ed25519, STR("e1")}, {key, STR("x")}};
    const struct dkim_sign_options options = {
        .domain = STR("example.com"), .now_s = NOW, .keys = keys, .key_count = 2};
    struct buf out = buf_make(limit);
    struct dkim_body *b = dkim_body_make();
    struct dkim_signer *s = dkim_sign_begin(STR(FROM), b, &options);
    assert_non_null(s);
    dkim_body_end(b);
    assert_true(buf_append(&out, STR("before")));
    assert_false(dkim_sign_finish(s, &out));
    assert_true(str_equal(buf_str(&out), STR("before")));
    dkim_sign_free(s);
    dkim_body_free(b);
    buf_free(&out);
}

static void test_keys_that_are_not_to_sign(void **state)
{
    (void)state;
    EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    expect_refused(weak, 1 << 20);
    expect_refused(other, 1 << 20);
    expect_refused(rsa, 700);
    EVP_PKEY_free(weak);
    EVP_PKEY_free(other);
}

static void test_keys_are_written_and_read(void **state)
{
    (void)state;
    EVP_PKEY *const keys[] = {rsa, ed25519};
    for (size_t i = 0; i < 2; i++) {
        struct buf pem = buf_make(KEY_PAIR_PEM_MAX), small = buf_make(100);
        assert_true(key_pair_write(keys[i], &pem));
        assert_false(key_pair_write(keys[i], &small));
        assert_int_equal(small.used, 0);
        EVP_PKEY *again = key_pair_read(buf_str(&pem));
        assert_non_null(again);
        assert_int_equal(EVP_PKEY_eq(keys[i], again), 1);
        EVP_PKEY_free(again);
        assert_null(key_pair_read(str_head(buf_str(&pem), pem.used / 2)));
        buf_free(&pem);
        buf_free(&small);
    }
    assert_null(key_pair_read(STR("")));
    assert_null(key_pair_read(STR("no key")));
    assert_int_equal(EVP_PKEY_get_bits(rsa), 2048);
}

static void test_the_text_of_the_records(void **state)
{
    (void)state;
    struct buf out = buf_make(1000), small = buf_make(60);
    assert_true(dkim_key_append_record(ed25519, &out));
    assert_true(str_starts(buf_str(&out), STR("v=DKIM1; k=ed25519; p=")));
    assert_int_equal(out.used, 22 + 44);
    out.used = 0;
    assert_true(dkim_key_append_record(rsa, &out));
    assert_true(str_starts(buf_str(&out), STR("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEF")));
    assert_int_equal(out.used, 18 + 392);
    assert_false(dkim_key_append_record(rsa, &small));
    assert_int_equal(small.used, 0);
    buf_free(&out);
    buf_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_signed_cannot_be_added_to),
        cmocka_unit_test(test_what_others_may_do_to_a_message),
        cmocka_unit_test(test_lines_are_short),
        cmocka_unit_test(test_bodies_of_all_kinds),
        cmocka_unit_test(test_what_cannot_be_signed),
        cmocka_unit_test(test_keys_that_are_not_to_sign),
        cmocka_unit_test(test_keys_are_written_and_read),
        cmocka_unit_test(test_the_text_of_the_records),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
