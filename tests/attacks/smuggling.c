/* SPDX-License-Identifier: ISC */
/*
 * smuggling.c - every row of CR, LF, CRLF, NUL and dots, at every split, through the SMTP engine
 *
 * The judge is a reader of RFC 5321 to the letter, written here and nowhere else. The defence is
 * dotline_scan() and close_broken() on the way in, dotline_stuff() on the way out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mail/dotline.h"
#include "proto/smtp_server.h"

enum { ROW_MAX = 6, LIMIT = 1 << 16 };

static const struct str tokens[] = {{"\r", 1}, {"\n", 1}, {"\r\n", 2}, {"\0", 1}, {".", 1}};
enum { TOKENS = sizeof tokens / sizeof tokens[0] };

static const char behind[] = "MAIL FROM:<evil@b.test>\r\nRCPT TO:<c@b.test>\r\n.\r\nQUIT\r\n";

/* What a reader to the letter finds in content: 1 a message, 0 a breach; both at the octet *at. */
static int judge(struct str in, struct buf *content, size_t *at)
{
    bool is_at_start = true;
    for (size_t i = 0; i < in.n; i++) {
        bool is_pair = in.p[i] == '\r' && i + 1 < in.n && in.p[i + 1] == '\n';
        *at = i;
        if (is_at_start && str_starts(str_skip(in, i), STR(".\r\n"))) {
            *at = i + 3;
            return 1;
        }
        if (in.p[i] == '\0' || in.p[i] == '\n' || (in.p[i] == '\r' && !is_pair))
            return 0;
        if (is_pair)
            buf_append(content, STR("\r\n"));
        else if (!is_at_start || in.p[i] != '.')
            buf_append_byte(content, in.p[i]);
        is_at_start = is_pair;
        i += is_pair;
    }
    return 0;
}

struct heard {
    struct smtp_server server;
    struct buf content;
    size_t messages, mails;
    bool is_closed;
    size_t first_end; /* octets consumed when the first message was complete */
};

static void answer(struct heard *h, const struct smtp_event *e)
{
    const struct fault fine = FINE;
    h->mails += e->kind == SMTP_EVENT_MAIL;
    h->messages += e->kind == SMTP_EVENT_MESSAGE;
    h->is_closed = h->is_closed || e->kind == SMTP_EVENT_CLOSE;
    if (e->kind == SMTP_EVENT_CONTENT && h->messages == 0)
        buf_append(&h->content, e->content);
    while (smtp_server_answers_wanted(&h->server) > 0)
        smtp_server_answer(&h->server, &fine);
}

static void hear(struct heard *h, struct str in)
{
    struct smtp_event e = {.kind = SMTP_EVENT_NONE};
    do {
        size_t n = smtp_server_feed(&h->server, in, &e);
        in = str_skip(in, n);
        if (h->messages == 0)
            h->first_end += n;
        answer(h, &e);
        smtp_server_sent(&h->server, smtp_server_output(&h->server).n);
    } while (in.n > 0 || e.kind != SMTP_EVENT_NONE);
}

/* Plays a session up to the 354, then the content in two pieces. */
static void play(struct heard *h, const struct smtp_server_options *o, struct str in, size_t split)
{
    *h = (struct heard){.content = buf_make(LIMIT)};
    smtp_server_init(&h->server, o, false);
    smtp_server_greet(&h->server);
    smtp_server_sent(&h->server, smtp_server_output(&h->server).n);
    hear(h, STR("EHLO c.test\r\n"));
    hear(h, STR("MAIL FROM:<a@b.test>\r\n"));
    hear(h, STR("RCPT TO:<c@b.test>\r\n"));
    hear(h, STR("DATA\r\n"));
    h->mails = h->first_end = 0;
    hear(h, str_head(in, split));
    hear(h, str_skip(in, split));
}

static void check(const struct heard *h, int verdict, const struct buf *content, size_t at)
{
    if (verdict == 0) {
        assert_int_equal(h->messages, 0);
        assert_int_equal(h->mails, 0);
        assert_true(h->is_closed);
        return;
    }
    assert_true(h->messages >= 1);
    assert_int_equal(h->first_end, at);
    assert_true(str_equal(buf_str(&h->content), buf_str(content)));
}

static void stop(struct heard *h)
{
    smtp_server_free(&h->server);
    buf_free(&h->content);
}

static void try_row(struct str head, struct str row)
{
    const struct smtp_server_options o = {.hostname = STR("mx.test"), .size_limit = 0};
    struct buf in = buf_make(LIMIT), content = buf_make(LIMIT);
    struct heard h;
    size_t at = 0;
    buf_append(&in, head);
    buf_append(&in, row);
    buf_append(&in, str_make(behind, sizeof behind - 1));
    int verdict = judge(buf_str(&in), &content, &at);
    for (size_t split = head.n; split <= head.n + row.n + 2; split++) {
        play(&h, &o, buf_str(&in), split);
        check(&h, verdict, &content, at);
        stop(&h);
    }
    buf_free(&content);
    buf_free(&in);
}

/* Row number k of those with n tokens, which has a dot or is left out. */
static bool make_row(size_t n, size_t k, struct buf *out)
{
    bool has_dot = false;
    buf_free(out);
    for (size_t i = 0; i < n; i++, k /= TOKENS) {
        has_dot = has_dot || tokens[k % TOKENS].p[0] == '.';
        buf_append(out, tokens[k % TOKENS]);
    }
    return has_dot;
}

static size_t walk_rows(size_t most, void (*visit)(struct str row))
{
    struct buf row = buf_make(64);
    size_t count = 0, rows = 1;
    for (size_t n = 1; n <= most; n++) {
        rows *= TOKENS;
        for (size_t k = 0; k < rows; k++) {
            if (!make_row(n, k, &row))
                continue;
            visit(buf_str(&row));
            count++;
        }
    }
    buf_free(&row);
    return count;
}

static void enter(struct str row)
{
    try_row(STR("x"), row);
    try_row(STR(""), row);
    try_row(STR("S: t\r\n\r\n"), row);
}

static void test_every_row_ends_where_the_letter_says(void **state)
{
    (void)state;
    assert_true(walk_rows(ROW_MAX, enter) > 10000);
}

/* What any content looks like on the way out is one message with that content to the judge. */
static void leave(struct str row)
{
    struct buf content = buf_make(LIMIT), wire = buf_make(LIMIT), again = buf_make(LIMIT);
    struct dotline_stuffer stuffer = {0};
    struct str piece;
    size_t at = 0;
    for (size_t i = 0; i < row.n;
         i++) /* bare line ends are never kept: those that may be are pairs */
        if (row.p[i] == '\0')
            buf_append_byte(&content, 'x');
        else if (row.p[i] == '.')
            buf_append_byte(&content, '.');
        else if (row.p[i] == '\n')
            buf_append(&content, STR("\r\n"));
    for (size_t i = 0; i < content.used; i++) {
        struct str in = str_make(content.data + i, 1);
        while (dotline_stuff(&stuffer, &in, &piece))
            buf_append(&wire, piece);
    }
    buf_append(&wire, dotline_stuff_end(&stuffer));
    assert_int_equal(judge(buf_str(&wire), &again, &at), 1);
    assert_int_equal(at, wire.used);
    assert_true(str_starts(buf_str(&again), buf_str(&content)));
    assert_true(again.used == content.used || again.used == content.used + 2);
    buf_free(&again);
    buf_free(&wire);
    buf_free(&content);
}

static void test_what_goes_out_is_one_message(void **state)
{
    (void)state;
    walk_rows(ROW_MAX, leave);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_ends_where_the_letter_says),
        cmocka_unit_test(test_what_goes_out_is_one_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
