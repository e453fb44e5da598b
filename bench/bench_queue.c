/* SPDX-License-Identifier: ISC */
/*
 * bench_queue.c - fills a queue with deferred messages
 *
 * bench_queue SPOOL COUNT: writes COUNT messages to SPOOL/queue.db. The first 1000 of them are due
 * and have a body; the others wait for hours and have none, as a start does not look at bodies.
 */
#include "base/num.h"
#include "os/clock.h"
#include "os/file.h"
#include "queue/cold.h"
#include "queue/record.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 1000, DUE_COUNT = 1000, ROOM = 4096 };

static const char body_text[] = "Subject: deferred\r\n\r\nIt waited.\r\n";
enum { BODY_SIZE = sizeof body_text - 1 };

static void must(struct fault fault)
{
    if (fault.kind) {
        fprintf(stderr, "bench_queue: %s\n", fault.text);
        exit(1);
    }
}

/* What one batch points into. */
struct batch {
    struct cold_change change[BATCH];
    struct cold_delivery delivery[BATCH];
    struct buf envelope[BATCH];
    struct buf packed[BATCH];
};

static void write_body(struct cold *c, uint64_t id)
{
    char path[512];
    struct file *f;
    struct iovec part = {(void *)(uintptr_t)body_text, BODY_SIZE};
    if (!cold_body_path(c, id, path, sizeof path))
        exit(1);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    must(file_make_directory(path));
    *slash = '/';
    must(file_open(path, FILE_CREATE_NEW, &f));
    must(file_write_at(f, &part, 1, 0));
    file_close(f);
}

static void put(struct cold *c, struct batch *b, size_t k, uint64_t id, int64_t now_ms)
{
    struct arena arena = arena_make(ROOM * 4);
    struct queue_rcpt *rcpt = arena_alloc(&arena, sizeof *rcpt);
    rcpt->address = arena_printf(&arena, "user%llu@host%llu.example.test", (unsigned long long)id,
                                 (unsigned long long)id % 5000);
    struct queue_envelope envelope = {.sender = STR("source@example.test"),
                                      .arrival_ms = now_ms - 3600000,
                                      .rcpt = rcpt,
                                      .rcpt_count = 1};
    buf_free(&b->envelope[k]);
    buf_free(&b->packed[k]);
    b->envelope[k] = buf_make(ROOM);
    b->packed[k] = buf_make(ROOM);
    envelope_pack(&b->envelope[k], &envelope);
    struct queue_message *m = message_make(id, &arena, &envelope);
    struct queue_delivery *d = &m->delivery[0];
    d->attempts = 3;
    d->next_attempt_ms =
        id <= DUE_COUNT ? now_ms - 1000 : now_ms + 3600000 + (int64_t)(id % 10000) * 1000;
    record_pack_delivery(&b->packed[k], d);
    b->delivery[k] = (struct cold_delivery){.state = QUEUE_WAITING,
                                            .next_attempt_ms = d->next_attempt_ms,
                                            .packed = buf_str(&b->packed[k])};
    static char domain[BATCH][64];
    snprintf(domain[k], sizeof domain[k], STR_FMT, STR_ARG(d->domain));
    b->delivery[k].domain = str_from(domain[k]);
    b->change[k] = (struct cold_change){.id = id,
                                        .sender = envelope.sender,
                                        .arrival_ms = envelope.arrival_ms,
                                        .body_size = BODY_SIZE,
                                        .envelope = buf_str(&b->envelope[k]),
                                        .delivery_count = 1,
                                        .delivery = &b->delivery[k]};
    message_free(m);
    if (id <= DUE_COUNT)
        write_body(c, id);
}

int main(int argc, char **argv)
{
    uint64_t count = 0;
    if (argc != 3 || !num_parse(str_from(argv[2]), 100000000, &count)) {
        fprintf(stderr, "usage: bench_queue SPOOL COUNT\n");
        return 2;
    }
    struct cold *c;
    must(cold_open(argv[1], &c));
    struct batch *b = calloc(1, sizeof *b);
    if (!b)
        abort();
    int64_t begin = clock_now_ms(), now_ms = clock_real_ms();
    for (uint64_t id = 1; id <= count;) {
        size_t k = 0;
        for (; k < BATCH && id <= count; k++, id++)
            put(c, b, k, id, now_ms);
        must(cold_apply(c, b->change, k));
    }
    for (size_t k = 0; k < BATCH; k++) {
        buf_free(&b->envelope[k]);
        buf_free(&b->packed[k]);
    }
    free(b);
    cold_close(c);
    printf("%llu messages in %lld ms\n", (unsigned long long)count,
           (long long)(clock_now_ms() - begin));
    return 0;
}
