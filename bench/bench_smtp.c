/* SPDX-License-Identifier: ISC */
/*
 * bench_smtp.c - what the SMTP engines cost, in memory
 *
 * One command and one message of 4 KiB through smtp_server, the same message through smtp_client
 * and smtp_server together, and the scan for the final dot.
 */
#include "mail/dotline.h"
#include "os/clock.h"
#include "proto/smtp_client.h"
#include "proto/smtp_server.h"

#include <stdio.h>
#include <stdlib.h>

enum { COMMANDS = 3000000, MESSAGES = 500000, SCANS = 200000, CONTENT = 4096, SCANNED = 65536 };

static const struct smtp_server_options server_options = {
    .hostname = {"mx.test", 7}, .size_limit = 1 << 20, .rcpt_limit = 1000, .line_limit = 1000};

static void report(const char *what, int64_t begin_ns, int64_t count)
{
    printf("%-44s %9.1f ns\n", what, (double)(clock_now_ns() - begin_ns) / (double)count);
}

/* Lines of 72 octets, size in all. */
static struct str make_content(size_t size)
{
    char *p = malloc(size);
    if (!p)
        abort();
    for (size_t i = 0; i < size; i++)
        p[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'x';
    p[size - 2] = '\r';
    p[size - 1] = '\n';
    return str_make(p, size);
}

static int64_t messages_taken;

/* Says yes to everything. */
static void feed_server(struct smtp_server *s, struct str in)
{
    struct smtp_event e;
    const struct fault fine = FINE;
    do {
        in = str_skip(in, smtp_server_feed(s, in, &e));
        messages_taken += e.kind == SMTP_EVENT_MESSAGE;
        while (smtp_server_answers_wanted(s) > 0)
            smtp_server_answer(s, &fine);
        if (in.n > 0 && e.kind == SMTP_EVENT_NONE)
            smtp_server_sent(s, smtp_server_output(s).n);
    } while (in.n > 0 || e.kind != SMTP_EVENT_NONE);
}

static void start(struct smtp_server *s)
{
    smtp_server_init(s, &server_options, false);
    smtp_server_greet(s);
    smtp_server_sent(s, smtp_server_output(s).n);
}

static void take(struct smtp_server *s, struct str in)
{
    feed_server(s, in);
    smtp_server_sent(s, smtp_server_output(s).n);
}

static void measure_server(struct str content)
{
    struct smtp_server s;
    start(&s);
    take(&s, STR("EHLO client.test\r\n"));
    int64_t begin = clock_now_ns();
    for (int i = 0; i < COMMANDS; i++)
        take(&s, STR("NOOP\r\n"));
    report("smtp_server: one command", begin, COMMANDS);
    begin = clock_now_ns();
    messages_taken = 0;
    for (int i = 0; i < MESSAGES; i++) {
        take(&s, STR("MAIL FROM:<a@client.test>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\n"));
        take(&s, content);
        take(&s, STR(".\r\n"));
    }
    report("smtp_server: one message of 4 KiB", begin, MESSAGES);
    if (messages_taken != MESSAGES) {
        fprintf(stderr, "bench_smtp: %lld messages were taken\n", (long long)messages_taken);
        exit(1);
    }
    smtp_server_free(&s);
}

/* Brings all the client has to say to the server. */
static void client_to_server(struct smtp_client *c, struct smtp_server *s)
{
    struct str out = smtp_client_output(c);
    feed_server(s, out);
    smtp_client_sent(c, out.n);
}

/* Brings replies to the client until it has an event or there are none. */
static enum smtp_client_event_kind server_to_client(struct smtp_client *c, struct smtp_server *s)
{
    struct smtp_client_event event = {.kind = SMTP_CLIENT_MORE};
    do {
        struct str out = smtp_server_output(s);
        size_t n = smtp_client_feed(c, out, &event);
        smtp_server_sent(s, n);
        if (n == 0 && event.kind == SMTP_CLIENT_MORE)
            break;
    } while (event.kind == SMTP_CLIENT_MORE);
    return event.kind;
}

static void send_one(struct smtp_client *c, struct smtp_server *s, struct str content)
{
    uint8_t is_accepted = 0;
    const struct smtp_client_rcpt rcpt = {.path = STR("b@mx.test")};
    struct smtp_client_mail mail = {.sender = STR("a@client.test"),
                                    .rcpt = &rcpt,
                                    .rcpt_count = 1,
                                    .size_bytes = content.n,
                                    .is_accepted = &is_accepted};
    smtp_client_begin(c, &mail);
    for (;;) {
        client_to_server(c, s);
        enum smtp_client_event_kind kind = server_to_client(c, s);
        if (kind == SMTP_CLIENT_DONE)
            return;
        if (kind == SMTP_CLIENT_BODY) {
            struct dotline_stuffer stuffer = {0};
            struct str rest = content, out;
            while (dotline_stuff(&stuffer, &rest, &out))
                feed_server(s, out);
            feed_server(s, dotline_stuff_end(&stuffer));
            smtp_client_body_sent(c, &mail);
        } else if (kind != SMTP_CLIENT_RCPT) {
            fprintf(stderr, "bench_smtp: unexpected event %d\n", (int)kind);
            exit(1);
        }
    }
}

static void measure_client(struct str content)
{
    const struct smtp_client_options options = {.hello_name = STR("client.test")};
    struct smtp_client c;
    struct smtp_server s;
    smtp_server_init(&s, &server_options, false);
    smtp_server_greet(&s);
    smtp_client_init(&c, &options);
    while (server_to_client(&c, &s) != SMTP_CLIENT_READY)
        client_to_server(&c, &s);
    messages_taken = 0;
    int64_t begin = clock_now_ns();
    for (int i = 0; i < MESSAGES; i++)
        send_one(&c, &s, content);
    report("smtp_client to smtp_server: the same message", begin, MESSAGES);
    if (messages_taken != MESSAGES)
        exit(1);
    smtp_client_free(&c);
    smtp_server_free(&s);
}

static void measure_scan(void)
{
    struct str content = make_content(SCANNED);
    struct dotline_scanner scanner = dotline_scanner_make(true, 1000);
    size_t found_bytes = 0;
    int64_t begin = clock_now_ns();
    for (int i = 0; i < SCANS; i++) {
        struct str in = content, slice;
        enum dotline_found found = DOTLINE_CONTENT;
        while (in.n > 0) {
            in = str_skip(in, dotline_scan(&scanner, in, &found, &slice));
            if (found == DOTLINE_CONTENT)
                found_bytes += slice.n;
        }
    }
    double seconds = (double)(clock_now_ns() - begin) / 1e9;
    printf("%-44s %9.2f GB/s\n", "dotline_scan, lines of 72 octets",
           (double)found_bytes / seconds / 1e9);
    free((void *)(uintptr_t)content.p);
}

int main(void)
{
    struct str content = make_content(CONTENT);
    measure_server(content);
    measure_client(content);
    measure_scan();
    free((void *)(uintptr_t)content.p);
    return 0;
}
