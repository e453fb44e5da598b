/* SPDX-License-Identifier: ISC */
/* Signatures (RFC 6376, 8301, 8463, 8616): known ones, and a row for each rule about what does not pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <openssl/core_names.h>

#include "check/dkim_verify.h"
#include "dkim_letter.h"
#include "fake_zone.h"

enum { NOW = 1700000000 };

#define FROM    "From: Joe <joe@example.com>\r\n"
#define BODY    "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
#define ED25519 "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define HASH    "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="

static const struct dkim_verify_options OPTIONS = {.now_s = NOW};

/* "result reason" of each signature, a line each. */
static void verify(struct str section, struct str body, const char *zone_text,
                   const struct dkim_verify_options *options, char *out, size_t size)
{
    struct fake_zone *zone = calloc(1, sizeof *zone);
    struct arena arena = arena_make(1 << 22);
    struct asker asker = {fake_answer, zone, &arena, 40};
    struct dkim_body *b = dkim_body_make();
    struct dkim_verifier *v = dkim_verify_begin(section, b, options);
    zone->text = zone_text;
    for (struct str rest = body; rest.n > 0; rest = str_skip(rest, 7))
        dkim_body_feed(b, str_head(rest, 7));
    dkim_body_end(b);
    dkim_verify_fetch(v, &asker);
    dkim_verify_finish(v);
    out[0] = '\0';
    for (size_t i = 0, used = 0; i < dkim_verify_count(v); i++) {
        const struct dkim_verdict *d = dkim_verify_verdict(v, i);
        used += (size_t)snprintf(out + used, size - used, "%s%s%s%s", i > 0 ? "\n" : "",
                                 dkim_result_name(d->result), *d->reason ? " " : "", d->reason);
    }
    dkim_verify_free(v);
    dkim_body_free(b);
    arena_free(&arena);
    free(zone);
}

static const char RFC_8463[] = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
                               " d=football.example.com; i=@football.example.com;\r\n"
                               " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
                               " subject : date : message-id : from : subject : date;\r\n"
                               " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                               " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
                               " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
                               "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
                               " d=football.example.com; i=@football.example.com;\r\n"
                               " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
                               " date : message-id : from : subject : date;\r\n"
                               " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                               " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
                               " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
                               " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
                               "From: Joe SixPack <joe@football.example.com>\r\n"
                               "To: Suzie Q <suzie@shopping.example.net>\r\n"
                               "Subject: Is dinner ready?\r\n"
                               "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
                               "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
                               "\r\n";

static const char RFC_6376[] = "DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\r\n"
                               "      c=simple/simple; q=dns/txt; i=joe@football.example.com;\r\n"
                               "      h=Received : From : To : Subject : Date : Message-ID;\r\n"
                               "      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                               "      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\r\n"
                               "      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\r\n"
                               "      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\r\n"
                               "      4bmp/YzhwvcubU4=;\r\n"
                               "Received: from client1.football.example.com  [192.0.2.1]\r\n"
                               "      by submitserver.example.com with SUBMISSION;\r\n"
                               "      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\r\n"
                               "From: Joe SixPack <joe@football.example.com>\r\n"
                               "To: Suzie Q <suzie@shopping.example.net>\r\n"
                               "Subject: Is dinner ready?\r\n"
                               "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
                               "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
                               "\r\n";

static const char RFC_ZONE[] =
    "brisbane._domainkey.football.example.com TXT " ED25519 "\n"
    "test._domainkey.football.example.com TXT v=DKIM1; k=rsa; "
    "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi"
    "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLz"
    "BfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\n"
    "brisbane._domainkey.example.com TXT v=DKIM1; "
    "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFC"
    "jxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6m"
    "cwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB\n";

static void test_the_signatures_of_rfc_8463_pass(void **state)
{
    (void)state;
    char seen[400];
    verify(str_from(RFC_8463), STR(BODY), RFC_ZONE, &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "pass\npass");
    verify(str_from(RFC_8463), STR(BODY "\r\n\r\n"), RFC_ZONE, &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "pass\npass");
    verify(str_from(RFC_8463), STR(BODY "!"), RFC_ZONE, &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "fail the body is not what was signed\n"
                              "fail the body is not what was signed");
}

static void test_the_signature_of_rfc_6376_passes(void **state)
{
    (void)state;
    char seen[400];
    verify(str_from(RFC_6376),
           STR("Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n"), RFC_ZONE,
           &OPTIONS, seen, sizeof seen);
    assert_string_equal(seen, "pass");
}

/* A message whose template is right but for what a row is about. */
struct row {
    const char *template; /* field of the signature, "@": filled in (dkim_letter.h) */
    const char *section;  /* after the signature has been made; NULL: FROM */
    const char *body;     /* as it arrives; NULL: BODY */
    const char *record;   /* TXT at ed._domainkey.example.com; NULL: the key */
    const char *expected;
};

#define TAGS      "v=1; a=ed25519-sha256; d=example.com; s=ed; h=From"
#define SIG(tags) "DKIM-Signature: " tags "; bh=@; b=@\r\n"

static void expect_row(const struct row *row, const struct dkim_verify_options *options)
{
    char seen[400], zone[1000];
    struct buf section = buf_make(1 << 20);
    EVP_PKEY *key = letter_key_ed25519();
    assert_true(buf_append(&section, STR(FROM)));
    letter_sign(&section, row->template, STR(BODY), key);
    EVP_PKEY_free(key);
    if (row->section) {
        section.used -= strlen(FROM);
        assert_true(buf_append(&section, str_from(row->section)));
    }
    snprintf(zone, sizeof zone, "ed._domainkey.example.com TXT %s\n",
             row->record ? row->record : ED25519);
    verify(buf_str(&section), str_from(row->body ? row->body : BODY), zone, options, seen,
           sizeof seen);
    if (strcmp(seen, row->expected) != 0)
        print_error("%s\n", row->template);
    assert_string_equal(seen, row->expected);
    buf_free(&section);
}

static void expect_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_row(&rows[i], &OPTIONS);
}

#define EXPECT_ROWS(rows) expect_rows(rows, sizeof(rows) / sizeof(rows)[0])

static void test_fields_that_can_be_read(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SIG(TAGS "; c=simple"), .expected = "pass"},
        {SIG(TAGS "; c=simple/simple"), .expected = "pass"},
        {SIG(TAGS "; c=relaxed"), .expected = "pass"},
        {SIG(TAGS "; c=relaxed/simple"), .expected = "pass"},
        {SIG(TAGS "; c=simple/relaxed"), .expected = "pass"},
        {SIG(TAGS "; c=relaxed/relaxed"), .expected = "pass"},
        {SIG(TAGS "; q=dns/txt"), .expected = "pass"},
        {SIG(TAGS "; q=x : dns/txt : y"), .expected = "pass"},
        {SIG(TAGS "; x_1=any:thing; z=From:a=20b|To:c"), .expected = "pass"},
        {SIG(TAGS "; i=joe=20x@example.com"), .expected = "pass"},
        {SIG(TAGS "; i=@Mail.EXAMPLE.com"), .expected = "pass"},
        {SIG(TAGS "; i=\"a@b\"@example.com"), .expected = "pass"},
        {SIG("v=1; a=ed25519-sha256; d=EXAMPLE.com; s=ED; h=From"), .expected = "pass"},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h=fROM:From:to:Subject"),
         .expected = "pass"},
        {"DKIM-Signature:\r\n\tv = 1 ;\r\n a\r\n =\r\n ed25519-sha256;d=example.com ; s= ed;\r\n "
         "h=\r\n "
         "From\r\n :\r\n\tTo; bh=@\r\n ; b=@\r\n ; \r\n",
         .expected = "pass"},
        {"dkim-SIGNATURE : " TAGS "; c=relaxed; bh=@; b=@\r\n", .expected = "pass"},
        {"DKIM-Signature: b=@; " TAGS "; bh=@;\r\n", .expected = "pass"},
    };
    EXPECT_ROWS(rows);
}

static void test_fields_that_cannot_be_read(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"DKIM-Signature:\r\n", .expected = "neutral the field is no list of tags"},
        {SIG(TAGS ";"), .expected = "neutral the field is no list of tags"},
        {SIG(TAGS "; h=From"), .expected = "neutral the field is no list of tags"},
        {SIG("v=2; a=ed25519-sha256; d=example.com; s=ed; h=From"),
         .expected = "neutral v= is not 1"},
        {SIG("v=1.0; a=ed25519-sha256; d=example.com; s=ed; h=From"),
         .expected = "neutral v= is not 1"},
        {SIG("a=ed25519-sha256; d=example.com; s=ed; h=From"), .expected = "neutral v= is not 1"},
        {SIG("v=1; d=example.com; s=ed; h=From"), .expected = "neutral a= is missing"},
        {SIG("v=1; a=rsa-sha512; d=example.com; s=ed; h=From"),
         .expected = "neutral a= is an unknown algorithm"},
        {SIG("v=1; a=ED25519-SHA256; d=example.com; s=ed; h=From"),
         .expected = "neutral a= is an unknown algorithm"},
        {SIG("v=1; a=ed25519-sha256; s=ed; h=From"), .expected = "neutral d= or s= is missing"},
        {SIG("v=1; a=ed25519-sha256; d=example.com; h=From"),
         .expected = "neutral d= or s= is missing"},
        {SIG("v=1; a=ed25519-sha256; d=com; s=ed; h=From"),
         .expected = "neutral d= is no domain name"},
        {SIG("v=1; a=ed25519-sha256; d=example..com; s=ed; h=From"),
         .expected = "neutral d= is no domain name"},
        {SIG("v=1; a=ed25519-sha256; d=example.com.; s=ed; h=From"),
         .expected = "neutral d= is no domain name"},
        {SIG("v=1; a=ed25519-sha256; d=example .com; s=ed; h=From"),
         .expected = "neutral d= is no domain name"},
        {SIG("v=1; a=ed25519-sha256; d=; s=ed; h=From"),
         .expected = "neutral d= is no domain name"},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=; h=From"),
         .expected = "neutral s= is no name"},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=e/d; h=From"),
         .expected = "neutral s= is no name"},
        {SIG(TAGS "; c=nothing"), .expected = "neutral c= is an unknown canonical form"},
        {SIG(TAGS "; c=relaxed/"), .expected = "neutral c= is an unknown canonical form"},
        {SIG(TAGS "; c=Relaxed"), .expected = "neutral c= is an unknown canonical form"},
        {SIG(TAGS "; c=simple/relaxed/simple"),
         .expected = "neutral c= is an unknown canonical form"},
        {SIG(TAGS "; q=dns/txt/1"), .expected = "neutral q= has no known way to the key"},
        {SIG(TAGS "; q="), .expected = "neutral q= has no known way to the key"},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=ed"), .expected = "neutral h= is missing"},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h="),
         .expected = "neutral h= is no list of field names"},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h=From:"),
         .expected = "neutral h= is no list of field names"},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h=From::To"),
         .expected = "neutral h= is no list of field names"},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h=From To"),
         .expected = "neutral h= is no list of field names"},
        {"DKIM-Signature: " TAGS "; b=@\r\n", .expected = "neutral bh= is missing or not base64"},
        {"DKIM-Signature: " TAGS "; bh=; b=@\r\n",
         .expected = "neutral bh= is missing or not base64"},
        {"DKIM-Signature: " TAGS "; bh=@\r\n", .expected = "neutral b= is missing or not base64"},
        {"DKIM-Signature: " TAGS "; bh=@; b=\r\n",
         .expected = "neutral b= is missing or not base64"},
        {"DKIM-Signature: " TAGS "; bh=@; b=!!!!\r\n",
         .expected = "neutral b= is missing or not base64"},
        {"DKIM-Signature: " TAGS "; bh=@; b=YQ\r\n",
         .expected = "neutral b= is missing or not base64"},
        {SIG(TAGS "; i=joe"), .expected = "neutral i= has no domain"},
        {SIG(TAGS "; i=joe@"), .expected = "neutral i= has no domain"},
        {SIG(TAGS "; t="), .expected = "neutral t= is no time"},
        {SIG(TAGS "; t=-1"), .expected = "neutral t= is no time"},
        {SIG(TAGS "; t=1234567890123"), .expected = "neutral t= is no time"},
        {SIG(TAGS "; x=tomorrow"), .expected = "neutral x= is no time"},
        {SIG(TAGS "; l="), .expected = "neutral l= is no number"},
        {SIG(TAGS "; l=-1"), .expected = "neutral l= is no number"},
        {SIG(TAGS "; l=1 2"), .expected = "neutral l= is no number"},
    };
    EXPECT_ROWS(rows);
}

static void test_fields_that_can_never_hold(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h=Subject"),
         .expected = "permerror From is not signed"},
        {SIG("v=1; a=ed25519-sha256; d=example.com; s=ed; h=From2:Xfrom"),
         .expected = "permerror From is not signed"},
        {SIG(TAGS "; i=@other.com"), .expected = "permerror i= is not within d="},
        {SIG(TAGS "; i=@badexample.com"), .expected = "permerror i= is not within d="},
        {SIG(TAGS "; i=@com"), .expected = "permerror i= is not within d="},
        {SIG(TAGS "; i=joe@example.com@other.com"), .expected = "permerror i= is not within d="},
        {SIG(TAGS "; t=1000; x=1000"), .expected = "permerror x= is not after t="},
        {SIG(TAGS "; t=1000; x=999"), .expected = "permerror x= is not after t="},
        {SIG("v=1; a=rsa-sha1; d=example.com; s=ed; h=From"),
         .expected = "policy rsa-sha1 is not relied on (RFC 8301)"},
    };
    EXPECT_ROWS(rows);
}

static void test_times(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SIG(TAGS "; t=1700000000; x=1700000001"), .expected = "pass"},
        {SIG(TAGS "; t=1; x=1699999700"), .expected = "pass"},
        {SIG(TAGS "; x=1699999699"), .expected = "permerror the signature has expired"},
        {SIG(TAGS "; x=0"), .expected = "permerror the signature has expired"},
        {SIG(TAGS "; x=999999999999"), .expected = "pass"},
        {SIG(TAGS "; t=1700000300"), .expected = "pass"},
        {SIG(TAGS "; t=1700000301"), .expected = "policy the signature is from the future"},
    };
    EXPECT_ROWS(rows);
}

/* What is signed is the first l= octets of the canonical body, which has 51 (3.4.5, 8.2). */
static void test_lengths(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SIG(TAGS "; l=55"), .expected = "pass"},
        {SIG(TAGS "; l=0000000055"), .expected = "pass"},
        {SIG(TAGS "; l=55"), .body = BODY "More.\r\n",
         .expected = "policy a part of the body is not signed (l=)"},
        {SIG(TAGS "; l=54"), .expected = "policy a part of the body is not signed (l=)"},
        {SIG(TAGS "; l=0"), .body = "anything",
         .expected = "policy a part of the body is not signed (l=)"},
        {SIG(TAGS "; l=55"), .body = "Ha" BODY, .expected = "fail the body is not what was signed"},
        {SIG(TAGS "; l=56"), .expected = "fail the body is shorter than was signed"},
        {SIG(TAGS "; l=18446744073709551615"),
         .expected = "fail the body is shorter than was signed"},
        {SIG(TAGS "; l=18446744073709551671"),
         .expected = "fail the body is shorter than was signed"},
        {SIG(TAGS
             "; l=9999999999999999999999999999999999999999999999999999999999999999999999999999"),
         .expected = "fail the body is shorter than was signed"},
        {SIG(TAGS
             "; l=99999999999999999999999999999999999999999999999999999999999999999999999999999"),
         .expected = "neutral l= is no number"},
    };
    const struct dkim_verify_options lenient = {.now_s = NOW, .may_pass_partial = true};
    EXPECT_ROWS(rows);
    expect_row(&(struct row){SIG(TAGS "; l=20"), .expected = "pass"}, &lenient);
    expect_row(&(struct row){SIG(TAGS "; l=55"), .body = BODY "More", .expected = "pass"},
               &lenient);
    expect_row(
        &(struct row){SIG(TAGS "; l=56"), .expected = "fail the body is shorter than was signed"},
        &lenient);
}

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

static void expect_rsa(size_t bits, uint64_t exponent, bool is_bare, const char *expected)
{
    char seen[200];
    struct buf section = buf_make(1 << 20), record = buf_make(4096);
    OSSL_PARAM e[] = {OSSL_PARAM_construct_size_t("bits", &bits),
                      OSSL_PARAM_construct_uint64("e", &exponent), OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    unsigned char *der = NULL;
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
    expect_rsa(512, 65537, false, "policy the key is shorter than 1024 bits");
    expect_rsa(1016, 65537, false, "policy the key is shorter than 1024 bits");
    expect_rsa(1024, 65537, false, "pass");
    expect_rsa(1024, 65537, true, "pass");
    expect_rsa(1024, 3, false, "pass");
    expect_rsa(2048, 65537, false, "pass");
    expect_rsa(4096, 65537, false, "pass");
    expect_rsa(4104, 65537, false, "policy the key is longer than 4096 bits");
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
    dkim_verify_finish(v);
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
    dkim_verify_finish(v);
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
        cmocka_unit_test(test_the_signatures_of_rfc_8463_pass),
        cmocka_unit_test(test_the_signature_of_rfc_6376_passes),
        cmocka_unit_test(test_fields_that_can_be_read),
        cmocka_unit_test(test_fields_that_cannot_be_read),
        cmocka_unit_test(test_fields_that_can_never_hold),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_several_records),
        cmocka_unit_test(test_what_the_dns_does),
        cmocka_unit_test(test_changes_of_the_message),
        cmocka_unit_test(test_signatures_of_signatures),
        cmocka_unit_test(test_only_the_first_eight_are_checked),
        cmocka_unit_test(test_sizes_are_bounded),
        cmocka_unit_test(test_without_signatures_there_is_no_verdict),
        cmocka_unit_test(test_sizes_of_rsa_keys),
        cmocka_unit_test(test_verdicts_say_what_was_found),
        cmocka_unit_test(test_the_beginning_of_b_tells_signatures_apart),
        cmocka_unit_test(test_names_that_are_not_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
