/* SPDX-License-Identifier: ISC */
/*
 * test_smtp_client.c - the client's engine against servers that say too much, or the wrong thing
 *
 * What the good ones say is shown by the integration tests; here are the bounds.
 */
#include "proto/smtp_client.h"
#include "mail_test.h"

#define HELLO_CHUNKING "220 x\r\n250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n"

struct fixture {
    struct smtp_client client;
    struct smtp_client_options options;
    struct smtp_client_rcpt rcpt;
    struct smtp_client_mail mail;
    uint8_t is_accepted;
    struct smtp_client_event event;
    struct str rest; /* of what the server has said */
};

static void start(struct fixture *f, bool is_lmtp, bool may_chunk)
{
    *f = (struct fixture){
        .options = {.is_lmtp = is_lmtp, .may_chunk = may_chunk, .hello_name = STR("me")},
        .rcpt = {STR("a@x.test"), STR(""), STR("")},
    };
    f->mail = (struct smtp_client_mail){.sender = STR("s@y.test"),
                                        .rcpt = &f->rcpt,
                                        .rcpt_count = 1,
                                        .size_bytes = 3,
                                        .is_accepted = &f->is_accepted};
    smtp_client_init(&f->client, &f->options);
}

/* The next event, from what is left of the server's words. */
static enum smtp_client_event_kind next(struct fixture *f)
{
    f->rest = str_skip(f->rest, smtp_client_feed(&f->client, f->rest, &f->event));
    return f->event.kind;
}

static enum smtp_client_event_kind hear(struct fixture *f, const char *words)
{
    assert_int_equal(f->rest.n, 0);
    f->rest = str_from(words);
    return next(f);
}

static void test_ready_says_nothing_of_the_greeting(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, false, false);
    assert_int_equal(hear(&f, "220 welcome\r\n250 x\r\n"), SMTP_CLIENT_READY);
    assert_int_equal(f.event.fault.reply, 0);
    assert_string_equal(f.event.fault.text, "");
    smtp_client_free(&f.client);
}

/* A MAIL that was refused behind which a chunk was sent: its answer does not make it good. */
static void test_a_chunk_behind_a_refused_mail_is_not_delivered(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, false, true);
    assert_int_equal(hear(&f, HELLO_CHUNKING), SMTP_CLIENT_READY);
    smtp_client_begin(&f.client, &f.mail);
    assert_int_equal(next(&f), SMTP_CLIENT_BODY);
    smtp_client_body_sent(&f.client, &f.mail);
    assert_int_equal(hear(&f, "550 no\r\n503 what\r\n250 ok\r\n"), SMTP_CLIENT_DONE);
    assert_int_equal(f.event.fault.reply, 550);
    smtp_client_free(&f.client);
}

/*
 * LMTP answers a chunk once for each recipient that it took, and once when it took none: with that
 * answer for the next MAIL's a message would be refused for what was wrong with the one before.
 */
static void test_lmtp_answers_a_chunk_for_nobody_once(void **state)
{
    (void)state;
    static const char *const replies[] = {"452 4.3.1 full\r\n503 what\r\n503 for whom\r\n",
                                          "250 ok\r\n550 5.1.1 who\r\n503 for whom\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        start(&f, true, true);
        uint8_t is_accepted = 0;
        struct smtp_client_mail behind = f.mail;
        behind.is_accepted = &is_accepted;
        assert_int_equal(hear(&f, HELLO_CHUNKING), SMTP_CLIENT_READY);
        smtp_client_begin(&f.client, &f.mail);
        assert_int_equal(next(&f), SMTP_CLIENT_BODY);
        smtp_client_body_sent(&f.client, &f.mail);
        enum smtp_client_event_kind kind = hear(&f, replies[i]);
        if (i == 1) {
            assert_int_equal(kind, SMTP_CLIENT_RCPT);
            assert_int_equal(f.event.fault.reply, 550);
            kind = next(&f);
        }
        assert_int_equal(kind, SMTP_CLIENT_DONE);
        assert_ptr_equal(f.event.mail, &f.mail);
        assert_int_equal(f.event.fault.reply, i == 0 ? 452 : 0);
        smtp_client_begin(&f.client, &behind);
        assert_int_equal(next(&f), SMTP_CLIENT_BODY);
        smtp_client_body_sent(&f.client, &behind);
        assert_int_equal(hear(&f, "250 ok\r\n250 ok\r\n250 taken\r\n"), SMTP_CLIENT_RCPT);
        assert_ptr_equal(f.event.mail, &behind);
        assert_int_equal(f.event.fault.kind, FAULT_FINE);
        assert_int_equal(next(&f), SMTP_CLIENT_RCPT);
        assert_int_equal(f.event.fault.reply, 250);
        smtp_client_free(&f.client);
    }
}

static void test_the_dialogue_holds_no_control_bytes(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, false, false);
    struct str words = STR("220 a\0b\x1B[2J\r\n");
    assert_int_equal(smtp_client_feed(&f.client, words, &f.event), words.n);
    assert_str(str_head(buf_str(&f.client.dialogue), 15), "S: 220 a?b?[2J\n");
    smtp_client_free(&f.client);
}

static void test_a_line_and_a_reply_have_an_end(void **state)
{
    (void)state;
    struct fixture f;
    static char line[5000];
    memset(line, 'x', sizeof line);
    memcpy(line, "220 ", 4);
    for (size_t n = 4095; n <= 4096; n++) {
        bool is_too_long = n == 4096; /* with its LF */
        start(&f, false, false);
        smtp_client_feed(&f.client, str_make(line, n), &f.event);
        assert_int_equal(f.event.kind, SMTP_CLIENT_MORE);
        smtp_client_feed(&f.client, STR("\n"), &f.event);
        assert_int_equal(f.event.kind, is_too_long ? SMTP_CLIENT_BROKEN : SMTP_CLIENT_MORE);
        assert_int_equal(f.client.out.used > 0, !is_too_long); /* EHLO */
        smtp_client_free(&f.client);
    }
    start(&f, false, false);
    assert_int_equal(hear(&f, "220 x\r\n"), SMTP_CLIENT_MORE);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(hear(&f, "250-PIPELINING\r\n"), SMTP_CLIENT_MORE);
    assert_int_equal(hear(&f, "250-PIPELINING\r\n"), SMTP_CLIENT_BROKEN);
    assert_int_equal(f.event.fault.reply, 451);
    assert_int_equal(smtp_client_feed(&f.client, STR("250 x\r\n"), &f.event), 0);
    smtp_client_free(&f.client);
}

static void test_what_is_no_answer_breaks_the_connection(void **state)
{
    (void)state;
    static const char *const words[] = {"100 x\r\n", "600 x\r\n",   "22 x\r\n",
                                        "220x\r\n",  "354 go\r\n",  "220-x\r\n221 x\r\n",
                                        "\r\n",      "334 abc\r\n", "-20 x\r\n"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct fixture f;
        start(&f, false, false);
        assert_int_equal(hear(&f, words[i]), SMTP_CLIENT_BROKEN);
        smtp_client_free(&f.client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_says_nothing_of_the_greeting),
        cmocka_unit_test(test_a_chunk_behind_a_refused_mail_is_not_delivered),
        cmocka_unit_test(test_lmtp_answers_a_chunk_for_nobody_once),
        cmocka_unit_test(test_the_dialogue_holds_no_control_bytes),
        cmocka_unit_test(test_a_line_and_a_reply_have_an_end),
        cmocka_unit_test(test_what_is_no_answer_breaks_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
