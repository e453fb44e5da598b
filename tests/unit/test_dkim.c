/* SPDX-License-Identifier: ISC */
/* Signatures (RFC 6376, 8301, 8463, 8616): known ones, and a row for each rule about what does not pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_signatures_of_rfc_8463_pass),
        cmocka_unit_test(test_the_signature_of_rfc_6376_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
