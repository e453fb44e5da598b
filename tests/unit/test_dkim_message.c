/* SPDX-License-Identifier: ISC */
/* Keys, the DNS, changed messages, and what bounds the work (RFC 6376 3.6, 6.1, RFC 8301, 8616). */
#include "dkim_rows.h"

#include <openssl/core_names.h>
#include <openssl/x509.h>

static void test_keys(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SIG(TAGS),
         .record = "v=DKIM1; k=ed25519; h=sha1:sha256; s=*; t=y:x; n=a=20note; x=1; "
                   "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
         .expected = "pass"},
        {SIG(TAGS),
         .record = "k=ed25519;p=11qYAYKxCrfVS/7TyWQH Og7hcvPapiMlrwIaaPcHURo=; s=a : email;",
         .expected = "pass"},
        {SIG(TAGS), .record = "p=; v=DKIM1; k=ed25519",
         .expected = "permerror the record is no key record"},
        {SIG(TAGS),
         .record = "v=DKIM1; k=ed25519; p=", .expected = "permerror the key has been revoked"},
        {SIG(TAGS), .record = "v=DKIM1; k=ed25519; p= ;",
         .expected = "permerror the key has been revoked"},
        {SIG(TAGS), .record = "v=DKIM1; k=ed25519",
         .expected = "permerror the key record has no key"},
        {SIG(TAGS), .record = "v=spf1 -all", .expected = "permerror the record is no key record"},
        {SIG(TAGS),
         .record = "v=dkim1; k=ed25519; p=", .expected = "permerror the record is no key record"},
        {SIG(TAGS), .record = "hello world", .expected = "permerror the key record cannot be read"},
        {SIG(TAGS), .record = "", .expected = "permerror the key record cannot be read"},
        {SIG(TAGS),
         .record = ED25519 "; p=", .expected = "permerror the key record cannot be read"},
        {SIG(TAGS), .record = "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
         .expected = "permerror the key is for another algorithm"},
        {SIG(TAGS), .record = ED25519 "; h=sha1",
         .expected = "permerror the key is not for SHA-256"},
        {SIG(TAGS), .record = ED25519 "; h=", .expected = "permerror the key is not for SHA-256"},
        {SIG(TAGS), .record = ED25519 "; s=tlsrpt",
         .expected = "permerror the key is not for mail"},
        {SIG(TAGS), .record = "v=DKIM1; k=ed25519; p=!",
         .expected = "permerror the key is not base64"},
        {SIG(TAGS), .record = "v=DKIM1; k=ed25519; p=YWJj",
         .expected = "permerror the key is no Ed25519 key"},
        {SIG(TAGS),
         .record =
             "v=DKIM1; k=ed25519; p=MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
         .expected = "permerror the key is no Ed25519 key"},
        {SIG(TAGS), .record = "v=DKIM1; k=ed25519; p=PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
         .expected = "fail the signature is not of these header fields"},
        {SIG(TAGS "; i=@a.example.com"), .record = ED25519 "; t=s",
         .expected = "permerror the key is not for domains below its own"},
        {SIG(TAGS "; i=@Example.Com"), .record = ED25519 "; t=y:s", .expected = "pass"},
        {SIG(TAGS), .record = ED25519 "; t=s", .expected = "pass"},
        {SIG(TAGS "; i=@a.example.com"), .record = ED25519 "; t=y:S", .expected = "pass"},
        {SIG("v=1; a=rsa-sha256; d=example.com; s=ed; h=From"),
         .expected = "permerror the key is for another algorithm"},
    };
    const struct dkim_verify_options report = {.now_s = NOW, .is_tls_report = true};
    EXPECT_ROWS(rows);
    expect_row(&(struct row){SIG(TAGS), .record = ED25519 "; s=tlsrpt", .expected = "pass"},
               &report);
    expect_row(&(struct row){SIG(TAGS), .record = ED25519 "; s=other",
                             .expected = "permerror the key is not for mail"},
               &report);
}

static void test_several_records(void **state)
{
    (void)state;
#define NEXT "\ned._domainkey.example.com TXT "
    static const struct row rows[] = {
        {SIG(TAGS), .record = "v=spf1 -all" NEXT ED25519, .expected = "pass"},
        {SIG(TAGS), .record = "x y" NEXT "v=DKIM1; p=" NEXT ED25519, .expected = "pass"},
        {SIG(TAGS),
         .record =
             "v=DKIM1; k=ed25519; p=PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=" NEXT ED25519,
         .expected = "pass"},
        {SIG(TAGS), .record = "v=spf1 -all" NEXT "v=DKIM1; k=ed25519; p=" NEXT "no key",
         .expected = "permerror the key has been revoked"},
    };
    EXPECT_ROWS(rows);
}

static void expect_zone(const char *zone, const char *expected)
{
    char seen[200];
    struct buf section = buf_make(1 << 20);
    EVP_PKEY *key = letter_key_ed25519();
    assert_true(buf_append(&section, STR(FROM)));
    letter_sign(&section, SIG(TAGS), STR(BODY), key);
    verify(buf_str(&section), STR(BODY), zone, &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, expected);
    buf_free(&section);
    EVP_PKEY_free(key);
}

static void test_what_the_dns_does(void **state)
{
    (void)state;
    expect_zone("", "permerror there is no key");
    expect_zone("ed._domainkey.example.com A 192.0.2.1\n", "permerror there is no key");
    expect_zone("ed._domainkey.example.com FAIL\n", "temperror the key cannot be had now");
    expect_zone("ed._domainkey.example.com TXT " ED25519 "\n", "pass");
}

static void test_changes_of_the_message(void **state)
{
    (void)state;
#define OTHER "fail the signature is not of these header fields"
    static const struct row rows[] = {
        {SIG(TAGS), .section = "From: Joe <joe@example.org>\r\n", .expected = OTHER},
        {SIG(TAGS), .section = "From:  Joe <joe@example.com>\r\n", .expected = OTHER},
        {SIG(TAGS "; c=relaxed"), .section = "FROM :\r\n Joe\t<joe@example.com>  \r\n",
         .expected = "pass"},
        {SIG(TAGS), .section = "Subject: new\r\n" FROM, .expected = "pass"},
        {SIG(TAGS), .section = "From: Other\r\n" FROM, .expected = "pass"},
        {SIG(TAGS), .section = FROM "From: Other\r\n", .expected = OTHER},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h=From:From"),
         .section = "From: Other\r\n" FROM, .expected = OTHER},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h=From:Subject"),
         .section = "Subject: new\r\n" FROM, .expected = OTHER},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h=From:DKIM-Signature"),
         .expected = "pass"},
        {SIG(TAGS), .section = "", .expected = OTHER},
        {SIG(TAGS), .body = "", .expected = "fail the body is not what was signed"},
        {SIG(TAGS), .body = BODY "\r\n\r\n", .expected = "pass"},
        {SIG(TAGS), .body = BODY " \r\n", .expected = "fail the body is not what was signed"},
        {SIG(TAGS "; c=simple/relaxed"), .body = BODY " \r\n", .expected = "pass"},
    };
    EXPECT_ROWS(rows);
}

/* A signed message, signed again: the second one signs the first, or does not. */
static void test_signatures_of_signatures(void **state)
{
    (void)state;
    static const char *const templates[] = {
        SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h=From:DKIM-Signature"),
        SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h=From:DKIM-Signature:DKIM-Signature"),
        SIG(TAGS "; t=5"),
    };
    char seen[200];
    EVP_PKEY *key = letter_key_ed25519();
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++) {
        struct buf section = buf_make(1 << 20);
        assert_true(buf_append(&section, STR(FROM)));
        letter_sign(&section, SIG(TAGS), STR(BODY), key);
        letter_sign(&section, templates[i], STR(BODY), key);
        verify(buf_str(&section), STR(BODY), "ed._domainkey.example.com TXT " ED25519, &OPTIONS,
               seen, sizeof seen);
        assert_string_equal(seen, "pass\npass");
        buf_free(&section);
    }
    EVP_PKEY_free(key);
}

static void test_only_the_first_eight_are_checked(void **state)
{
    (void)state;
    char seen[1000];
    size_t passed = 0, refused = 0;
    struct buf section = buf_make(1 << 20);
    EVP_PKEY *key = letter_key_ed25519();
    assert_true(buf_append(&section, STR(FROM)));
    for (int i = 0; i < 30; i++)
        letter_sign(&section, SIG(TAGS), STR(BODY), key);
    verify(buf_str(&section), STR(BODY), "ed._domainkey.example.com TXT " ED25519, &OPTIONS, seen,
           sizeof seen);
    for (const char *line = seen; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        passed += strncmp(line, "pass", 4) == 0;
        refused += strncmp(line, "policy more than 8 signatures", 29) == 0;
    }
    assert_int_equal(passed, DKIM_CHECKED_MAX);
    assert_int_equal(refused, DKIM_VERDICTS_MAX - DKIM_CHECKED_MAX);
    buf_free(&section);
    EVP_PKEY_free(key);
}

/* What others sign above them does not push them out: the author's domain, one below it and one above it. */
static void test_signatures_of_the_author_come_first(void **state)
{
    static const char *const authors[] = {
        "From: Joe <joe@example.com>\r\n", "From: Joe <joe@EXAMPLE.com>, a@b.org\r\n",
        "From: joe@list.example.com\r\n",  "From: a@b.org, joe@example.com\r\n",
        "From: joe@example.org\r\n",       "From: joe@badexample.com\r\n"};
    (void)state;
    EVP_PKEY *key = letter_key_ed25519();
    for (size_t i = 0; i < sizeof authors / sizeof *authors; i++) {
        char seen[1000];
        struct buf section = buf_make(1 << 20), expected = buf_make(1000);
        bool is_author = i < 4;
        assert_true(buf_append(&section, str_from(authors[i])));
        letter_sign(&section, SIG(TAGS), STR(BODY), key);
        for (int k = 0; k < 20; k++)
            letter_sign(&section,
                        "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=l.test; s=ed; "
                        "h=from; bh=@; b=@\r\n",
                        STR(BODY), key);
        verify(buf_str(&section), STR(BODY),
               "ed._domainkey.example.com TXT " ED25519 "\ned._domainkey.l.test TXT " ED25519 "\n",
               &OPTIONS, seen, sizeof seen);
        for (int k = 0; k < (is_author ? 7 : 8); k++)
            buf_append(&expected, STR("pass\n"));
        for (int k = 0; k < 8; k++)
            buf_append(&expected, STR("policy more than 8 signatures\n"));
        buf_append(&expected, is_author ? STR("pass\n") : STR_NONE);
        expected.data[expected.used - 1] = '\0';
        assert_string_equal(seen, expected.data);
        buf_free(&section);
        buf_free(&expected);
    }
    EVP_PKEY_free(key);
}

static void test_sizes_are_bounded(void **state)
{
    (void)state;
    char seen[200];
    struct buf section = buf_make(1 << 24);
    assert_true(buf_append(&section, STR("DKIM-Signature: " TAGS "; bh=" HASH "; b=YWJj; z=")));
    for (int i = 0; i < 33 * 1024; i++)
        assert_true(buf_append_byte(&section, 'z'));
    assert_true(buf_append(&section, STR("\r\n")));
    verify(buf_str(&section), STR(BODY), "", &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "policy the field of the signature is too large");
    section.used = 0;
    assert_true(buf_append(&section, STR("DKIM-Signature: " TAGS "; bh=" HASH "; b=YWJj; z=\r\n")));
    for (int i = 0; i < 2000; i++)
        assert_true(buf_append(&section, STR("a: b\r\n")));
    verify(buf_str(&section), STR(BODY), "", &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "policy the header section is too large");
    section.used -= 6;
    verify(buf_str(&section), STR(BODY), "", &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "permerror there is no key");
    for (int i = 0; i < 512 * 1024; i++)
        assert_true(buf_append_byte(&section, 'x'));
    verify(buf_str(&section), STR(BODY), "", &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "policy the header section is too large");
    section.used = 0;
    assert_true(buf_append(&section, STR("DKIM-Signature: v=1; a=rsa-sha256; d=a.b; s=c; bh=" HASH
                                         "; b=YWJj; h=From")));
    for (int i = 0; i < 499; i++)
        assert_true(buf_append(&section, STR(":a")));
    assert_true(buf_append(&section, STR("\r\n")));
    verify(buf_str(&section), STR(BODY), "", &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "permerror there is no key");
    section.used -= 2;
    assert_true(buf_append(&section, STR(":a\r\n")));
    verify(buf_str(&section), STR(BODY), "", &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "policy h= has more than 500 names");
    buf_free(&section);
}

static void test_without_signatures_there_is_no_verdict(void **state)
{
    (void)state;
    char seen[200];
    verify(STR(FROM), STR(BODY), "", &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "");
    verify(STR(""), STR(""), "", &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "");
    verify(STR(FROM "\r\nDKIM-Signature: v=1\r\n"), STR(BODY), "", &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "");
}

/* A key of so many bits whose exponent is two to that power, and one. */
static void expect_rsa(size_t bits, unsigned power, bool is_bare, const char *expected)
{
    char seen[200];
    struct buf section = buf_make(1 << 20), record = buf_make(4096);
    unsigned char exponent[16] = {1};
    OSSL_PARAM e[] = {OSSL_PARAM_construct_size_t("bits", &bits),
                      OSSL_PARAM_construct_BN("e", exponent, sizeof exponent),
                      OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    unsigned char *der = NULL;
    exponent[power / 8] = (unsigned char)(exponent[power / 8] | 1U << power % 8);
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_params(context, e), 1);
    assert_int_equal(EVP_PKEY_generate(context, &key), 1);
    assert_true(buf_append(&record, STR("rsa._domainkey.example.com TXT ")));
    if (is_bare) {
        int n = i2d_PublicKey(key, &der);
        assert_true(buf_append(&record, STR("p=")) &&
                    encode_base64(&record, str_make((char *)der, (size_t)n)));
        OPENSSL_free(der);
    } else {
        assert_true(dkim_key_append_record(key, &record));
    }
    assert_true(buf_append_byte(&record, '\0') && buf_append(&section, STR(FROM)));
    letter_sign(&section, SIG("v=1; a=rsa-sha256; d=example.com; s=rsa; h=From"), STR(BODY), key);
    verify(buf_str(&section), STR(BODY), record.data, &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, expected);
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(key);
    buf_free(&section);
    buf_free(&record);
}

static void test_sizes_of_rsa_keys(void **state)
{
    (void)state;
    expect_rsa(512, 16, false, "policy the key is shorter than 1024 bits");
    expect_rsa(1016, 16, false, "policy the key is shorter than 1024 bits");
    expect_rsa(1024, 16, false, "pass");
    expect_rsa(1024, 16, true, "pass");
    expect_rsa(1024, 1, false, "pass");
    expect_rsa(2048, 16, false, "pass");
    expect_rsa(2048, 63, false, "pass");
    expect_rsa(2048, 64, false, "policy the key's exponent is too large");
    expect_rsa(4096, 16, false, "pass");
    expect_rsa(4104, 16, false, "policy the key is longer than 4096 bits");
}

static void test_octets_behind_a_key(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    unsigned char *der[2] = {NULL, NULL};
    const int sizes[] = {i2d_PublicKey(key, &der[0]), i2d_PUBKEY(key, &der[1])};
    for (size_t i = 0; i < 2; i++) {
        struct buf data = buf_make(1000);
        struct dkim_finding found;
        unsigned bits;
        assert_true(buf_append(&data, str_make((char *)der[i], (size_t)sizes[i])));
        struct dkim_key record = {.kind = DKIM_KEY_RSA, .data = buf_str(&data)};
        EVP_PKEY_CTX *opened = dkim_key_open(&record, &bits, &found);
        assert_non_null(opened);
        assert_int_equal(bits, 1024);
        assert_true(buf_append_byte(&data, '\0'));
        record.data = buf_str(&data);
        assert_null(dkim_key_open(&record, &bits, &found));
        assert_string_equal(found.reason, "the key is no RSA key");
        EVP_PKEY_CTX_free(opened);
        OPENSSL_free(der[i]);
        buf_free(&data);
    }
    EVP_PKEY_free(key);
}

static void test_verdicts_say_what_was_found(void **state)
{
    (void)state;
    static struct fake_zone zone = {.text = "ed._domainkey.secure.example TXT " ED25519 "; t=y\n"};
    struct arena arena = arena_make(1 << 20);
    struct asker asker = {fake_answer, &zone, &arena, 40};
    struct buf section = buf_make(1 << 20);
    EVP_PKEY *key = letter_key_ed25519();
    const struct dkim_verify_options lenient = {.now_s = NOW, .may_pass_partial = true};
    assert_true(buf_append(&section, STR(FROM)));
    letter_sign(&section,
                SIG("v=1; a=ed25519-sha256; d=SECURE.example; s=Ed; h=From; i= joe\r\n "
                    "@mail.secure.Example; t=5; x=2000000000; l=50"),
                STR(BODY), key);
    struct dkim_body *body = dkim_body_make();
    struct dkim_verifier *v = dkim_verify_begin(buf_str(&section), body, &lenient);
    dkim_body_feed(body, STR(BODY));
    dkim_body_end(body);
    dkim_verify_fetch(v, &asker);
    dkim_verify_finish(v, NULL);
    assert_int_equal(dkim_verify_count(v), 1);
    const struct dkim_verdict *d = dkim_verify_verdict(v, 0);
    assert_int_equal(d->result, DKIM_PASS);
    assert_true(str_equal(d->domain, STR("secure.example")) && str_equal(d->selector, STR("ed")));
    assert_true(str_equal(d->identity, STR("joe@mail.secure.Example")));
    assert_string_equal(d->algorithm, "ed25519-sha256");
    assert_int_equal(d->key_bits, 256);
    assert_true(d->is_testing && d->is_key_secure && d->has_length);
    assert_int_equal(d->uncovered_octets, 5);
    assert_int_equal(d->signed_at, 5);
    assert_int_equal(d->expires_at, 2000000000);
    assert_int_equal(d->b.n, 8);
    assert_true(str_find(buf_str(&section), d->b) < section.used);
    dkim_verify_free(v);
    dkim_body_free(body);
    arena_free(&arena);
    buf_free(&section);
    EVP_PKEY_free(key);
}

static void expect_b(const char *first, const char *second, const char *one, const char *other)
{
    char section[600];
    struct dkim_body *body = dkim_body_make();
    struct arena arena = arena_make(1 << 20);
    static struct fake_zone zone = {.text = ""};
    struct asker asker = {fake_answer, &zone, &arena, 40};
    snprintf(section, sizeof section,
             "DKIM-Signature: " TAGS "; bh=" HASH "; b=%s\r\nDKIM-Signature: " TAGS "; bh=" HASH
             "; b=%s\r\n",
             first, second);
    struct dkim_verifier *v = dkim_verify_begin(str_from(section), body, &OPTIONS);
    dkim_body_end(body);
    dkim_verify_fetch(v, &asker);
    dkim_verify_finish(v, NULL);
    assert_true(str_equal(dkim_verify_verdict(v, 0)->b, str_from(one)));
    assert_true(str_equal(dkim_verify_verdict(v, 1)->b, str_from(other)));
    dkim_verify_free(v);
    dkim_body_free(body);
    arena_free(&arena);
}

static void test_the_beginning_of_b_tells_signatures_apart(void **state)
{
    (void)state;
    expect_b("AAAABBBBCCCC", "DDDDEEEEFFFF", "AAAABBBB", "DDDDEEEE");
    expect_b("AAAABB BBCCCC", "AAAABBBBCCDD", "AAAABBBBCCC", "AAAABBBBCCD");
    expect_b("AAAABBBB", "AAAABBBBCCCC", "AAAABBBB", "AAAABBBBC");
    expect_b("AAAA", "AAAA", "AAAA", "AAAA");
}

static void test_names_that_are_not_ascii(void **state)
{
    (void)state;
    char seen[200];
    struct buf section = buf_make(1 << 20);
    EVP_PKEY *key = letter_key_ed25519();
    assert_true(buf_append(&section, STR("From: J\xc3\xb6 <j\xc3\xb6@m\xc3\xbcller.example>\r\n")));
    letter_sign(&section,
                SIG("v=1; a=ed25519-sha256; d=m\xc3\xbcller.example; s=gr\xc3\xbcn; h=From; "
                    "i=j\xc3\xb6@a.xn--mller-kva.example"),
                STR(BODY), key);
    verify(buf_str(&section), STR(BODY),
           "xn--grn-ioa._domainkey.xn--mller-kva.example TXT " ED25519 "\n", &OPTIONS, seen,
           sizeof seen);
    assert_string_equal(seen, "pass");
    buf_free(&section);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_several_records),
        cmocka_unit_test(test_what_the_dns_does),
        cmocka_unit_test(test_changes_of_the_message),
        cmocka_unit_test(test_signatures_of_signatures),
        cmocka_unit_test(test_only_the_first_eight_are_checked),
        cmocka_unit_test(test_signatures_of_the_author_come_first),
        cmocka_unit_test(test_sizes_are_bounded),
        cmocka_unit_test(test_without_signatures_there_is_no_verdict),
        cmocka_unit_test(test_sizes_of_rsa_keys),
        cmocka_unit_test(test_octets_behind_a_key),
        cmocka_unit_test(test_verdicts_say_what_was_found),
        cmocka_unit_test(test_the_beginning_of_b_tells_signatures_apart),
        cmocka_unit_test(test_names_that_are_not_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
