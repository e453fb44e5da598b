/* SPDX-License-Identifier: ISC */
/* Signatures (RFC 6376, 8301, 8463): known ones, and a row for each rule about their field. */
#include "dkim_rows.h"

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
    };
    EXPECT_ROWS(rows);
}

static void test_values_that_cannot_be_read(void **state)
{
    (void)state;
    static const struct row rows[] = {
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
        {SIG(TAGS "; t=1; x=1700000000"), .expected = "pass"},
        {SIG(TAGS "; x=1699999999"), .expected = "permerror the signature has expired"},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_signatures_of_rfc_8463_pass),
        cmocka_unit_test(test_the_signature_of_rfc_6376_passes),
        cmocka_unit_test(test_fields_that_can_be_read),
        cmocka_unit_test(test_fields_that_cannot_be_read),
        cmocka_unit_test(test_values_that_cannot_be_read),
        cmocka_unit_test(test_fields_that_can_never_hold),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
