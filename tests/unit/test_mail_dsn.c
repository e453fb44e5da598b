/* SPDX-License-Identifier: ISC */
/*
 * test_mail_dsn.c - delivery status notices
 */
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/sevenbit.h"

#include "mail_test.h"

struct fixture {
    struct arena arena;
    struct address sender, bob;
    struct dsn_recipient recipient;
    struct dsn dsn;
    struct buf out;
};

static void start(struct fixture *f, const char *sender, const char *recipient)
{
    *f = (struct fixture){.arena = arena_make(1 << 16), .out = buf_make(1 << 20)};
    assert_true(address_parse(&f->arena, str_from(sender), ADDRESS_ALLOW_UTF8, &f->sender));
    assert_true(address_parse(&f->arena, str_from(recipient), ADDRESS_ALLOW_UTF8, &f->bob));
    f->recipient = (struct dsn_recipient){.final = &f->bob,
                                          .orcpt = STR("rfc822;Bob+40example.net"),
                                          .action = DSN_FAILED,
                                          .status = FAULT_STATUS(5, 1, 1),
                                          .remote_mta = STR("mx.example.net"),
                                          .diagnostic = STR("550 5.1.1 No such user"),
                                          .is_diagnostic_smtp = true,
                                          .last_attempt = 1795290097};
    f->dsn = (struct dsn){.hostname = STR("mx.example.org"),
                          .time = 1795290100,
                          .message_id = STR("n1@mx.example.org"),
                          .boundary = STR("=_b1"),
                          .sender = &f->sender,
                          .envid = STR("QQ+2B314"),
                          .arrival = 1795290090,
                          .message = STR("Subject: hello\r\nFrom: a@b\r\n\r\nbody\r\n"),
                          .is_message_whole = true,
                          .message_limit = 1000,
                          .recipient = &f->recipient,
                          .recipient_count = 1};
}

static void stop(struct fixture *f)
{
    buf_free(&f->out);
    arena_free(&f->arena);
}

static void assert_has(const struct buf *b, const char *part)
{
    if (str_find(buf_str(b), str_from(part)) == b->used)
        fail_msg("<%s> is missing in:\n" STR_FMT, part, STR_ARG(buf_str(b)));
}

static void assert_lacks(const struct buf *b, const char *part)
{
    if (str_find(buf_str(b), str_from(part)) != b->used)
        fail_msg("<%s> should not be in:\n" STR_FMT, part, STR_ARG(buf_str(b)));
}

static void test_failed_notice_whole(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "alice@example.org", "bob@example.net");
    assert_true(dsn_append(&f.out, &f.dsn));
    assert_str(buf_str(&f.out),
               "Date: Sat, 21 Nov 2026 19:41:40 +0000\r\n"
               "From: Mail Delivery System <MAILER-DAEMON@mx.example.org>\r\n"
               "To: <alice@example.org>\r\n"
               "Subject: Your message could not be delivered\r\n"
               "Message-ID: <n1@mx.example.org>\r\n"
               "Auto-Submitted: auto-replied\r\n"
               "MIME-Version: 1.0\r\n"
               "Content-Type: multipart/report; report-type=delivery-status;\r\n"
               " boundary=\"=_b1\"\r\n"
               "\r\n--=_b1\r\n"
               "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
               "This is the mail server mx.example.org.\r\n\r\n"
               "It is about the message that you sent on\r\n"
               "Sat, 21 Nov 2026 19:41:30 +0000.\r\n\r\n"
               "It did not reach everybody. What happened to it, recipient by recipient:\r\n\r\n"
               "  <bob@example.net>\r\n"
               "    Happened:     The recipient's mail server refused it for good.\r\n"
               "    Mail server:  mx.example.net\r\n"
               "    It said:      550 5.1.1 No such user\r\n"
               "    What to do:   This mailbox does not exist. Check the address for\r\n"
               "                  typing mistakes, or ask the recipient for the current\r\n"
               "                  one.\r\n\r\n"
               "The technical details and your message, or its header, follow below.\r\n"
               "\r\n--=_b1\r\n"
               "Content-Type: message/delivery-status\r\n\r\n"
               "Original-Envelope-Id: QQ+314\r\n"
               "Reporting-MTA: dns; mx.example.org\r\n"
               "Arrival-Date: Sat, 21 Nov 2026 19:41:30 +0000\r\n\r\n"
               "Original-Recipient: rfc822; Bob@example.net\r\n"
               "Final-Recipient: rfc822; bob@example.net\r\n"
               "Action: failed\r\n"
               "Status: 5.1.1\r\n"
               "Remote-MTA: dns; mx.example.net\r\n"
               "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"
               "Last-Attempt-Date: Sat, 21 Nov 2026 19:41:37 +0000\r\n"
               "\r\n--=_b1\r\n"
               "Content-Type: message/rfc822\r\n\r\n"
               "Subject: hello\r\nFrom: a@b\r\n\r\nbody\r\n"
               "\r\n--=_b1--\r\n");
    stop(&f);
}

static void test_headers_only_when_asked_too_large_or_not_failed(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fixture f;
        start(&f, "alice@example.org", "bob@example.net");
        if (i == 0)
            f.dsn.ret = DSN_RETURN_HEADERS;
        if (i == 1)
            f.dsn.message_limit = 30;
        if (i == 2)
            f.recipient.action = DSN_DELIVERED;
        if (i == 3)
            f.dsn.is_message_whole = false;
        assert_true(dsn_append(&f.out, &f.dsn));
        assert_has(&f.out, "Content-Type: text/rfc822-headers\r\n\r\nSubject: hello\r\n");
        assert_lacks(&f.out, "body\r\n");
        stop(&f);
    }
}

static void test_without_the_original_there_is_no_third_part(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "alice@example.org", "bob@example.net");
    f.dsn.message = STR("");
    f.dsn.is_message_whole = false;
    assert_true(dsn_append(&f.out, &f.dsn));
    assert_has(&f.out, "Your message itself cannot be read any more.\r\n");
    assert_has(&f.out, "Last-Attempt-Date: Sat, 21 Nov 2026 19:41:37 +0000\r\n\r\n--=_b1--\r\n");
    assert_lacks(&f.out, "rfc822-headers");
    stop(&f);
}

static void test_delayed_notice_says_until_when(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "alice@example.org", "bob@example.net");
    f.recipient.action = DSN_DELAYED;
    f.recipient.status = FAULT_STATUS(4, 4, 1);
    f.recipient.is_diagnostic_smtp = false;
    f.recipient.will_retry_until = 1795290100 + 5 * 86400;
    assert_true(dsn_append(&f.out, &f.dsn));
    assert_has(&f.out, "Subject: Your message is delayed (we keep trying)\r\n");
    assert_has(&f.out, "Action: delayed\r\nStatus: 4.4.1\r\n");
    assert_has(&f.out, "Will-Retry-Until: Thu, 26 Nov 2026 19:41:40 +0000\r\n");
    assert_has(&f.out, "Diagnostic-Code: x-eilbote; 550 5.1.1 No such user\r\n");
    assert_has(&f.out, "Nothing. We give up and tell you at Thu, 26 Nov 2026");
    stop(&f);
}

static void test_utf8_address_in_an_ascii_notice(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "alice@example.org", "j\xC3\xB6rg@example.net");
    assert_true(dsn_append(&f.out, &f.dsn));
    assert_false(dsn_is_utf8(&f.dsn));
    assert_has(&f.out, "Final-Recipient: utf-8; j\\x{F6}rg@example.net\r\n");
    assert_has(&f.out, "  <j??rg@example.net>\r\n");
    assert_false(str_has_8bit(buf_str(&f.out)));
    stop(&f);
}

static void test_global_notice(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "\xC3\xA4lice@example.org", "j\xC3\xB6rg@example.net");
    f.dsn.message = STR("Subject: \xC3\xA4\r\n\r\nbody\r\n");
    assert_true(dsn_append(&f.out, &f.dsn));
    assert_has(&f.out, "report-type=global-delivery-status");
    assert_has(&f.out, "Content-Type: message/global-delivery-status\r\n");
    assert_has(&f.out, "Final-Recipient: utf-8; j\xC3\xB6rg@example.net\r\n");
    assert_has(&f.out,
               "Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject");
    f.out.used = 0;
    f.dsn.ret = DSN_RETURN_HEADERS;
    assert_true(dsn_append(&f.out, &f.dsn));
    assert_has(&f.out, "Content-Type: message/global-headers\r\n");
    f.out.used = 0;
    f.recipient.diagnostic = STR("550 caf\xE9 \xC3\xA9");
    assert_true(dsn_append(&f.out, &f.dsn));
    assert_has(&f.out, "Diagnostic-Code: smtp; 550 caf? \xC3\xA9\r\n");
    stop(&f);
}

/* The notice can go to a server without 8BITMIME. */
static void assert_convertible(struct str notice)
{
    struct sevenbit *s = sevenbit_make();
    sevenbit_look(s, notice);
    assert_string_equal(sevenbit_look_end(s).text, "");
    sevenbit_free(s);
}

static void test_the_original_comes_back_in_a_form_for_every_server(void **state)
{
    (void)state;
    static const struct {
        const char *message, *type;
        bool is_smtputf8;
    } rows[] = {
        {"Subject: s\r\n\r\n\xE4\r\n", "message/rfc822", false},
        {"Subject: s\r\n\r\n\xC3\xA4\r\n", "message/rfc822", true},
        {"Subject: \xC3\xA4\r\n\r\n\xE4\r\n", "message/global", false},
        {"Subject: \xC3\xA4\r\n\r\nx\r\n", "message/global", true},
        {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: \xC3\xA4\r\n\r\nx",
         "message/global", true},
        {"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xE4", "message/global",
         false},
        {"Subject: \xE4\r\n\r\nx\r\n", "text/rfc822-headers", false},
        {"Subject: \xE4\r\n\r\nx\r\n", "text/rfc822-headers", true},
        {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: \xE4\r\n\r\nx",
         "text/rfc822-headers", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        char line[80];
        start(&f, "alice@example.org", "bob@example.net");
        f.dsn.message = str_from(rows[i].message);
        f.dsn.is_smtputf8 = rows[i].is_smtputf8;
        assert_true(dsn_append(&f.out, &f.dsn));
        snprintf(line, sizeof line, "\r\nContent-Type: %s\r\n", rows[i].type);
        assert_has(&f.out, line);
        assert_convertible(buf_str(&f.out));
        f.out.used = 0;
        f.dsn.ret = DSN_RETURN_HEADERS;
        assert_true(dsn_append(&f.out, &f.dsn));
        assert_convertible(buf_str(&f.out));
        stop(&f);
    }
}

/* The notice adds a multipart and a message to what is nested in the original. */
static void test_an_original_of_many_parts_within_each_other(void **state)
{
    (void)state;
    for (int depth = SEVENBIT_DEPTH_MAX - 2; depth < SEVENBIT_DEPTH_MAX; depth++) {
        struct fixture f;
        struct buf message = buf_make(1 << 16);
        start(&f, "alice@example.org", "bob@example.net");
        for (int i = 0; i < depth; i++)
            buf_printf(&message, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i,
                       i);
        buf_append(&message, STR("\r\n\xC3\xA4\r\n"));
        f.dsn.message = buf_str(&message);
        f.dsn.message_limit = 1 << 16;
        assert_true(dsn_append(&f.out, &f.dsn));
        assert_has(&f.out, depth < SEVENBIT_DEPTH_MAX - 1
                               ? "Content-Type: message/rfc822\r\n"
                               : "Content-Type: text/rfc822-headers\r\n");
        assert_convertible(buf_str(&f.out));
        buf_free(&message);
        stop(&f);
    }
}

static void test_remote_text_cannot_forge_fields(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "alice@example.org", "bob@example.net");
    f.recipient.diagnostic = STR("550 x\r\nAction: delivered\xFF");
    f.recipient.orcpt = STR("rfc\r\n822;a+0D+0AAction: x");
    f.dsn.envid = STR("a+0D+0AX-Forged: y");
    assert_true(dsn_append(&f.out, &f.dsn));
    assert_has(&f.out, "Diagnostic-Code: smtp; 550 x??Action: delivered?\r\n");
    assert_lacks(&f.out, "\nAction: delivered");
    assert_lacks(&f.out, "\nX-Forged");
    assert_lacks(&f.out, "\nAction: x");
    stop(&f);
}

static void test_full_buffer_stays_as_it_was(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "alice@example.org", "bob@example.net");
    struct buf small = buf_make(900);
    assert_false(dsn_append(&small, &f.dsn));
    assert_int_equal(small.used, 0);
    buf_free(&small);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failed_notice_whole),
        cmocka_unit_test(test_headers_only_when_asked_too_large_or_not_failed),
        cmocka_unit_test(test_without_the_original_there_is_no_third_part),
        cmocka_unit_test(test_delayed_notice_says_until_when),
        cmocka_unit_test(test_utf8_address_in_an_ascii_notice),
        cmocka_unit_test(test_global_notice),
        cmocka_unit_test(test_the_original_comes_back_in_a_form_for_every_server),
        cmocka_unit_test(test_an_original_of_many_parts_within_each_other),
        cmocka_unit_test(test_remote_text_cannot_forge_fields),
        cmocka_unit_test(test_full_buffer_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
