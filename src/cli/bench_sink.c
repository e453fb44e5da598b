/* SPDX-License-Identifier: ISC */
/*
 * bench_sink.c - eilbote bench sink: an SMTP or LMTP server that forgets every message
 *
 * Each worker has a loop that all connections it accepted belong to. Replies are collected until
 * the input is used up and written at once. Only what a well-behaved client sends is understood.
 */
#include "cli/bench.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"
#include "mail/dotline.h"
#include "net/listen.h"
#include "net/loop.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/thread.h"

enum { INPUT_SIZE = 256 * 1024, OUTPUT_MAX = 64 * 1024, COMMAND_MAX = 1024, RCPT_MAX = 1000 };
enum { ACCEPTS_A_TURN = 64, COUNT_PERIOD_MS = 50 };

struct sink_link {
    struct loop_watch watch;
    struct list waiting; /* in worker->waiting while a reply is delayed */
    struct worker *worker;
    int descriptor;
    struct dotline_scanner scanner;
    struct buf out;
    uint64_t rcpt_count;
    uint64_t chunk_left; /* of a BDAT */
    int64_t due_ms;
    size_t line_used;
    bool is_in_data;
    bool is_in_chunk;
    bool is_last_chunk;
    bool is_paused; /* the input behind a delayed reply stays in the socket and held */
    bool is_over;
    bool has_more; /* readable when the pause ends */
    struct buf held;
    char line[COMMAND_MAX];
};

struct worker {
    struct thread thread;
    struct loop_watch listen_watch;
    const struct bench_sink_options *options;
    struct loop *loop;
    int listener;
    struct list waiting; /* oldest first; the delay is the same for all */
    struct loop_timer timer;
    uint64_t refusal; /* percents collected towards the next refusal */
    atomic_ullong messages, bytes, connections, refused;
    atomic_llong first_ns, last_ns;
    char *input;
};

static void end_link(struct sink_link *k)
{
    close(k->descriptor);
    if (k->is_paused)
        list_remove(&k->waiting);
    buf_free(&k->out);
    buf_free(&k->held);
    free(k);
}

/* False when the connection is gone or the client does not read. */
static bool flush(struct sink_link *k)
{
    while (k->out.used > 0) {
        ssize_t sent = send(k->descriptor, k->out.data, k->out.used, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN && k->out.used < OUTPUT_MAX / 2;
        buf_consume(&k->out, (size_t)sent);
    }
    return true;
}

static void say(struct sink_link *k, struct str reply)
{
    if (!buf_append(&k->out, reply))
        k->is_over = true;
}

static void count_bytes(struct worker *w, size_t n)
{
    atomic_fetch_add_explicit(&w->bytes, n, memory_order_relaxed);
}

/* The message has ended: counts and answers it. */
static void finish_message(struct sink_link *k)
{
    struct worker *w = k->worker;
    bool is_refused = false;
    k->is_in_data = false;
    w->refusal += w->options->refuse_percent;
    if (w->refusal >= 100) {
        w->refusal -= 100;
        is_refused = true;
    }
    int64_t now = clock_now_ns();
    if (atomic_load_explicit(&w->first_ns, memory_order_relaxed) == 0)
        atomic_store_explicit(&w->first_ns, now, memory_order_relaxed);
    atomic_store_explicit(&w->last_ns, now, memory_order_relaxed);
    atomic_fetch_add_explicit(is_refused ? &w->refused : &w->messages, 1, memory_order_relaxed);
    struct str reply =
        is_refused ? STR("451 4.3.0 refused, as asked for\r\n") : STR("250 2.0.0 taken\r\n");
    for (uint64_t r = 0; r < (w->options->is_lmtp ? k->rcpt_count : 1); r++)
        say(k, reply);
    k->rcpt_count = 0;
    if (w->options->delay_ms == 0)
        return;
    k->is_paused = true;
    k->due_ms = loop_now_ms(w->loop) + (int64_t)w->options->delay_ms;
    if (list_is_empty(&w->waiting))
        loop_timer_set(w->loop, &w->timer, k->due_ms);
    list_push_back(&w->waiting, &k->waiting);
}

static void take_bdat(struct sink_link *k, struct str rest)
{
    struct str size;
    (void)str_cut(rest, ' ', &size, &rest);
    if (!num_parse(size, INT64_MAX, &k->chunk_left)) {
        say(k, STR("501 5.5.4 what size?\r\n"));
        k->is_over = true;
        return;
    }
    k->is_last_chunk = rest.n > 0;
    k->is_in_chunk = true;
}

static void take_rcpt(struct sink_link *k)
{
    if (k->rcpt_count == RCPT_MAX) {
        say(k, STR("452 4.5.3 too many recipients\r\n"));
        return;
    }
    k->rcpt_count++;
    say(k, STR("250 2.1.5 ok\r\n"));
}

static void take_command(struct sink_link *k, struct str line)
{
    struct str verb = str_head(line, 4);
    if (str_equal_nocase(verb, STR("MAIL"))) {
        k->rcpt_count = 0;
        say(k, STR("250 2.1.0 ok\r\n"));
    } else if (str_equal_nocase(verb, STR("RCPT"))) {
        take_rcpt(k);
    } else if (str_equal_nocase(verb, STR("DATA"))) {
        if (k->rcpt_count == 0) {
            say(k, STR("503 5.5.1 no recipient\r\n"));
            return;
        }
        k->scanner = dotline_scanner_make(true, 0);
        k->is_in_data = true;
        say(k, STR("354 go on\r\n"));
    } else if (str_equal_nocase(verb, STR("BDAT"))) {
        take_bdat(k, str_skip(line, 5));
    } else if (str_equal_nocase(verb, STR("EHLO")) || str_equal_nocase(verb, STR("LHLO"))) {
        say(k, STR("250-sink.example.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n"
                   "250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 CHUNKING\r\n"));
    } else if (str_equal_nocase(verb, STR("HELO")) || str_equal_nocase(verb, STR("RSET")) ||
               str_equal_nocase(verb, STR("NOOP"))) {
        k->rcpt_count = 0;
        say(k, STR("250 2.0.0 ok\r\n"));
    } else if (str_equal_nocase(verb, STR("QUIT"))) {
        say(k, STR("221 2.0.0 bye\r\n"));
        k->is_over = true;
    } else {
        say(k, STR("502 5.5.1 not here\r\n"));
    }
}

static struct str take_line(struct sink_link *k, struct str in)
{
    size_t end = str_index(in, '\n');
    struct str line = str_head(in, end);
    if (end == in.n || k->line_used > 0) {
        if (line.n > COMMAND_MAX - k->line_used) {
            k->is_over = true;
            return STR_NONE;
        }
        memcpy(k->line + k->line_used, line.p, line.n);
        k->line_used += line.n;
        line = str_make(k->line, k->line_used);
    }
    if (end == in.n)
        return STR_NONE;
    k->line_used = 0;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    take_command(k, line);
    return str_skip(in, end + 1);
}

static struct str take_data(struct sink_link *k, struct str in)
{
    while (in.n > 0) {
        enum dotline_found found;
        struct str content;
        in = str_skip(in, dotline_scan(&k->scanner, in, &found, &content));
        switch (found) {
        case DOTLINE_CONTENT:
            count_bytes(k->worker, content.n);
            break;
        case DOTLINE_END:
            finish_message(k);
            return in;
        case DOTLINE_BARE_CR:
        case DOTLINE_BARE_LF:
        case DOTLINE_NUL:
            say(k, STR("554 5.6.0 not a line of text\r\n"));
            k->is_over = true;
            return STR_NONE;
        case DOTLINE_MORE:
        case DOTLINE_LONG:
            break;
        }
    }
    return in;
}

static struct str take_chunk(struct sink_link *k, struct str in)
{
    size_t n = k->chunk_left < in.n ? (size_t)k->chunk_left : in.n;
    k->chunk_left -= n;
    count_bytes(k->worker, n);
    if (k->chunk_left == 0) {
        k->is_in_chunk = false;
        if (k->is_last_chunk)
            finish_message(k);
        else
            say(k, STR("250 2.0.0 ok\r\n"));
    }
    return str_skip(in, n);
}

static void take_bytes(struct sink_link *k, struct str in)
{
    while ((in.n > 0 || (k->is_in_chunk && k->chunk_left == 0)) && !k->is_over && !k->is_paused) {
        if (k->is_in_data)
            in = take_data(k, in);
        else if (k->is_in_chunk)
            in = take_chunk(k, in);
        else
            in = take_line(k, in);
    }
    if (k->is_paused && !k->is_over && !buf_append(&k->held, in))
        k->is_over = true;
}

/*
 * A client that writes a message in small pieces without TCP_NODELAY would wait for our delayed
 * acknowledgement, 40 ms a message, and that is not what is to be measured.
 */
static void acknowledge(const struct sink_link *k)
{
    int on = 1;
    if (k->worker->options->at.address.ss_family != AF_UNIX)
        setsockopt(k->descriptor, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

/* Reads until there is nothing more; ends the link when it is over. */
static void read_link(struct sink_link *k)
{
    struct worker *w = k->worker;
    for (;;) {
        ssize_t got = recv(k->descriptor, w->input, INPUT_SIZE, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            end_link(k);
            return;
        }
        take_bytes(k, str_make(w->input, (size_t)got));
        if (k->is_paused && !k->is_over) {
            k->has_more = true;
            return;
        }
        if (!flush(k) || k->is_over) {
            end_link(k);
            return;
        }
        if (k->is_in_data || k->is_in_chunk)
            acknowledge(k);
    }
}

static void become_ready(struct loop_watch *watch, uint32_t events)
{
    struct sink_link *k = (struct sink_link *)((char *)watch - offsetof(struct sink_link, watch));
    if (k->is_paused) {
        k->has_more = true;
        return;
    }
    if ((events & EPOLLOUT) && k->out.used > 0 && !flush(k)) {
        end_link(k);
        return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        read_link(k);
}

/* The delay of the oldest waiting replies is over. */
static void end_pauses(struct loop_timer *timer)
{
    struct worker *w = (struct worker *)((char *)timer - offsetof(struct worker, timer));
    while (!list_is_empty(&w->waiting)) {
        struct sink_link *k = LIST_ENTRY(w->waiting.next, struct sink_link, waiting);
        if (k->due_ms > loop_now_ms(w->loop)) {
            loop_timer_set(w->loop, timer, k->due_ms);
            return;
        }
        list_remove(&k->waiting);
        k->is_paused = false;
        struct buf held = k->held;
        k->held = buf_make(INPUT_SIZE);
        if (flush(k))
            take_bytes(k, buf_str(&held));
        else
            k->is_over = true;
        buf_free(&held);
        if (k->is_paused)
            continue;
        if (!flush(k) || k->is_over)
            end_link(k);
        else if (k->has_more)
            read_link(k);
    }
}

static void take_connection(struct worker *w, int descriptor)
{
    int on = 1;
    struct sink_link *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    if (w->options->at.address.ss_family != AF_UNIX)
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    k->worker = w;
    k->descriptor = descriptor;
    k->watch.ready = become_ready;
    k->out = buf_make(OUTPUT_MAX);
    k->held = buf_make(INPUT_SIZE);
    list_init(&k->waiting);
    atomic_fetch_add_explicit(&w->connections, 1, memory_order_relaxed);
    say(k, STR("220 sink.example.test ready\r\n"));
    if (loop_watch(w->loop, descriptor, &k->watch).kind || !flush(k))
        end_link(k);
}

static void become_acceptable(struct loop_watch *watch, uint32_t events)
{
    struct worker *w = (struct worker *)((char *)watch - offsetof(struct worker, listen_watch));
    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int descriptor = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0)
            return;
        take_connection(w, descriptor);
    }
}

static void work(void *arg)
{
    struct worker *w = arg;
    loop_run(w->loop);
}

static void prepare(struct worker *w)
{
    w->loop = loop_make();
    w->listen_watch.ready = become_acceptable;
    w->timer.expire = end_pauses;
    list_init(&w->waiting);
    w->input = malloc(INPUT_SIZE);
    if (!w->input || loop_watch_listener(w->loop, w->listener, &w->listen_watch).kind)
        abort();
}

struct totals {
    uint64_t messages, bytes, connections, refused;
    int64_t first_ns, last_ns;
};

static struct totals add_up(struct worker *w, size_t count)
{
    struct totals t = {0};
    for (size_t i = 0; i < count; i++) {
        t.messages += atomic_load(&w[i].messages);
        t.bytes += atomic_load(&w[i].bytes);
        t.connections += atomic_load(&w[i].connections);
        t.refused += atomic_load(&w[i].refused);
        int64_t first = atomic_load(&w[i].first_ns), last = atomic_load(&w[i].last_ns);
        if (first > 0 && (t.first_ns == 0 || first < t.first_ns))
            t.first_ns = first;
        if (last > t.last_ns)
            t.last_ns = last;
    }
    return t;
}

/* "MESSAGES LAST_NS", of one length, so that a reader never sees half of it. */
static struct fault write_count(struct file *f, const struct totals *t)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%020llu %020lld\n", (unsigned long long)t->messages,
                     (long long)t->last_ns);
    struct iovec part = {text, (size_t)n};
    return file_write_at(f, &part, 1, 0);
}

/* Waits for SIGTERM or SIGINT and keeps the count file up to date meanwhile. */
static struct fault await_end(struct worker *w, size_t count, struct file *f,
                              const sigset_t *signals)
{
    struct timespec period = {0, COUNT_PERIOD_MS * 1000000L};
    struct fault fault = FINE;
    while (sigtimedwait(signals, NULL, &period) < 0 && !fault.kind) {
        struct totals t = add_up(w, count);
        if (f)
            fault = write_count(f, &t);
    }
    struct totals t = add_up(w, count);
    return f && !fault.kind ? write_count(f, &t) : fault;
}

static int print_totals(const struct invocation *i, const struct totals *t)
{
    double seconds = (double)(t->last_ns - t->first_ns) / 1e9;
    double rate = seconds > 0 ? (double)t->messages / seconds : 0;
    if (i->is_json)
        return cli_print_json(
            json_pack("{s:I,s:I,s:I,s:I,s:f,s:f}", "messages", (json_int_t)t->messages, "bytes",
                      (json_int_t)t->bytes, "connections", (json_int_t)t->connections, "refused",
                      (json_int_t)t->refused, "seconds", seconds, "per_second", rate));
    printf("%llu messages, %llu bytes, %llu connections, %llu refused, %.3f s, %.0f messages/s\n",
           (unsigned long long)t->messages, (unsigned long long)t->bytes,
           (unsigned long long)t->connections, (unsigned long long)t->refused, seconds, rate);
    return CLI_DONE;
}

int bench_sink_run(const struct invocation *i, const struct bench_sink_options *options)
{
    int listener = -1;
    struct file *count_file = NULL;
    size_t threads = (size_t)options->threads;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    struct fault fault = listen_open(&options->at, &listener);
    if (!fault.kind && options->count_path)
        fault = file_open(options->count_path, FILE_CREATE, &count_file);
    struct worker *w = calloc(threads, sizeof *w);
    if (!w)
        abort();
    if (!fault.kind) {
        for (size_t k = 0; k < threads; k++) {
            w[k].options = options;
            w[k].listener = listener;
            prepare(&w[k]);
        }
        for (size_t k = 0; k < threads; k++)
            thread_start(&w[k].thread, "bench sink", work, &w[k]);
        fault = await_end(w, threads, count_file, &signals);
        struct totals t = add_up(w, threads);
        print_totals(i, &t);
        for (size_t k = 0; k < threads; k++)
            loop_stop(w[k].loop);
        for (size_t k = 0; k < threads; k++)
            thread_join(&w[k].thread);
        for (size_t k = 0; k < threads; k++) {
            loop_free(w[k].loop);
            free(w[k].input);
        }
    }
    file_close(count_file);
    if (listener >= 0)
        close(listener);
    free(w);
    return cli_result(i, fault);
}
