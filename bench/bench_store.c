/* SPDX-License-Identifier: ISC */
/*
 * bench_store.c - what a delivery into a mailbox costs
 *
 * bench_store DIRECTORY [MESSAGES [SENDERS [ACCOUNTS]]]: tasks on one loop deliver messages of
 * 4 KiB, each the next one once the last is durable; then the rate of acknowledgement, the rate
 * until everything is in the mailboxes, the CPU time of a message, and the time to list a maildrop.
 */
#include "base/num.h"
#include "net/offload.h"
#include "net/task.h"
#include "os/clock.h"
#include "os/file.h"
#include "store/maildrop.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BODY = 4096 };

static struct store *store;
static uint64_t left, accounts;
static char body[BODY];
static int64_t acknowledged_ns;

static void must(struct fault f)
{
    if (f.kind) {
        fprintf(stderr, "bench_store: %s\n", f.text);
        exit(1);
    }
}

static void send_some(void *arg)
{
    (void)arg;
    while (left > 0) {
        char account[40];
        int n = snprintf(account, sizeof account, "user%llu@example.test",
                         (unsigned long long)(left-- % accounts));
        struct store_recipient r = {.account = str_make(account, (size_t)n),
                                    .head = STR("Return-Path: <sender@example.test>\r\n")};
        struct buf content = buf_make(BODY);
        buf_append(&content, str_make(body, sizeof body));
        store_deliver(store, &r, 1, clock_real_ms(), &content, 0, 0);
        must(r.result);
    }
}

static void run_all(void *arg)
{
    struct scope scope;
    scope_init(&scope);
    for (uint64_t i = 0; i < *(uint64_t *)arg; i++)
        if (!task_start(&scope, "sender", send_some, NULL))
            exit(1);
    scope_join(&scope);
    acknowledged_ns = clock_now_ns();
    loop_stop(loop_current());
}

static void list_one(void *arg)
{
    (void)arg;
    struct maildrop *m;
    size_t count;
    int64_t begin = clock_now_ns();
    must(maildrop_open(store, STR("user0@example.test"), &m));
    maildrop_rows(m, &count);
    printf("a maildrop of %zu messages opened in %.1f ms\n", count,
           (double)(clock_now_ns() - begin) / 1e6);
    maildrop_close(m);
    loop_stop(loop_current());
}

static void run(void (*what)(void *arg), void *arg)
{
    struct loop *loop = loop_make();
    struct scope scope;
    scope_init(&scope);
    if (!task_start(&scope, "bench", what, arg))
        exit(1);
    loop_run(loop);
    loop_free(loop);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    uint64_t messages = 100000, senders = 100;
    accounts = 5;
    if (argc < 2 || (argc > 2 && !num_parse(str_from(argv[2]), 100000000, &messages)) ||
        (argc > 3 && !num_parse(str_from(argv[3]), 10000, &senders)) ||
        (argc > 4 && !num_parse(str_from(argv[4]), 1000000, &accounts))) {
        fprintf(stderr, "usage: bench_store DIRECTORY [MESSAGES [SENDERS [ACCOUNTS]]]\n");
        return 2;
    }
    char directory[400];
    snprintf(directory, sizeof directory, "%s/bench_store", argv[1]);
    must(file_remove_tree(directory));
    memset(body, 'x', sizeof body);
    struct store_options o = {
        .directory = directory,
        .journal = {.segment_bytes = 64 << 20, .spare_segments = 2, .spare_segments_max = 6},
        .checkpoint_ms = 5000,
        .journal_bytes = 256 << 20,
        .unapplied_bytes = 64 << 20,
        .unapplied_wait_ms = 30000,
        .thread_count = 2,
        .index_most = 64,
    };
    offload_start(2);
    must(store_open(&o, &store));
    left = messages;
    int64_t begin = clock_now_ns();
    double cpu = cpu_seconds();
    run(run_all, &senders);
    struct store_statistics st;
    do {
        store_statistics(store, &st);
        clock_sleep_us(1000);
    } while (st.unapplied > 0);
    double seconds = (double)(clock_now_ns() - begin) / 1e9;
    printf("%llu messages of 4 KiB, %llu senders, %llu accounts: %.0f/s acknowledged, %.0f/s in "
           "the mailboxes, %.1f us of CPU each, %.0f in a batch, %lld checkpoints\n",
           (unsigned long long)messages, (unsigned long long)senders, (unsigned long long)accounts,
           (double)messages / ((double)(acknowledged_ns - begin) / 1e9), (double)messages / seconds,
           (cpu_seconds() - cpu) / (double)messages * 1e6, (double)st.applied / (double)st.batches,
           (long long)st.checkpoints);
    run(list_one, NULL);
    store_close(store);
    offload_stop();
    must(file_remove_tree(directory));
    return 0;
}
