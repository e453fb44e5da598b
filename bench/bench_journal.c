/* SPDX-License-Identifier: ISC */
/*
 * bench_journal.c - what the journal costs
 *
 * bench_journal DIRECTORY [SECONDS [SUBMITTERS]]: tables of submitters (tasks on one loop) that
 * each append one record of 4 KiB after the other, with sync, without, and with 1 ms added to each
 * sync; then the latency of one submitter beside the disk's own fdatasync, and the speed of
 * recovery.
 */
#include "base/num.h"
#include "journal/journal.h"
#include "net/task.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAYLOAD = 4096, SAMPLES_MAX = 1 << 20, SEGMENT = 16 << 20 };

/* The load of one row of the table. */
struct load {
    struct journal *journal;
    int64_t end_ns;
    int64_t warm_ns; /* samples and counts begin here */
    int64_t records;
    int64_t *latency_ns;
    size_t latency_count;
    int64_t write_bytes; /* of the process, at the beginning */
    struct journal_statistics before;
    bool is_warm;
    unsigned submitters;
};

static void must(struct fault fault)
{
    if (fault.kind) {
        fprintf(stderr, "bench_journal: %s\n", fault.text);
        exit(1);
    }
}

/* What the process caused to be written to the device, from /proc/self/io; pages as dirtied. */
static int64_t write_bytes(void)
{
    struct buf text = buf_make(4096);
    must(file_load("/proc/self/io", &text));
    struct str s = buf_str(&text);
    struct str name = STR("\nwrite_bytes: ");
    s = str_skip(s, str_find(s, name) + name.n);
    uint64_t value = 0;
    (void)num_parse(str_head(s, str_index(s, '\n')), INT64_MAX, &value);
    buf_free(&text);
    return (int64_t)value;
}

static void begin_counting(struct load *l)
{
    l->is_warm = true;
    l->warm_ns = clock_now_ns();
    l->end_ns += l->warm_ns;
    l->write_bytes = write_bytes();
    l->records = 0;
    l->latency_count = 0;
    journal_statistics(l->journal, &l->before);
}

static void submit(void *arg)
{
    struct load *l = arg;
    static const char payload[PAYLOAD] = "Received: by the bench";
    struct iovec part = {(void *)(uintptr_t)payload, sizeof payload};
    for (int64_t now = clock_now_ns(); !l->is_warm || now < l->end_ns;) {
        uint64_t position;
        must(journal_wait(l->journal, 1, &part, 1, &position));
        int64_t then = now;
        now = clock_now_ns();
        if (l->latency_count < SAMPLES_MAX)
            l->latency_ns[l->latency_count++] = now - then;
        l->records++;
        if (l->records % 512 == 0 && position > SEGMENT)
            journal_trim(l->journal, position - SEGMENT);
        if (!l->is_warm && now > l->warm_ns)
            begin_counting(l);
    }
}

static void run_load(void *arg)
{
    struct load *l = arg;
    struct scope scope;
    scope_init(&scope);
    for (unsigned i = 0; i < l->submitters; i++)
        if (!task_start(&scope, "submit", submit, l))
            exit(1);
    scope_join(&scope);
    loop_stop(loop_current());
}

static int compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t quantile_us(struct load *l, size_t percent)
{
    if (l->latency_count == 0)
        return 0;
    return l->latency_ns[(l->latency_count - 1) * percent / 100] / 1000;
}

static void ignore_record(void *arg, const struct journal_record *record)
{
    int64_t *bytes = arg;
    *bytes += (int64_t)record->payload.n;
}

static struct journal *open_journal(const char *directory, bool is_sync_off, int64_t delay_us,
                                    int64_t *replayed)
{
    struct journal_options options = {
        .directory = directory,
        .segment_bytes = SEGMENT,
        .spare_segments = 2,
        .spare_segments_max = 8,
        .is_sync_off = is_sync_off,
        .extra_sync_delay_us = delay_us,
    };
    struct journal_replay replay = {ignore_record, NULL, replayed};
    struct journal *j;
    must(journal_open(&options, &replay, &j));
    return j;
}

struct filler {
    struct journal_append append;
    struct iovec part;
};

static void forget(struct loop_message *message)
{
    struct filler *f = (struct filler *)(void *)message;
    must(f->append.result);
    free(f);
}

/* Submits so many records without waiting for each; returns when all are durable. */
static uint64_t fill(struct journal *j, int count)
{
    static char payload[PAYLOAD] = "x";
    for (int i = 0; i < count; i++) {
        struct filler *f = calloc(1, sizeof *f);
        if (!f)
            exit(1);
        f->part = (struct iovec){payload, sizeof payload};
        f->append = (struct journal_append){
            .message.run = forget, .parts = &f->part, .part_count = 1, .type = 1};
        journal_submit(j, &f->append);
    }
    uint64_t position;
    must(journal_wait(j, 1, NULL, 0, &position)); /* the last in order */
    return position;
}

/* One row; gives the records per second. */
static double measure(const char *directory, unsigned submitters, const char *name,
                      bool is_sync_off, int64_t delay_us, int64_t seconds)
{
    must(file_remove_tree(directory));
    int64_t replayed = 0;
    struct load l = {.submitters = submitters, .end_ns = seconds * 1000000000};
    l.journal = open_journal(directory, is_sync_off, delay_us, &replayed);
    l.latency_ns = calloc(SAMPLES_MAX, sizeof *l.latency_ns);
    /* So that there are enough segments and each was used: what is measured uses recycled ones. */
    for (int i = 0; i < 3; i++)
        journal_trim(l.journal, fill(l.journal, 3 * SEGMENT / PAYLOAD));
    l.warm_ns = clock_now_ns() + 500000000;
    struct loop *loop = loop_make();
    struct scope scope;
    scope_init(&scope);
    if (!l.latency_ns || !task_start(&scope, "load", run_load, &l))
        exit(1);
    loop_run(loop);
    loop_free(loop);
    struct journal_statistics st;
    journal_statistics(l.journal, &st);
    double time = (double)(clock_now_ns() - l.warm_ns) / 1e9;
    double records = (double)(st.records - l.before.records);
    double payload = records * PAYLOAD;
    qsort(l.latency_ns, l.latency_count, sizeof *l.latency_ns, compare_ns);
    printf("%-9s %10u %10.0f %8.3f %8.3f %10.4f %8lld %8lld %6lld\n", name, submitters,
           records / time, (double)(st.bytes_written - l.before.bytes_written) / payload,
           (double)(write_bytes() - l.write_bytes) / payload,
           (double)(st.syncs - l.before.syncs) / records, (long long)quantile_us(&l, 50),
           (long long)quantile_us(&l, 99), (long long)(st.segments_made - l.before.segments_made));
    fflush(stdout);
    journal_close(l.journal);
    free(l.latency_ns);
    return records / time;
}

/* The disk's own time to write one record's pages over zeroed ones and sync them. */
static void measure_disk(const char *directory)
{
    enum { COUNT = 2000, BYTES = 2 * 4096 };
    static int64_t taken_ns[COUNT];
    static char pages[BYTES] = "x";
    must(file_remove_tree(directory));
    must(file_make_directory(directory));
    char path[512];
    snprintf(path, sizeof path, "%s/file", directory);
    struct file *f;
    must(file_open(path, FILE_CREATE_NEW, &f));
    must(file_zero(f, (int64_t)COUNT * BYTES));
    must(file_sync(f));
    for (int i = 0; i < COUNT; i++) {
        struct iovec part = {pages, BYTES};
        int64_t begin = clock_now_ns();
        must(file_write_at(f, &part, 1, (int64_t)i * BYTES));
        must(file_sync(f));
        taken_ns[i] = clock_now_ns() - begin;
    }
    file_close(f);
    qsort(taken_ns, COUNT, sizeof taken_ns[0], compare_ns);
    printf("the disk's own pwrite and fdatasync of 8 KiB: median %lld us, 99 %% %lld us\n",
           (long long)taken_ns[COUNT / 2] / 1000, (long long)taken_ns[COUNT * 99 / 100] / 1000);
}

static void measure_recovery(const char *directory)
{
    must(file_remove_tree(directory));
    int64_t replayed = 0;
    struct journal *j = open_journal(directory, true, 0, &replayed);
    fill(j, 1 << 18);
    journal_close(j);
    for (int i = 0; i < 3; i++) {
        replayed = 0;
        int64_t begin = clock_now_ns();
        j = open_journal(directory, true, 0, &replayed);
        int64_t taken = clock_now_ns() - begin;
        journal_close(j);
        printf("recovery: %.2f GB of payload in %.3f s, %.2f GB/s (open to ready)\n",
               (double)replayed / 1e9, (double)taken / 1e9, (double)replayed / (double)taken);
    }
}

int main(int argc, char **argv)
{
    uint64_t seconds = 3, only = 0;
    if (argc < 2 || (argc > 2 && !num_parse(str_from(argv[2]), 3600, &seconds)) ||
        (argc > 3 && !num_parse(str_from(argv[3]), 100000, &only))) {
        fprintf(stderr, "usage: bench_journal DIRECTORY [SECONDS [SUBMITTERS]]\n");
        return 2;
    }
    unsigned submitters[] = {1, 2, 16, 64, 100, 256, 1000};
    size_t count = sizeof submitters / sizeof submitters[0];
    if (only > 0) {
        submitters[0] = (unsigned)only;
        count = 1;
    }
    char directory[400];
    snprintf(directory, sizeof directory, "%s/bench_journal", argv[1]);
    measure_disk(directory);
    printf("%-9s %10s %10s %8s %8s %10s %8s %8s %6s\n", "sync", "submitters", "records/s",
           "written", "device", "syncs", "p50 us", "p99 us", "made");
    double off[sizeof submitters / sizeof submitters[0]];
    double slow[sizeof submitters / sizeof submitters[0]];
    for (size_t i = 0; i < count; i++)
        measure(directory, submitters[i], "fdatasync", false, 0, (int64_t)seconds);
    for (size_t i = 0; i < count; i++)
        off[i] = measure(directory, submitters[i], "off", true, 0, (int64_t)seconds);
    for (size_t i = 0; i < count; i++)
        slow[i] = measure(directory, submitters[i], "+ 1 ms", false, 1000, (int64_t)seconds);
    for (size_t i = 0; i < count; i++)
        printf("with 1 ms added / sync off, %u submitters: %.2f\n", submitters[i],
               slow[i] / off[i]);
    measure_disk(directory);
    if (only == 0)
        measure_recovery(directory);
    must(file_remove_tree(directory));
    return 0;
}
