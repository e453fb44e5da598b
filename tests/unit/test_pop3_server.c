/* SPDX-License-Identifier: ISC */
/*
 * test_pop3_server.c - POP3 as transcripts: played whole, byte by byte and at random splits
 *
 * The caller of the engine is played by answer(): alice has three messages, busy is in use, trouble
 * meets trouble, everybody's password is "let me in". Mechanism PLAIN wants the response
 * "\0alice\0x", mechanism TWO asks once and then tells something.
 */
#include "proto/pop3_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const contents[] = {
    "Subject: one\r\n\r\nfirst\r\n.second\r\n..\r\nlast\r\n",
    "Subject: two\r\nX: y\r\n",
    "\r\nno end",
};

struct play {
    struct pop3_server server;
    struct pop3_message message[3];
    struct buf wire;
    unsigned rng;
    bool is_closed;
    char removed[8];
};

static const struct pop3_server_options options = {
    .has_stls = true, .may_clear_auth = false, .mechanisms = {"PLAIN TWO", 9}, .error_max = 20};

static unsigned random_upto(struct play *p, unsigned limit)
{
    p->rng = p->rng * 1103515245U + 12345U;
    return (p->rng >> 16) % limit;
}

static void drain(struct play *p)
{
    struct str out = pop3_server_output(&p->server);
    assert_true(buf_append(&p->wire, out));
    pop3_server_sent(&p->server, out.n);
}

static void send_content(struct play *p, size_t index)
{
    struct str rest = str_from(contents[index]);
    bool is_wanted = true;
    while (rest.n > 0 && is_wanted) {
        size_t n = p->rng ? 1 + random_upto(p, 5) : rest.n;
        is_wanted = pop3_server_content(&p->server, str_head(rest, n));
        rest = str_skip(rest, n);
        drain(p);
    }
    pop3_server_content_end(&p->server);
}

static void log_in(struct play *p)
{
    pop3_server_open(&p->server, p->message, 3, 17);
}

static void answer(struct play *p, const struct pop3_event *e)
{
    switch (e->kind) {
    case POP3_MORE:
        break;
    case POP3_LOGIN:
        if (str_equal(e->user, STR("busy")))
            pop3_server_refuse(&p->server, POP3_REFUSE_IN_USE);
        else if (str_equal(e->user, STR("trouble")))
            pop3_server_refuse(&p->server, POP3_REFUSE_TEMPORARY);
        else if (!str_equal(e->password, STR("let me in")))
            pop3_server_refuse(&p->server, POP3_REFUSE_AUTH);
        else
            log_in(p);
        break;
    case POP3_AUTH:
        if (!e->has_data)
            pop3_server_challenge(&p->server, STR(""));
        else if (str_equal(e->data, STR("\0alice\0x")))
            log_in(p);
        else if (str_equal(e->data, STR("two")))
            pop3_server_challenge(&p->server, STR("more?"));
        else
            pop3_server_refuse(&p->server, POP3_REFUSE_AUTH);
        break;
    case POP3_AUTH_RESPONSE:
        if (str_equal(e->data, STR("yes")))
            pop3_server_challenge(&p->server, STR("v=done"));
        else if (str_equal(e->data, STR("")) || str_equal(e->data, STR("\0alice\0x")))
            log_in(p);
        else
            pop3_server_refuse(&p->server, POP3_REFUSE_AUTH);
        break;
    case POP3_STLS:
        drain(p);
        assert_true(buf_append(&p->wire, STR("<TLS>\n")));
        pop3_server_tls_started(&p->server);
        break;
    case POP3_CONTENT:
        send_content(p, e->index);
        break;
    case POP3_UPDATE:
        for (size_t i = 0; i < 3; i++)
            if (p->message[i].is_deleted)
                snprintf(p->removed + strlen(p->removed), 3, "%zu", i + 1);
        pop3_server_updated(&p->server, true);
        break;
    case POP3_CLOSE:
        p->is_closed = true;
        break;
    }
}

/* Feeds the bytes and answers until nothing is left to do with them. */
static size_t feed_all(struct play *p, struct str in)
{
    size_t taken = 0;
    for (;;) {
        struct pop3_event e;
        size_t n = pop3_server_feed(&p->server, str_skip(in, taken), &e);
        taken += n;
        answer(p, &e);
        bool is_idle = n == 0 && e.kind == POP3_MORE && pop3_server_output(&p->server).n == 0;
        drain(p);
        if (p->is_closed || is_idle)
            return taken;
    }
}

/* Plays the input; split 0 is whole, 1 byte by byte, more are random. */
static struct play *play(struct str in, bool is_secure, unsigned split)
{
    struct play *p = calloc(1, sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < 3; i++)
        p->message[i] =
            (struct pop3_message){(int64_t)strlen(contents[i]), (uint32_t)(7 + i), false};
    p->wire = buf_make(1 << 20);
    p->rng = split;
    pop3_server_init(&p->server, &options, is_secure);
    drain(p);
    while (in.n > 0 && !p->is_closed) {
        size_t n = split == 0 ? in.n : split == 1 ? 1 : 1 + random_upto(p, 30);
        struct str part = str_head(in, n);
        size_t taken = feed_all(p, part);
        assert_true(taken == part.n || p->is_closed);
        in = str_skip(in, part.n);
    }
    return p;
}

static void end_play(struct play *p)
{
    pop3_server_free(&p->server);
    buf_free(&p->wire);
    free(p);
}

static void assert_wire(struct str in, bool is_secure, const char *expected, const char *removed)
{
    for (unsigned split = 0; split < 60; split++) {
        struct play *p = play(in, is_secure, split);
        assert_true(buf_append_byte(&p->wire, '\0'));
        assert_string_equal(p->wire.data, expected);
        assert_string_equal(p->removed, removed);
        end_play(p);
    }
}

#define HELLO "+OK POP3 server ready\r\n"
#define LOGIN "USER alice\r\nPASS let me in\r\n"
#define IN    HELLO "+OK now the password\r\n+OK 3 messages\r\n"

static void test_a_whole_session(void **state)
{
    (void)state;
    assert_wire(STR(LOGIN "STAT\r\nLIST\r\nLIST 2\r\nUIDL\r\nUIDL 3\r\nRETR 1\r\nDELE 1\r\n"
                          "DELE 1\r\nRETR 1\r\nLIST\r\nSTAT\r\nNOOP\r\nQUIT\r\n"),
                true,
                IN "+OK 3 70\r\n"
                   "+OK the list follows\r\n1 42\r\n2 20\r\n3 8\r\n.\r\n"
                   "+OK 2 20\r\n"
                   "+OK the list follows\r\n1 17.7\r\n2 17.8\r\n3 17.9\r\n.\r\n"
                   "+OK 3 17.9\r\n"
                   "+OK 42 octets\r\nSubject: one\r\n\r\nfirst\r\n..second\r\n...\r\nlast\r\n.\r\n"
                   "+OK marked\r\n"
                   "-ERR no such message\r\n"
                   "-ERR no such message\r\n"
                   "+OK the list follows\r\n2 20\r\n3 8\r\n.\r\n"
                   "+OK 2 28\r\n+OK\r\n+OK goodbye\r\n",
                "1");
}

static void test_top_counts_body_lines(void **state)
{
    (void)state;
    assert_wire(STR(LOGIN "TOP 1 0\r\nTOP 1 2\r\nTOP 1 99\r\nTOP 2 5\r\nTOP 3 0\r\nTOP 3 1\r\n"
                          "RETR 3\r\nTOP 1\r\nTOP 1 x\r\nTOP 9 1\r\n"),
                true,
                IN "+OK the top follows\r\nSubject: one\r\n\r\n.\r\n"
                   "+OK the top follows\r\nSubject: one\r\n\r\nfirst\r\n..second\r\n.\r\n"
                   "+OK the top follows\r\nSubject: one\r\n\r\nfirst\r\n..second\r\n...\r\n"
                   "last\r\n.\r\n"
                   "+OK the top follows\r\nSubject: two\r\nX: y\r\n.\r\n"
                   "+OK the top follows\r\n\r\n.\r\n"
                   "+OK the top follows\r\n\r\nno end\r\n.\r\n"
                   "+OK 8 octets\r\n\r\nno end\r\n.\r\n"
                   "-ERR wrong number of arguments\r\n"
                   "-ERR TOP wants a message and a number of lines\r\n"
                   "-ERR no such message\r\n",
                "");
}

static void test_rset_takes_the_marks_away(void **state)
{
    (void)state;
    assert_wire(STR(LOGIN "DELE 2\r\nDELE 3\r\nRSET\r\nDELE 3\r\nQUIT\r\nNOOP\r\n"), true,
                IN "+OK marked\r\n+OK marked\r\n+OK nothing is marked\r\n+OK marked\r\n"
                   "+OK goodbye\r\n",
                "3");
}

static void test_login_refusals_say_why(void **state)
{
    (void)state;
    assert_wire(
        STR("PASS x\r\nUSER alice\r\nPASS wrong\r\nPASS let me in\r\nUSER busy\r\nPASS x\r\n"
            "USER trouble\r\nPASS x\r\nUSER alice\r\nCAPA x\r\nPASS let me in\r\nSTAT\r\n"
            "USER a b\r\nQUIT\r\n"),
        true,
        HELLO "-ERR say USER first\r\n+OK now the password\r\n"
              "-ERR [AUTH] wrong user or password\r\n-ERR say USER first\r\n"
              "+OK now the password\r\n"
              "-ERR [IN-USE] the maildrop is open in another session\r\n"
              "+OK now the password\r\n-ERR [SYS/TEMP] try again later\r\n"
              "+OK now the password\r\n-ERR wrong number of arguments\r\n"
              "-ERR say USER first\r\n-ERR log in first\r\n"
              "-ERR wrong number of arguments\r\n+OK goodbye\r\n",
        "");
}

static void test_sasl(void **state)
{
    (void)state;
    assert_wire(STR("AUTH PLAIN AGFsaWNlAHg=\r\nSTAT\r\n"), true,
                HELLO "+OK 3 messages\r\n+OK 3 70\r\n", "");
    assert_wire(STR("AUTH plain\r\nAGFsaWNlAHg=\r\nAUTH PLAIN\r\n"), true,
                HELLO "+ \r\n+OK 3 messages\r\n-ERR you are logged in\r\n", "");
    assert_wire(STR("AUTH TWO dHdv\r\neWVz\r\n\r\nNOOP\r\n"), true,
                HELLO "+ bW9yZT8=\r\n+ dj1kb25l\r\n+OK 3 messages\r\n+OK\r\n", "");
    assert_wire(STR("AUTH PLAIN\r\n*\r\nAUTH PLAIN\r\n!!\r\nAUTH PLAIN !!\r\nAUTH PLAIN =\r\n"
                    "AUTH GSSAPI\r\nAUTH\r\nAUTH PLAIN\r\nbm8=\r\n"),
                true,
                HELLO "+ \r\n-ERR authentication cancelled\r\n"
                      "+ \r\n-ERR the response is not base64\r\n"
                      "-ERR the initial response is not base64\r\n"
                      "-ERR [AUTH] wrong user or password\r\n"
                      "-ERR this mechanism is not offered, see CAPA\r\n"
                      "-ERR wrong number of arguments\r\n"
                      "+ \r\n-ERR [AUTH] wrong user or password\r\n",
                "");
}

#define CAPA_HEAD                                                                                  \
    "+OK capabilities follow\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"     \
    "EXPIRE NEVER\r\n"

static void test_no_password_in_the_clear(void **state)
{
    (void)state;
    assert_wire(STR("CAPA\r\nUSER alice\r\nPASS let me in\r\nAUTH PLAIN AGFsaWNlAHg=\r\nQUIT\r\n"),
                false,
                HELLO CAPA_HEAD "STLS\r\n.\r\n"
                                "-ERR passwords need TLS here, say STLS first\r\n"
                                "-ERR passwords need TLS here, say STLS first\r\n"
                                "-ERR passwords need TLS here, say STLS first\r\n+OK goodbye\r\n",
                "");
}

static void test_stls_then_login(void **state)
{
    (void)state;
    static const char expected[] =
        HELLO "+OK begin TLS\r\n<TLS>\n" CAPA_HEAD "USER\r\nSASL PLAIN TWO\r\n.\r\n"
              "-ERR TLS is on already\r\n+OK now the password\r\n+OK 3 messages\r\n"
              "-ERR you are logged in\r\n";
    /* Byte by byte only: a client waits for the answer to STLS. */
    struct play *p = play(STR("STLS\r\nCAPA\r\nSTLS\r\n" LOGIN "STLS\r\n"), false, 1);
    assert_true(buf_append_byte(&p->wire, '\0'));
    assert_string_equal(p->wire.data, expected);
    end_play(p);
}

static void test_bytes_behind_stls_close(void **state)
{
    (void)state;
    struct play *p = play(STR("STLS\r\nUSER alice\r\n"), false, 0);
    assert_true(p->is_closed);
    assert_true(buf_append_byte(&p->wire, '\0'));
    assert_string_equal(p->wire.data, HELLO "-ERR bytes behind STLS, closing\r\n");
    end_play(p);
}

static void test_replies_before_a_refused_stls_are_given(void **state)
{
    (void)state;
    struct play *p = play(STR("CAPA\r\nNOOP\r\nSTLS\r\nUSER x\r\n"), false, 0);
    assert_true(p->is_closed);
    assert_true(buf_append_byte(&p->wire, '\0'));
    assert_string_equal(p->wire.data, HELLO CAPA_HEAD "STLS\r\n.\r\n-ERR log in first\r\n"
                                                      "-ERR bytes behind STLS, closing\r\n");
    end_play(p);
}

static void test_bad_lines_are_refused(void **state)
{
    char longest[600];
    (void)state;
    assert_wire(
        STR("\r\nHELO x\r\nNOOP\nUSER a\tb\r\nUSER a\0b\r\nSTAT\r\nQUIT now\r\nRETR 1\r\n"), true,
        HELLO "-ERR unknown command\r\n-ERR unknown command\r\n-ERR lines end with CR LF\r\n"
              "-ERR control characters in the line\r\n"
              "-ERR control characters in the line\r\n"
              "-ERR log in first\r\n-ERR wrong number of arguments\r\n"
              "-ERR log in first\r\n",
        "");
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "USER ", 5);
    memcpy(longest + 253, "\r\nUSER ", 7);
    memcpy(longest + 255 + 254, "\r\nQUIT\r\n", 8);
    assert_wire(str_make(longest, 255 + 254 + 8), true,
                HELLO "+OK now the password\r\n-ERR line too long\r\n+OK goodbye\r\n", "");
}

static void test_wrong_numbers(void **state)
{
    (void)state;
    assert_wire(STR(LOGIN "RETR 0\r\nRETR 4\r\nRETR -1\r\nRETR 1x\r\nDELE 99999999999999999999\r\n"
                          "LIST 4\r\nUIDL 0\r\nRETR\r\nSTAT 1\r\n"),
                true,
                IN "-ERR no such message\r\n-ERR no such message\r\n-ERR no such message\r\n"
                   "-ERR no such message\r\n-ERR no such message\r\n-ERR no such message\r\n"
                   "-ERR no such message\r\n-ERR wrong number of arguments\r\n"
                   "-ERR wrong number of arguments\r\n",
                "");
}

static void test_too_many_errors_close(void **state)
{
    (void)state;
    struct buf in = buf_make(1 << 16), expected = buf_make(1 << 16);
    assert_true(buf_append(&expected, STR(HELLO)));
    for (int i = 0; i < 30; i++)
        assert_true(buf_append(&in, STR("WHAT\r\n")));
    for (int i = 0; i < 19; i++)
        assert_true(buf_append(&expected, STR("-ERR unknown command\r\n")));
    assert_true(buf_append(&expected, STR("-ERR too many errors, closing\r\n\0")));
    assert_wire(buf_str(&in), true, expected.data, "");
    buf_free(&in);
    buf_free(&expected);
}

static void test_long_listing_stays_bounded(void **state)
{
    enum { COUNT = 100000 };
    (void)state;
    struct pop3_message *many = calloc(COUNT, sizeof *many);
    struct pop3_server s;
    struct pop3_event e;
    size_t lines = 0, most = 0;
    assert_non_null(many);
    pop3_server_init(&s, &options, true);
    assert_int_equal(pop3_server_feed(&s, STR("USER a\r\n"), &e), 8);
    assert_int_equal(pop3_server_feed(&s, STR("PASS a\r\n"), &e), 8);
    pop3_server_open(&s, many, COUNT, 1);
    pop3_server_sent(&s, pop3_server_output(&s).n);
    struct str in = STR("UIDL\r\nNOOP\r\n");
    do {
        in = str_skip(in, pop3_server_feed(&s, in, &e));
        struct str out = pop3_server_output(&s);
        most = out.n > most ? out.n : most;
        for (size_t i = 0; i < out.n; i++)
            lines += out.p[i] == '\n';
        pop3_server_sent(&s, out.n);
    } while (most > 0 && (in.n > 0 || s.list_next < COUNT));
    assert_int_equal(lines, COUNT + 3);
    assert_true(most < 20000);
    pop3_server_free(&s);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_session),
        cmocka_unit_test(test_top_counts_body_lines),
        cmocka_unit_test(test_rset_takes_the_marks_away),
        cmocka_unit_test(test_login_refusals_say_why),
        cmocka_unit_test(test_sasl),
        cmocka_unit_test(test_no_password_in_the_clear),
        cmocka_unit_test(test_stls_then_login),
        cmocka_unit_test(test_bytes_behind_stls_close),
        cmocka_unit_test(test_replies_before_a_refused_stls_are_given),
        cmocka_unit_test(test_bad_lines_are_refused),
        cmocka_unit_test(test_wrong_numbers),
        cmocka_unit_test(test_too_many_errors_close),
        cmocka_unit_test(test_long_listing_stays_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
