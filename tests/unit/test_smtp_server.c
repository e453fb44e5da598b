/* SPDX-License-Identifier: ISC */
/*
 * test_smtp_server.c - what the transcripts cannot say: replies as lines, memory, back pressure
 */
#include "proto/smtp_reply.h"
#include "proto/smtp_server.h"

#include "mail_test.h"

static void test_reply_lines(void **state)
{
    (void)state;
    static const struct {
        unsigned code;
        struct fault_status status;
        const char *text;
        bool allow_utf8;
        const char *wire;
    } rows[] = {
        {250, {2, 0, 0}, "OK", false, "250 2.0.0 OK\r\n"},
        {250, {2, 0, 0}, "", false, "250 2.0.0\r\n"},
        {354, {0, 0, 0}, "Go", false, "354 Go\r\n"},
        {250, {0, 0, 0}, "a\nb\nc", false, "250-a\r\n250-b\r\n250 c\r\n"},
        {550, {5, 7, 1}, "a\nb", false, "550-5.7.1 a\r\n550 5.7.1 b\r\n"},
        {550, {5, 7, 1}, "a\r\tb\x7F\x01", false, "550 5.7.1 a??b??\r\n"},
        {550, {5, 7, 1}, "\xC3\xA4", false, "550 5.7.1 ??\r\n"},
        {550, {5, 7, 1}, "\xC3\xA4", true, "550 5.7.1 \xC3\xA4\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = buf_make(1000);
        assert_true(smtp_reply_append(&out, rows[i].code, rows[i].status, str_from(rows[i].text),
                                      rows[i].allow_utf8));
        assert_str(buf_str(&out), rows[i].wire);
        buf_free(&out);
    }
}

static void test_long_replies_are_continued(void **state)
{
    (void)state;
    char text[2001];
    for (size_t i = 0; i < 2000; i++)
        text[i] = i < 1000 && i % 7 == 6 ? ' ' : 'x';
    struct buf out = buf_make(8192);
    assert_true(smtp_reply_append(&out, 550, FAULT_STATUS(5, 7, 1), str_make(text, 2000), false));
    struct str rest = buf_str(&out), line;
    size_t lines = 0, octets = 0;
    while (rest.n > 0 && str_cut(rest, '\n', &line, &rest)) {
        struct smtp_reply_line reply;
        assert_true(line.n + 1 <= SMTP_REPLY_LINE_MAX);
        assert_true(smtp_reply_parse(line, &reply));
        assert_int_equal(reply.code, 550);
        assert_int_equal(reply.is_last, rest.n == 0);
        lines++;
        octets += reply.text.n - 6;
    }
    assert_true(lines >= 5);
    assert_true(octets >= 2000 - lines && octets <= 2000);
    out.used = 0;
    out.limit = out.size;
    while (smtp_reply_append(&out, 250, FAULT_STATUS(2, 0, 0), STR("OK"), false))
        ;
    assert_true(out.used > 0 && out.used % 14 == 0 && out.used <= out.limit);
    out.used = 0;
    assert_true(smtp_reply_append(&out, 550, FAULT_STATUS(5, 999, 100), STR("x"), false));
    assert_str(buf_str(&out), "550 5.999.100 x\r\n");
    buf_free(&out);
}

static void test_reply_parse(void **state)
{
    (void)state;
    struct smtp_reply_line r;
    assert_true(smtp_reply_parse(STR("250-2.1.0 x\r\n"), &r));
    assert_int_equal(r.code, 250);
    assert_false(r.is_last);
    assert_str(r.text, "2.1.0 x");
    assert_true(smtp_reply_parse(STR("354"), &r));
    assert_true(r.is_last);
    assert_str(r.text, "");
    assert_true(smtp_reply_parse(STR("250 "), &r));
    assert_true(r.is_last);
    static const char *const wrong[] = {"",       "25",  "199 x", "600 x",
                                        "2500 x", "abc", "250x",  "-50 x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(smtp_reply_parse(str_from(wrong[i]), &r));
}

static const struct smtp_server_options options = {
    .hostname = {"mx.test", 7}, .size_limit = 1 << 20, .rcpt_limit = 1000, .line_limit = 1000};

static void send_all(struct smtp_server *s)
{
    smtp_server_sent(s, smtp_server_output(s).n);
}

/* Feeds until nothing is left, answers all questions with yes. */
static void play(struct smtp_server *s, struct str in)
{
    struct smtp_event e;
    do {
        in = str_skip(in, smtp_server_feed(s, in, &e));
        while (smtp_server_answers_wanted(s) > 0)
            smtp_server_answer(s, &FINE);
        if (e.kind == SMTP_EVENT_NONE)
            send_all(s);
    } while (in.n > 0 || e.kind != SMTP_EVENT_NONE);
    send_all(s);
}

static void test_idle_engine_is_small(void **state)
{
    (void)state;
    struct smtp_server s;
    assert_true(sizeof s < 700);
    smtp_server_init(&s, &options, false);
    smtp_server_greet(&s);
    send_all(&s);
    play(&s, STR("EHLO client.test\r\n"));
    assert_str(smtp_server_helo(&s), "client.test");
    play(&s, STR("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"));
    play(&s, STR("hello\r\n.\r\n"));
    play(&s, STR("NO"));
    play(&s, STR("OP\r\n"));
    play(&s, STR(""));
    assert_int_equal(s.transaction_count, 1);
    assert_int_equal(s.message_count, 1);
    struct smtp_event e;
    assert_int_equal(smtp_server_feed(&s, STR("N"), &e), 1);
    assert_int_equal(s.output.size + s.scratch.total + s.transaction.arena.total, 0);
    assert_true(s.line.size + s.helo.size <= 512);
    smtp_server_free(&s);
}

static void test_full_output_stops_the_input(void **state)
{
    (void)state;
    struct smtp_server s;
    struct smtp_event e;
    struct buf commands = buf_make(1 << 20);
    for (size_t i = 0; i < 10000; i++)
        assert_true(buf_append(&commands, STR("NOOP\r\n")));
    smtp_server_init(&s, &options, false);
    smtp_server_greet(&s);
    send_all(&s);
    struct str in = buf_str(&commands);
    size_t replies = 0;
    while (in.n > 0) {
        in = str_skip(in, smtp_server_feed(&s, in, &e));
        assert_int_equal(e.kind, SMTP_EVENT_NONE);
        assert_true(smtp_server_output(&s).n < 17 * 1024);
        replies += smtp_server_output(&s).n / 14;
        send_all(&s);
    }
    assert_int_equal(replies, 10000);
    buf_free(&commands);
    smtp_server_free(&s);
}

static void test_open_question_consumes_nothing(void **state)
{
    (void)state;
    struct smtp_server s;
    struct smtp_event e;
    struct str in = STR("MAIL FROM:<a@b.test>\r\nNOOP\r\n");
    smtp_server_init(&s, &options, false);
    smtp_server_greet(&s);
    send_all(&s);
    play(&s, STR("HELO x\r\n"));
    assert_int_equal(smtp_server_feed(&s, in, &e), 22);
    assert_int_equal(e.kind, SMTP_EVENT_MAIL);
    assert_int_equal(smtp_server_feed(&s, str_skip(in, 22), &e), 0);
    assert_int_equal(e.kind, SMTP_EVENT_NONE);
    assert_int_equal(smtp_server_output(&s).n, 0);
    smtp_server_answer(&s, &FINE);
    assert_str(smtp_server_output(&s), "250 2.1.0 Sender OK\r\n");
    smtp_server_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_lines),
        cmocka_unit_test(test_long_replies_are_continued),
        cmocka_unit_test(test_reply_parse),
        cmocka_unit_test(test_idle_engine_is_small),
        cmocka_unit_test(test_full_output_stops_the_input),
        cmocka_unit_test(test_open_question_consumes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
