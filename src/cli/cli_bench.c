/* SPDX-License-Identifier: ISC */
/*
 * cli_bench.c - eilbote bench source|sink: the load generator and the sink
 */
#include "cli/bench.h"

#include <arpa/inet.h>

#include "base/num.h"

/* "HOST:PORT" with an IP address or localhost, "[IPV6]:PORT" or "unix:PATH". */
static bool parse_endpoint(const char *text, struct endpoint *out)
{
    struct str s = str_from(text);
    struct ip_endpoint at;
    if (str_starts(s, STR("unix:")))
        return s.n > 5 && endpoint_from_path(text + 5, out);
    if (!ip_endpoint_parse(s, 0, &at))
        return false;
    *out = endpoint_from_ip(&at.address, at.port);
    return true;
}

static int take_endpoint(const struct invocation *i, const char *name, const char *text,
                         struct endpoint *out)
{
    if (!text)
        return cli_usage(i, "%s is missing", name);
    if (!parse_endpoint(text, out))
        return cli_usage(i, "%s is \"%s\"; allowed: ADDRESS:PORT or unix:PATH", name, text);
    return CLI_DONE;
}

/* An option with a number: its text, where it goes (which holds the default), what is allowed. */
struct number {
    const char *name;
    const char *text;
    uint64_t *value;
    uint64_t least;
    uint64_t most;
};

static int take_numbers(const struct invocation *i, const struct number *numbers, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        const struct number *n = &numbers[k];
        if (n->text &&
            (!num_parse_size(str_from(n->text), n->most, n->value) || *n->value < n->least))
            return cli_usage(i, "%s is \"%s\"; allowed: %llu to %llu", n->name, n->text,
                             (unsigned long long)n->least, (unsigned long long)n->most);
    }
    return CLI_DONE;
}

/* The parts of an address that may stand between angle brackets, as far as the wire is concerned.
 */
static bool is_path(const char *text)
{
    struct str s = str_from(text);
    return str_is_printable(s) && !str_has(s, '>') && !str_has(s, '<') && !str_has(s, ' ') &&
           s.n < 256;
}

static int check_source(const struct invocation *i, struct bench_source_options *o)
{
    if (!o->rcpt[0])
        o->rcpt[0] = "sink@example.test";
    while (o->rcpt_count < CLI_WORDS_MAX && o->rcpt[o->rcpt_count])
        if (!is_path(o->rcpt[o->rcpt_count++]))
            return cli_usage(i, "--rcpt is no address");
    struct ip_address client;
    if (!is_path(o->from))
        return cli_usage(i, "--from is no address");
    if (o->client && !ip_parse(str_from(o->client), &client))
        return cli_usage(i, "--client is no IP address");
    if (o->messages == 0 && o->seconds == 0 && o->idle == 0)
        o->messages = 1000;
    return CLI_DONE;
}

static int take_sources(const struct invocation *i, const char *const *text,
                        struct bench_source_options *o)
{
    for (; o->source_count < CLI_WORDS_MAX && text[o->source_count]; o->source_count++)
        if (!ip_parse(str_from(text[o->source_count]), &o->source[o->source_count]))
            return cli_usage(i, "--source is no IP address");
    return CLI_DONE;
}

int cli_bench_source(struct invocation *i)
{
    struct bench_source_options o = {.connections = 10,
                                     .per_connection = UINT32_MAX,
                                     .size_bytes = 4096,
                                     .threads = 1,
                                     .pause_ms = 100,
                                     .from = "source@example.test"};
    const char *to = NULL, *words[CLI_WORDS_MAX] = {NULL}, *sources[CLI_WORDS_MAX + 1] = {NULL};
    enum { CONNECTIONS, MESSAGES, SECONDS, PER_CONNECTION, SIZE, THREADS, IDLE, PAUSE, NUMBERS };
    struct number n[NUMBERS] = {
        [CONNECTIONS] = {"--connections", NULL, &o.connections, 1, 60000},
        [MESSAGES] = {"--messages", NULL, &o.messages, 1, UINT32_MAX},
        [SECONDS] = {"--seconds", NULL, &o.seconds, 1, 86400},
        [PER_CONNECTION] = {"--per-connection", NULL, &o.per_connection, 1, UINT32_MAX},
        [SIZE] = {"--size", NULL, &o.size_bytes, 256, BENCH_MESSAGE_MAX},
        [THREADS] = {"--threads", NULL, &o.threads, 1, BENCH_THREADS_MAX},
        [IDLE] = {"--idle", NULL, &o.idle, 1, 60000},
        [PAUSE] = {"--pause-ms", NULL, &o.pause_ms, 0, 60000},
    };
    const struct cli_option options[] = {
        {"--to", NULL, &to, NULL},
        {"--from", NULL, &o.from, NULL},
        {"--message", NULL, &o.message, NULL},
        {"--client", NULL, &o.client, NULL},
        {"--rcpt", NULL, NULL, o.rcpt},
        {"--source", NULL, NULL, sources},
        {"--lmtp", &o.is_lmtp, NULL, NULL},
        {"--no-pipelining", &o.is_pipelining_off, NULL, NULL},
        {"--latency", &o.has_latency, NULL, NULL},
        {"--tls", &o.is_tls, NULL, NULL},
        {"--connections", NULL, &n[CONNECTIONS].text, NULL},
        {"--messages", NULL, &n[MESSAGES].text, NULL},
        {"--seconds", NULL, &n[SECONDS].text, NULL},
        {"--per-connection", NULL, &n[PER_CONNECTION].text, NULL},
        {"--size", NULL, &n[SIZE].text, NULL},
        {"--threads", NULL, &n[THREADS].text, NULL},
        {"--idle", NULL, &n[IDLE].text, NULL},
        {"--pause-ms", NULL, &n[PAUSE].text, NULL},
    };
    int result = cli_parse(i, options, sizeof options / sizeof options[0], 0, 0, words);
    if (result == CLI_DONE)
        result = take_endpoint(i, "--to", to, &o.to);
    if (result == CLI_DONE)
        result = take_numbers(i, n, NUMBERS);
    if (result == CLI_DONE)
        result = take_sources(i, sources, &o);
    if (result == CLI_DONE)
        result = check_source(i, &o);
    if (result != CLI_DONE)
        return result;
    return o.idle > 0 ? bench_idle_run(i, &o) : bench_source_run(i, &o);
}

int cli_bench_sink(struct invocation *i)
{
    struct bench_sink_options o = {.threads = 1};
    const char *at = NULL, *words[CLI_WORDS_MAX] = {NULL};
    struct number n[] = {{"--threads", NULL, &o.threads, 1, BENCH_THREADS_MAX},
                         {"--delay-ms", NULL, &o.delay_ms, 0, 600000},
                         {"--refuse-percent", NULL, &o.refuse_percent, 0, 100}};
    const struct cli_option options[] = {
        {"--listen", NULL, &at, NULL},
        {"--lmtp", &o.is_lmtp, NULL, NULL},
        {"--count-file", NULL, &o.count_path, NULL},
        {"--threads", NULL, &n[0].text, NULL},
        {"--delay-ms", NULL, &n[1].text, NULL},
        {"--refuse-percent", NULL, &n[2].text, NULL},
    };
    int result = cli_parse(i, options, sizeof options / sizeof options[0], 0, 0, words);
    if (result == CLI_DONE)
        result = take_endpoint(i, "--listen", at, &o.at);
    if (result == CLI_DONE)
        result = take_numbers(i, n, sizeof n / sizeof n[0]);
    return result == CLI_DONE ? bench_sink_run(i, &o) : result;
}
