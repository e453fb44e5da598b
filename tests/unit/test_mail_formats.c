/* SPDX-License-Identifier: ISC */
/*
 * test_mail_formats.c - header fields, dates, trace fields
 */
#include "mail/date.h"
#include "mail/header.h"
#include "mail/received.h"

#include "mail_test.h"

static void test_header_fields_in_order(void **state)
{
    (void)state;
    struct str message = STR("From: a\r\nSubject : x\r\n  y\r\n\tz\r\nEmpty:\r\n\r\nbody: b\r\n");
    struct header_iterator i = header_iterate(message);
    struct header_field f;
    assert_true(header_next(&i, &f));
    assert_str(f.name, "From");
    assert_str(f.value, " a");
    assert_str(f.whole, "From: a\r\n");
    assert_true(header_next(&i, &f));
    assert_str(f.name, "Subject");
    assert_str(f.value, " x\r\n  y\r\n\tz");
    assert_str(f.whole, "Subject : x\r\n  y\r\n\tz\r\n");
    assert_true(header_next(&i, &f));
    assert_str(f.name, "Empty");
    assert_str(f.value, "");
    assert_false(header_next(&i, &f));
    assert_false(header_next(&i, &f));
    assert_true(i.has_separator);
    assert_str(i.rest, "body: b\r\n");
    assert_int_equal(header_size(message), message.n - 9);
}

static void test_header_ends_at_a_line_that_is_no_field(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        size_t fields, size;
    } rows[] = {
        {"", 0, 0},          {"\r\nA: b\r\n", 0, 2}, {"A: b\r\nno field\r\nC: d\r\n", 1, 6},
        {" A: b\r\n", 0, 0}, {"A: b", 1, 4},         {"A: b\nC: d\r\n\r\n", 1, 13},
        {": b\r\n", 0, 0},   {"A\x80: b\r\n", 0, 0}, {"A: b\r\n\r", 1, 6},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct header_iterator it = header_iterate(str_from(rows[i].message));
        struct header_field f;
        size_t fields = 0;
        while (header_next(&it, &f))
            fields++;
        assert_int_equal(fields, rows[i].fields);
        assert_int_equal(header_size(str_from(rows[i].message)), rows[i].size);
    }
}

static void test_text_without_a_header_section(void **state)
{
    (void)state;
    assert_true(header_is_missing(STR("hello\r\n")));
    assert_true(header_is_missing(STR(" a: b\r\n")));
    assert_true(header_is_missing(STR("hello")));
    assert_false(header_is_missing(STR("")));
    assert_false(header_is_missing(STR("\r\nhello\r\n")));
    assert_false(header_is_missing(STR("a: b\r\nhello\r\n")));
    assert_int_equal(header_gap(STR("a: b\r\nhello\r\nc: d\r\n")), 6);
    assert_int_equal(header_gap(STR("hello\r\n")), 0);
    assert_int_equal(header_gap(STR("hello")), 0);
    assert_int_equal(header_gap(STR("a: b\r\n hel")), 10);
    assert_int_equal(header_gap(STR("a: b\r\nhel")), 9);
    assert_int_equal(header_gap(STR("a: b\r\n")), 6);
    assert_int_equal(header_gap(STR("a: b\r\n\r\nhello\r\n")), 15);
    assert_int_equal(header_gap(STR("\r\nhello\r\n")), 9);
    assert_int_equal(header_gap(STR("")), 0);
}

static void test_header_lookup_and_count(void **state)
{
    (void)state;
    struct str message =
        STR("Received: 1\r\nreceived: 2\r\nX: y\r\nRECEIVED: 3\r\n\r\nReceived: 4");
    struct header_field f;
    assert_true(header_find(message, STR("x"), &f));
    assert_str(f.value, " y");
    assert_false(header_find(message, STR("z"), &f));
    assert_int_equal(header_count(message, STR("Received"), 100), 3);
    assert_int_equal(header_count(message, STR("Received"), 2), 2);
}

static void test_header_unfold(void **state)
{
    (void)state;
    struct buf out = buf_make(64);
    assert_true(header_unfold(&out, STR(" a\r\n b\r\n\tc d \r\n")));
    assert_str(buf_str(&out), "a b\tc d");
    assert_false(
        header_unfold(&out, STR("0123456789012345678901234567890123456789012345678901234567")));
    assert_str(buf_str(&out), "a b\tc d");
    buf_free(&out);
}

static void test_header_append_folds_and_cannot_be_injected(void **state)
{
    (void)state;
    struct buf out = buf_make(4096);
    assert_true(header_append(&out, STR("X"), STR("a\r\nBcc: b\x7F")));
    assert_str(buf_str(&out), "X: a??Bcc: b?\r\n");
    out.used = 0;
    char words[301];
    for (size_t i = 0; i < 300; i++)
        words[i] = i % 10 == 9 ? ' ' : 'w';
    assert_true(header_append(&out, STR("Name"), str_make(words, 300)));
    struct str rest = buf_str(&out), line;
    while (str_cut(rest, '\n', &line, &rest))
        assert_true(line.n <= 79 && line.n > 3);
    struct header_field f;
    assert_true(header_find(buf_str(&out), STR("name"), &f));
    struct buf unfolded = buf_make(4096);
    assert_true(header_unfold(&unfolded, f.value));
    assert_true(str_equal(buf_str(&unfolded), str_make(words, 299)));
    buf_free(&unfolded);
    buf_free(&out);
    struct buf small = buf_make(8);
    assert_false(header_append(&small, STR("Name"), STR("value")));
    assert_int_equal(small.used, 0);
    buf_free(&small);
}

static void test_date_format(void **state)
{
    (void)state;
    char text[DATE_MAX];
    assert_str(date_format(1795290097, 0, text), "Sat, 21 Nov 2026 19:41:37 +0000");
    assert_str(date_format(1795290097, -210, text), "Sat, 21 Nov 2026 16:11:37 -0330");
    assert_str(date_format(0, 60, text), "Thu, 1 Jan 1970 01:00:00 +0100");
}

static void test_date_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t unix_seconds;
    } rows[] = {
        {"Sat, 21 Nov 2026 19:41:37 +0000", 1795290097},
        {" Sat, 21 Nov 2026\r\n 16:11:37 -0330 (some (nested \\)) zone)", 1795290097},
        {"21 nov 2026 20:41 +0100", 1795290060},
        {"Sat, 21 Nov 26 19:41:37 GMT", 1795290097},
        {"Thu, 01 Jan 70 00:00:00 UT", 0},
        {"1 Jan 070 00:00:00 Z", 0},
        {"31 Dec 1969 19:00:00 EST", 0},
        {"31 Dec 2016 23:59:60 +0000", 1483228800},
        {"29 Feb 2024 00:00:00 +0000", 1709164800},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t got = -1;
        if (!date_parse(str_from(rows[i].text), &got))
            fail_msg("refused %s", rows[i].text);
        assert_int_equal(got, rows[i].unix_seconds);
    }
    static const char *const wrong[] = {
        "",
        "yesterday",
        "Xat, 21 Nov 2026 19:41:37 +0000",
        "Sat 21 Nov 2026 19:41:37 +0000",
        "31 Nov 2026 00:00:00 +0000",
        "29 Feb 2023 00:00:00 +0000",
        "0 Nov 2026 00:00:00 +0000",
        "21 Nov 2026 24:00:00 +0000",
        "21 Nov 2026 00:60:00 +0000",
        "21 Nov 2026 00:00:61 +0000",
        "21 Nov 2026 00:00:00",
        "21 Nov 2026 00:00:00 +000",
        "21 Nov 2026 00:00:00 +0060",
        "21 Nov 2026 00:00:00 +0000 x",
        "21 Nov 20266 00:00:00 +0000",
        "21 Nov 1 00:00:00 +0000",
        "21 Nov 1234 00:00:00 +0000",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t got;
        if (date_parse(str_from(wrong[i]), &got))
            fail_msg("accepted %s", wrong[i]);
    }
}

static void test_date_round_trip(void **state)
{
    (void)state;
    for (int64_t t = -2208900000; t < 253402200000; t += 86400 * 37 + 12345) {
        char text[DATE_MAX];
        int64_t got;
        int offset = (int)(t % 840);
        assert_true(date_parse(date_format(t, offset, text), &got));
        assert_int_equal(got, t);
    }
}

static void test_received_keywords(void **state)
{
    (void)state;
    static const struct {
        bool is_lmtp, is_extended, is_tls, is_authenticated, is_utf8;
        const char *with;
    } rows[] = {
        {false, false, false, false, false, "SMTP"},
        {false, true, false, false, false, "ESMTP"},
        {false, true, true, false, false, "ESMTPS"},
        {false, true, false, true, false, "ESMTPA"},
        {false, true, true, true, false, "ESMTPSA"},
        {false, true, false, false, true, "UTF8SMTP"},
        {false, true, true, true, true, "UTF8SMTPSA"},
        {true, true, false, false, false, "LMTP"},
        {true, true, true, true, false, "LMTPSA"},
        {true, true, true, false, true, "UTF8LMTPS"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char keyword[16];
        struct received r = {.is_lmtp = rows[i].is_lmtp,
                             .is_extended = rows[i].is_extended,
                             .is_tls = rows[i].is_tls,
                             .is_utf8 = rows[i].is_utf8,
                             .is_authenticated = rows[i].is_authenticated};
        assert_str(received_with(&r, keyword), rows[i].with);
    }
}

static void test_received_field(void **state)
{
    (void)state;
    struct arena arena = arena_make(4096);
    struct address bob;
    assert_true(address_parse(&arena, STR("bob@example.org"), 0, &bob));
    struct received r = {.helo = STR("client.example"),
                         .client_ip = STR("192.0.2.7"),
                         .hostname = STR("mx.example.org"),
                         .is_extended = true,
                         .is_tls = true,
                         .tls_version = STR("TLSv1.3"),
                         .tls_cipher = STR("TLS_AES_256_GCM_SHA384"),
                         .id = STR("4Xy1"),
                         .recipient = &bob,
                         .time = 1795290097};
    struct buf out = buf_make(RECEIVED_FIELD_MAX);
    assert_true(received_append(&out, &r));
    assert_str(buf_str(&out),
               "Received: from client.example (unknown [192.0.2.7]) by mx.example.org\r\n"
               " (Eilbote) with ESMTPS (TLSv1.3 cipher TLS_AES_256_GCM_SHA384) id 4Xy1 for\r\n"
               " <bob@example.org>; Sat, 21 Nov 2026 19:41:37 +0000\r\n");
    out.used = 0;
    r = (struct received){.helo = STR("evil) by x\r\nBcc: (y"),
                          .client_ip = STR("2001:db8::1"),
                          .client_name = STR("mail.example"),
                          .hostname = STR("mx"),
                          .is_lmtp = true};
    assert_true(received_append(&out, &r));
    assert_str(buf_str(&out),
               "Received: from evil??by?x??Bcc:??y (mail.example [IPv6:2001:db8::1]) by mx\r\n"
               " (Eilbote) with LMTP; Thu, 1 Jan 1970 00:00:00 +0000\r\n");
    out.used = 0;
    assert_true(received_append_return_path(&out, &(struct address){.is_null = true}));
    assert_true(received_append_return_path(&out, &bob));
    assert_str(buf_str(&out), "Return-Path: <>\r\nReturn-Path: <bob@example.org>\r\n");
    buf_free(&out);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_fields_in_order),
        cmocka_unit_test(test_header_ends_at_a_line_that_is_no_field),
        cmocka_unit_test(test_text_without_a_header_section),
        cmocka_unit_test(test_header_lookup_and_count),
        cmocka_unit_test(test_header_unfold),
        cmocka_unit_test(test_header_append_folds_and_cannot_be_injected),
        cmocka_unit_test(test_date_format),
        cmocka_unit_test(test_date_parse),
        cmocka_unit_test(test_date_round_trip),
        cmocka_unit_test(test_received_keywords),
        cmocka_unit_test(test_received_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
