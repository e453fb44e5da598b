/* SPDX-License-Identifier: ISC */
/*
 * milter_link.c - one connection to one mail filter
 */
#include "serve/milter_link.h"

#include "net/dial.h"
#include "net/loop.h"
#include "net/task.h"

enum {
    GOODBYE_MS = 1000, /* for what nobody answers */
    BATCH_BYTES = 64 << 10,
    READS_A_TURN = 16,
};

static int64_t in_ms(int64_t ms)
{
    return loop_now_ms(loop_current()) + ms;
}

int64_t milter_link_end(int64_t timeout_ms)
{
    return in_ms(MILTER_PATIENCE * timeout_ms);
}

static void drop(struct milter_link *l)
{
    if (!l->conn)
        return;
    conn_abort(l->conn);
    milter_free(&l->engine);
    l->conn = NULL;
    l->has_session = l->has_message = false;
}

static struct fault fail(struct milter_link *l, const char *what)
{
    drop(l);
    return fault_make(451, FAULT_STATUS(4, 7, 1), "%s", what);
}

/* The fault of the stream, in words that say who is meant. */
static struct fault fail_stream(struct milter_link *l, const struct fault *f)
{
    if (task_is_cancelled()) {
        drop(l);
        return *f;
    }
    return fail(l, f->text);
}

static struct fault flush(struct milter_link *l, int64_t deadline_ms)
{
    struct str output = milter_output(&l->engine);
    if (output.n == 0)
        return FINE;
    struct fault f = conn_write(l->conn, &output, 1, deadline_ms);
    if (f.kind)
        return fail_stream(l, &f);
    milter_sent(&l->engine, output.n);
    return FINE;
}

/* A filter that talks on and on is no reason to keep others waiting, nor to forget the time. */
static void take_turns(struct milter_link *l)
{
    if (++l->read_count % READS_A_TURN == 0)
        task_yield();
}

static struct fault read_event(struct milter_link *l, int64_t deadline_ms, struct milter_event *out)
{
    *out = (struct milter_event){.kind = MILTER_MORE};
    while (out->kind == MILTER_MORE) {
        struct str in;
        take_turns(l);
        if (in_ms(0) >= deadline_ms)
            return fail(l, "the filter does not come to an end in time");
        struct fault f = conn_read(l->conn, deadline_ms, &in);
        if (f.kind)
            return fail_stream(l, &f);
        if (in.n == 0)
            return fail(l, "the filter has closed the connection");
        conn_consume(l->conn, milter_feed(&l->engine, in, out));
    }
    if (out->kind != MILTER_BROKEN)
        return FINE;
    struct fault broken = out->fault;
    drop(l);
    return broken;
}

struct fault milter_link_ask(struct milter_link *l, int64_t timeout_ms, int64_t end_ms,
                             struct milter_event *out)
{
    bool is_waiting = milter_is_waiting(&l->engine);
    int64_t deadline = in_ms(timeout_ms);
    *out = (struct milter_event){.kind = MILTER_CONTINUE};
    if (deadline > end_ms)
        deadline = end_ms;
    if (!is_waiting && milter_output(&l->engine).n < BATCH_BYTES)
        return FINE;
    /* What is here already answers nothing: it would be taken for the next answer, and all after it. */
    if (milter_output(&l->engine).n > 0 && conn_unread(l->conn) > 0)
        return fail(l, "the filter said something without being asked");
    struct fault f = flush(l, deadline);
    if (f.kind || !is_waiting)
        return f;
    do {
        f = read_event(l, deadline, out);
        deadline = in_ms(timeout_ms) < end_ms ? in_ms(timeout_ms) : end_ms;
    } while (!f.kind && out->kind == MILTER_PROGRESS);
    return f;
}

static struct fault connect_to(struct milter_link *l)
{
    struct endpoint at;
    int64_t deadline = in_ms(l->conf->connect_timeout_ms);
    if (l->conf->path.n == 0) {
        at = endpoint_from_ip(&l->conf->address.address, l->conf->address.port);
    } else {
        char path[sizeof at.address];
        struct str p = str_head(l->conf->path, sizeof path - 1);
        memcpy(path, p.p, p.n);
        path[p.n] = '\0';
        if (!endpoint_from_path(path, &at))
            return fault_make(451, FAULT_STATUS(4, 7, 1), "its socket's path is too long");
    }
    return dial(&at, NULL, deadline, &l->conn);
}

struct fault milter_link_open(struct milter_link *l)
{
    struct milter_event e;
    int64_t timeout = l->conf->connect_timeout_ms;
    struct fault f = connect_to(l);
    if (f.kind) {
        l->conn = NULL;
        return f;
    }
    milter_begin(&l->engine);
    return milter_link_ask(l, timeout, in_ms(timeout), &e);
}

void milter_link_abort(struct milter_link *l)
{
    if (!l->conn || !l->has_message)
        return;
    l->has_message = false;
    if (milter_is_waiting(&l->engine)) {
        drop(l);
        return;
    }
    milter_abort(&l->engine);
    flush(l, in_ms(GOODBYE_MS));
}

void milter_link_close(struct milter_link *l)
{
    if (!l->conn)
        return;
    if (!milter_is_waiting(&l->engine)) {
        milter_quit(&l->engine);
        flush(l, in_ms(GOODBYE_MS));
    }
    if (!l->conn)
        return;
    conn_close(l->conn);
    milter_free(&l->engine);
    l->conn = NULL;
    l->has_session = l->has_message = false;
}
