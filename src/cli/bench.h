/* SPDX-License-Identifier: ISC */
/*
 * bench.h - what the parts of eilbote bench share
 *
 * Source and sink are callbacks on loops of their own, one a thread, and keep no task and no stream
 * a connection: they measure others and must cost less than these.
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/cli.h"
#include "net/endpoint.h"

enum { BENCH_THREADS_MAX = 64, BENCH_MESSAGE_MAX = 64 << 20 };

struct bench_source_options {
    struct endpoint to;
    uint64_t connections;
    uint64_t messages; /* 0: no limit */
    uint64_t seconds;  /* 0: no limit */
    uint64_t per_connection;
    uint64_t size_bytes;
    uint64_t threads;
    uint64_t pause_ms; /* before a connection that was lost or refused is opened again */
    uint64_t idle;     /* connections to hold instead of sending */
    struct ip_address source[CLI_WORDS_MAX]; /* connections come from these by turns */
    size_t source_count;
    const char *client; /* address that a PROXY header names as the client's; NULL: no header */
    const char *from;
    const char *message; /* path of the message to send; NULL: one is made */
    const char *rcpt[CLI_WORDS_MAX + 1];
    size_t rcpt_count;
    bool is_lmtp;
    bool is_pipelining_off;
    bool is_tls; /* of idle connections */
    bool has_latency;
};

struct bench_sink_options {
    struct endpoint at;
    uint64_t threads;
    uint64_t delay_ms;
    uint64_t refuse_percent;
    const char *count_path;
    bool is_lmtp;
};

/* Makes the message to send, as it goes over the wire with its final dot; the caller frees its octets. */
int bench_message_make(const struct invocation *i, const struct bench_source_options *options,
                       struct str *out);

/* Sends messages until the count or the time is over and prints the result. */
int bench_source_run(const struct invocation *i, const struct bench_source_options *options);

/* Holds idle connections for that time or until SIGTERM or SIGINT. */
int bench_idle_run(const struct invocation *i, const struct bench_source_options *options);

/* Takes messages until SIGTERM or SIGINT and prints the totals. */
int bench_sink_run(const struct invocation *i, const struct bench_sink_options *options);

#endif
