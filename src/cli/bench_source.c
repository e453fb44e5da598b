/* SPDX-License-Identifier: ISC */
/*
 * bench_source.c - eilbote bench source: many connections that send messages
 *
 * Each connection is a small state machine on replies. Where the server pipelines, one write
 * carries a body, its final dot and MAIL, RCPT and DATA of the next message. A lost connection is
 * opened again after a pause; when a whole minute brings no reply, the run ends.
 */
#include "cli/bench.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/num.h"
#include "cli/bench_tally.h"
#include "net/loop.h"
#include "os/clock.h"
#include "os/thread.h"

enum { GROUP_MAX = 1024, LINE_MAX_BYTES = 1024, INPUT_SIZE = 64 * 1024 };
enum { TICK_MS = 250 };

/* What the next reply is for. */
enum expect { GREETING, HELLO, MAIL, RCPT, DATA, END, RESET, QUIT };

struct link {
    struct loop_watch watch;
    struct loop_timer timer; /* to connect again */
    struct worker *worker;
    int descriptor; /* -1 when closed */
    enum expect expect;
    bool is_pipelining;
    bool has_mail;  /* the current message's MAIL was sent */
    bool is_begun;  /* the next message's MAIL is in the same flight */
    bool is_failed; /* the current message was refused */
    bool is_closing;
    uint64_t left; /* messages this connection may still begin */
    int64_t dot_ns;
    int64_t asked_ms; /* since when a reply is waited for */
    struct iovec out[2];
    char group[GROUP_MAX];
    char line[LINE_MAX_BYTES];
    size_t line_used;
};

struct worker {
    struct thread thread;
    const struct bench_source_options *options;
    struct loop *loop;
    struct link *link;
    size_t link_count;
    size_t open_count; /* links that still have something to do */
    struct str body;   /* with its final dot */
    uint64_t begun, most;
    uint64_t finished; /* of those begun: taken or refused */
    uint64_t counter, counter_step;
    struct loop_timer tick;
    int64_t end_ms; /* no message begins after it */
    int64_t heard_ms;
    struct bench_tally tally;
    size_t next_source;
    char input[INPUT_SIZE];
};

static void start_link(struct link *k);

static void end_link(struct link *k)
{
    if (k->descriptor >= 0)
        close(k->descriptor);
    k->descriptor = -1;
}

static bool may_begin(const struct worker *w)
{
    return w->begun < w->most && loop_now_ms(w->loop) < w->end_ms;
}

/* This connection is over: another one, or the end of the link. */
static void renew(struct link *k, int64_t pause_ms)
{
    struct worker *w = k->worker;
    end_link(k);
    if (!may_begin(w)) {
        w->open_count--;
        if (w->open_count == 0)
            loop_stop(w->loop);
    } else if (pause_ms > 0) {
        loop_timer_set(w->loop, &k->timer, loop_now_ms(w->loop) + pause_ms);
    } else {
        start_link(k);
    }
}

/* What was begun is begun again, on another connection. */
static void try_again(struct link *k)
{
    struct worker *w = k->worker;
    if (k->has_mail)
        w->begun--;
    if (k->is_begun)
        w->begun--;
    renew(k, (int64_t)w->options->pause_ms);
}

static void break_link(struct link *k)
{
    k->worker->tally.errors[0]++;
    try_again(k);
}

/* The server has ended the connection, and has said so. */
static void turn_link(struct link *k, unsigned code)
{
    k->worker->tally.errors[code]++;
    k->worker->tally.turned++;
    try_again(k);
}

static void flush(struct link *k)
{
    while (k->out[0].iov_len + k->out[1].iov_len > 0) {
        ssize_t sent = writev(k->descriptor, k->out, 2);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return; /* full: told when there is room; gone: told by the reading side */
        for (int i = 0; i < 2; i++) {
            size_t n = (size_t)sent < k->out[i].iov_len ? (size_t)sent : k->out[i].iov_len;
            k->out[i].iov_base = (char *)k->out[i].iov_base + n;
            k->out[i].iov_len -= n;
            sent -= (ssize_t)n;
        }
    }
}

/* The parts may still be unsent only for a server that answers before it has read. */
static void send_parts(struct link *k, struct str first, size_t group_bytes)
{
    k->out[0] = (struct iovec){(void *)(uintptr_t)first.p, first.n};
    k->out[1] = (struct iovec){k->group, group_bytes};
    flush(k);
}

static size_t put_rcpt(struct link *k, char *at, size_t room)
{
    struct worker *w = k->worker;
    uint64_t number = w->counter;
    w->counter += w->counter_step;
    struct str path = str_from(w->options->rcpt[number % w->options->rcpt_count]);
    size_t mark = str_find(path, STR("%d"));
    int n;
    if (mark == path.n)
        n = snprintf(at, room, "RCPT TO:<" STR_FMT ">\r\n", STR_ARG(path));
    else
        n = snprintf(at, room, "RCPT TO:<" STR_FMT "%llu" STR_FMT ">\r\n",
                     STR_ARG(str_head(path, mark)), (unsigned long long)number,
                     STR_ARG(str_skip(path, mark + 2)));
    return (size_t)n;
}

/* Puts the beginning of a message into the group, if there is one more for this connection. */
static size_t put_message(struct link *k)
{
    struct worker *w = k->worker;
    if (k->left == 0 || !may_begin(w))
        return 0;
    w->begun++;
    k->left--;
    size_t n = (size_t)snprintf(k->group, GROUP_MAX, "MAIL FROM:<%s>\r\n", w->options->from);
    if (k->is_pipelining) {
        n += put_rcpt(k, k->group + n, GROUP_MAX - n);
        n += (size_t)snprintf(k->group + n, GROUP_MAX - n, "DATA\r\n");
    }
    return n;
}

static void say(struct link *k, const char *text)
{
    size_t n = (size_t)snprintf(k->group, GROUP_MAX, "%s", text);
    send_parts(k, STR_NONE, n);
}

/* The next message, or the end of the connection. */
static void go_on(struct link *k)
{
    k->is_failed = false;
    k->has_mail = k->is_begun;
    k->is_begun = false;
    if (!k->has_mail) {
        size_t n = put_message(k);
        if (n == 0) {
            k->is_closing = true;
            k->expect = QUIT;
            say(k, "QUIT\r\n");
            return;
        }
        k->has_mail = true;
        send_parts(k, STR_NONE, n);
    }
    k->expect = MAIL;
}

static void send_body(struct link *k)
{
    struct worker *w = k->worker;
    /* A message without recipients that the server wants all the same is empty. */
    struct str body = k->is_failed ? STR(".\r\n") : w->body;
    size_t n = k->is_pipelining ? put_message(k) : 0;
    k->is_begun = n > 0;
    k->expect = END;
    send_parts(k, body, n);
    if (w->tally.latency_ns)
        k->dot_ns = clock_now_ns();
}

static void refuse(struct link *k, unsigned code)
{
    k->worker->tally.errors[code < BENCH_REPLY_CODES ? code : 0]++;
    k->is_failed = true;
}

/* A message was taken or refused. */
static void finish_message(struct link *k, unsigned code)
{
    struct worker *w = k->worker;
    int64_t now = clock_now_ns();
    k->has_mail = false;
    w->finished++;
    if (code / 100 != 2) {
        if (!k->is_failed)
            refuse(k, code);
    } else if (!k->is_failed) {
        w->tally.done++;
        if (w->tally.latency_ns && w->tally.latency_count < BENCH_SAMPLES_MAX)
            w->tally.latency_ns[w->tally.latency_count++] = now - k->dot_ns;
    }
    w->tally.last_ns = now;
    go_on(k);
}

/* The message goes no further: what the server knows of it is forgotten. */
static void skip_message(struct link *k, unsigned code)
{
    if (!k->is_failed)
        refuse(k, code);
    k->has_mail = false;
    k->worker->finished++;
    k->expect = RESET;
    say(k, "RSET\r\n");
}

static void take_mail_reply(struct link *k, unsigned code)
{
    if (code != 250)
        refuse(k, code);
    if (!k->is_pipelining && k->is_failed) {
        skip_message(k, code);
        return;
    }
    k->expect = RCPT;
    if (!k->is_pipelining)
        send_parts(k, STR_NONE, put_rcpt(k, k->group, GROUP_MAX));
}

static void take_rcpt_reply(struct link *k, unsigned code)
{
    if (code / 100 != 2 && !k->is_failed)
        refuse(k, code);
    k->expect = DATA;
    if (!k->is_pipelining)
        say(k, "DATA\r\n");
}

static void note_wait(struct link *k)
{
    int64_t now = loop_now_ms(k->worker->loop);
    if (now - k->asked_ms > k->worker->tally.longest_ms)
        k->worker->tally.longest_ms = now - k->asked_ms;
    k->asked_ms = now;
}

/* False when the connection is over. */
static bool take_reply(struct link *k, unsigned code)
{
    struct worker *w = k->worker;
    w->heard_ms = loop_now_ms(w->loop);
    note_wait(k);
    if (code == 421 && k->expect != QUIT) {
        turn_link(k, code);
        return false;
    }
    switch (k->expect) {
    case GREETING:
        if (code != 220) {
            turn_link(k, code);
            return false;
        }
        k->expect = HELLO;
        say(k,
            w->options->is_lmtp ? "LHLO source.example.test\r\n" : "EHLO source.example.test\r\n");
        return true;
    case HELLO:
        k->is_pipelining = k->is_pipelining && !w->options->is_pipelining_off;
        go_on(k);
        return true;
    case MAIL:
        take_mail_reply(k, code);
        return true;
    case RCPT:
        take_rcpt_reply(k, code);
        return true;
    case DATA:
        if (code == 354)
            send_body(k);
        else
            skip_message(k, code);
        return true;
    case END:
        finish_message(k, code);
        return true;
    case RESET:
        go_on(k);
        return true;
    case QUIT:
        renew(k, 0);
        return false;
    }
    return false;
}

/* One line of a reply, without its line end. */
static bool take_line(struct link *k, struct str line)
{
    uint64_t code;
    if (k->expect == HELLO && line.n == 14 &&
        str_equal_nocase(str_skip(line, 4), STR("PIPELINING")))
        k->is_pipelining = true;
    if (line.n < 3 || !num_parse(str_head(line, 3), 599, &code)) {
        break_link(k);
        return false;
    }
    return line.n > 3 && line.p[3] == '-' ? true : take_reply(k, (unsigned)code);
}

static bool take_bytes(struct link *k, struct str in)
{
    while (in.n > 0) {
        size_t end = str_index(in, '\n');
        struct str line = str_head(in, end);
        bool is_whole = end < in.n;
        in = str_skip(in, is_whole ? end + 1 : end);
        if (!is_whole || k->line_used > 0) {
            if (line.n > LINE_MAX_BYTES - k->line_used) {
                break_link(k);
                return false;
            }
            memcpy(k->line + k->line_used, line.p, line.n);
            k->line_used += line.n;
            line = str_make(k->line, k->line_used);
        }
        if (!is_whole)
            break;
        k->line_used = 0;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (!take_line(k, line))
            return false;
    }
    return true;
}

static void become_ready(struct loop_watch *watch, uint32_t events)
{
    struct link *k = (struct link *)((char *)watch - offsetof(struct link, watch));
    struct worker *w = k->worker;
    if (k->descriptor < 0)
        return;
    if (events & EPOLLOUT)
        flush(k);
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        return;
    for (;;) {
        ssize_t got = recv(k->descriptor, w->input, INPUT_SIZE, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            if (k->is_closing)
                renew(k, 0);
            else
                break_link(k);
            return;
        }
        if (!take_bytes(k, str_make(w->input, (size_t)got)))
            return;
        if (got < INPUT_SIZE && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
            return;
    }
}

/* The addresses by turns, each with the ports that it has. */
static bool bind_source(struct link *k)
{
    struct worker *w = k->worker;
    size_t turn = w->next_source++ % w->options->source_count;
    struct endpoint e = endpoint_from_ip(&w->options->source[turn], 0);
    int on = 1;
    return setsockopt(k->descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
           bind(k->descriptor, (const struct sockaddr *)&e.address, e.length) == 0;
}

/* Says first whose connection it is (with --client), as a proxy does; sent when the server takes it. */
static void put_proxy_header(struct link *k)
{
    const char *client = k->worker->options->client;
    char family = client && strchr(client, ':') ? '6' : '4';
    int n = client ? snprintf(k->group, GROUP_MAX, "PROXY TCP%c %s %s 25 25\r\n", family, client,
                              client)
                   : 0;
    k->out[1] = (struct iovec){k->group, (size_t)n};
}

static void start_link(struct link *k)
{
    struct worker *w = k->worker;
    const struct endpoint *to = &w->options->to;
    int family = to->address.ss_family, on = 1;
    k->expect = GREETING;
    k->is_pipelining = k->has_mail = k->is_begun = k->is_failed = k->is_closing = false;
    k->left = w->options->per_connection;
    k->line_used = 0;
    k->asked_ms = loop_now_ms(w->loop);
    k->out[0].iov_len = 0;
    put_proxy_header(k);
    k->descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_fine = k->descriptor >= 0;
    if (is_fine && family != AF_UNIX)
        setsockopt(k->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (is_fine && w->options->source_count > 0)
        is_fine = bind_source(k);
    if (is_fine)
        is_fine = connect(k->descriptor, (const struct sockaddr *)&to->address, to->length) == 0 ||
                  errno == EINPROGRESS;
    if (is_fine)
        is_fine = loop_watch(w->loop, k->descriptor, &k->watch).kind == FAULT_FINE;
    w->tally.connects++;
    if (!is_fine)
        break_link(k);
}

static void reconnect(struct loop_timer *timer)
{
    start_link((struct link *)((char *)timer - offsetof(struct link, timer)));
}

/* Looks whether the server still says something. */
static void look(struct loop_timer *timer)
{
    struct worker *w = (struct worker *)((char *)timer - offsetof(struct worker, tick));
    int64_t now = loop_now_ms(w->loop);
    if (now - w->heard_ms > BENCH_QUIET_MS)
        w->tally.is_stuck = true;
    /* Connections that the server has not even greeted are not waited for. */
    bool is_done = w->finished == w->begun && !may_begin(w);
    if (w->tally.is_stuck || is_done) {
        loop_stop(w->loop);
        return;
    }
    if (w->open_count > 0)
        loop_timer_set(w->loop, timer, now + TICK_MS);
}

static void work(void *arg)
{
    struct worker *w = arg;
    w->loop = loop_make();
    w->heard_ms = loop_now_ms(w->loop);
    w->end_ms =
        w->options->seconds > 0 ? w->heard_ms + (int64_t)w->options->seconds * 1000 : INT64_MAX;
    w->tick.expire = look;
    loop_timer_set(w->loop, &w->tick, w->heard_ms + TICK_MS);
    w->tally.first_ns = w->tally.last_ns = clock_now_ns();
    w->open_count = w->link_count;
    for (size_t i = 0; i < w->link_count; i++) {
        w->link[i].worker = w;
        w->link[i].watch.ready = become_ready;
        w->link[i].timer.expire = reconnect;
        start_link(&w->link[i]);
    }
    loop_run(w->loop);
    for (size_t i = 0; i < w->link_count; i++) {
        if (w->link[i].descriptor >= 0)
            note_wait(&w->link[i]);
        end_link(&w->link[i]);
    }
    loop_free(w->loop);
}

int bench_source_run(const struct invocation *i, const struct bench_source_options *options)
{
    struct str body;
    if (bench_message_make(i, options, &body) != CLI_DONE)
        return CLI_FAILED;
    size_t threads = (size_t)options->threads;
    if (threads > options->connections)
        threads = (size_t)options->connections;
    struct worker *w = calloc(threads, sizeof *w);
    struct link *links = calloc((size_t)options->connections, sizeof *links);
    if (!w || !links)
        abort();
    size_t used = 0;
    for (size_t k = 0; k < threads; k++) {
        w[k].options = options;
        w[k].body = body;
        w[k].link = links + used;
        w[k].link_count = (size_t)options->connections * (k + 1) / threads - used;
        used += w[k].link_count;
        w[k].most = options->messages
                        ? options->messages * (k + 1) / threads - options->messages * k / threads
                        : UINT64_MAX;
        w[k].counter = k;
        w[k].counter_step = threads;
        if (options->has_latency) {
            w[k].tally.latency_ns = malloc(BENCH_SAMPLES_MAX * sizeof w[k].tally.latency_ns[0]);
            if (!w[k].tally.latency_ns)
                abort();
        }
    }
    for (size_t k = 0; k < threads; k++)
        thread_start(&w[k].thread, "bench source", work, &w[k]);
    for (size_t k = 0; k < threads; k++)
        thread_join(&w[k].thread);
    for (size_t k = 1; k < threads; k++)
        bench_tally_add(&w->tally, &w[k].tally);
    int result = bench_tally_print(i, &w->tally);
    for (size_t k = 0; k < threads; k++)
        free(w[k].tally.latency_ns);
    free((void *)(uintptr_t)body.p);
    free(links);
    free(w);
    return result;
}
