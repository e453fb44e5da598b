/* SPDX-License-Identifier: ISC */
/*
 * fuzz_queue_row.c - rows of queue.db give no message, or the message that they were written from
 *
 * The input is an envelope with its length in two octets in front, and the packed states of
 * deliveries in the same way; they are put into the tables as they are.
 */
#include <sqlite3.h>

#include "queue/cold.h"

#include "fuzz_room.h"
#include "queue/record.h"

enum { ID = 7, STATES_MOST = 8, DELIVERIES_MOST = 16 };

static struct cold *cold;
static sqlite3 *db;

enum step {
    STEP_BEGIN,
    STEP_FORGET_MESSAGE,
    STEP_FORGET_DELIVERIES,
    STEP_MESSAGE,
    STEP_DELIVERY,
    STEP_COMMIT,
    STEPS
};

static const char *const sql[STEPS] = {
    [STEP_BEGIN] = "BEGIN",
    [STEP_FORGET_MESSAGE] = "DELETE FROM message",
    [STEP_FORGET_DELIVERIES] = "DELETE FROM delivery",
    [STEP_MESSAGE] = "INSERT INTO message VALUES (7, '', 0, ?1, ?2)",
    [STEP_DELIVERY] = "INSERT INTO delivery VALUES (7, ?1, 0, 0, ?2)",
    [STEP_COMMIT] = "COMMIT",
};
static sqlite3_stmt *statement[STEPS];

static struct str take_piece(struct str *in)
{
    size_t n = take_octet(in);
    n = n << 8 | take_octet(in);
    struct str piece = str_head(*in, n);
    *in = str_skip(*in, piece.n);
    return piece;
}

int __real_sqlite3_open_v2(const char *path, sqlite3 **out, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **out, int flags, const char *vfs);

/* The queue's database is in memory, and the target puts its rows in beside it. */
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **out, int flags, const char *vfs)
{
    (void)path;
    int result = __real_sqlite3_open_v2(":memory:", out, flags, vfs);
    db = *out;
    return result;
}

static void open_all(void)
{
    must(!cold_open(enter_room(), &cold).kind);
    for (size_t i = 0; i < STEPS; i++)
        must(sqlite3_prepare_v2(db, sql[i], -1, &statement[i], NULL) == SQLITE_OK);
}

static void run(enum step step, int64_t number, struct str blob)
{
    sqlite3_stmt *s = statement[step];
    sqlite3_bind_int64(s, 1, number);
    sqlite3_bind_blob64(s, 2, blob.n ? blob.p : "", blob.n, SQLITE_STATIC);
    must(sqlite3_step(s) == SQLITE_DONE);
    must(sqlite3_reset(s) == SQLITE_OK);
}

/* How many deliveries have a row. */
static size_t put_rows(struct str in)
{
    size_t count = 0;
    run(STEP_BEGIN, 0, STR_NONE);
    run(STEP_FORGET_MESSAGE, 0, STR_NONE);
    run(STEP_FORGET_DELIVERIES, 0, STR_NONE);
    run(STEP_MESSAGE, 12, take_piece(&in));
    for (; count < STATES_MOST && in.n > 0; count++)
        run(STEP_DELIVERY, (int64_t)count, take_piece(&in));
    run(STEP_COMMIT, 0, STR_NONE);
    return count;
}

/* What a checkpoint would write of the message. */
static struct buf pack(struct queue_message *m)
{
    struct buf out = buf_make((size_t)1 << 24);
    envelope_pack(&out, &m->envelope);
    for (size_t i = 0; i < m->delivery_count; i++)
        record_pack_delivery(&out, &m->delivery[i]);
    return out;
}

/* The rows that a checkpoint would write give the same message. */
static void check_again(struct queue_message *m)
{
    struct cold_delivery delivery[DELIVERIES_MOST];
    struct buf state[DELIVERIES_MOST], envelope = buf_make(envelope_packed_max(&m->envelope)),
                                       before = pack(m);
    struct cold_change change = {.id = ID, .sender = m->envelope.sender, .delivery = delivery};
    if (m->delivery_count <= DELIVERIES_MOST) {
        envelope_pack(&envelope, &m->envelope);
        change.envelope = buf_str(&envelope);
        change.body_size = m->body_size;
        for (size_t i = 0; i < m->delivery_count; i++) {
            state[i] = buf_make(record_delivery_max(&m->delivery[i]));
            record_pack_delivery(&state[i], &m->delivery[i]);
            delivery[i] = (struct cold_delivery){m->delivery[i].domain, m->delivery[i].state, 0,
                                                 buf_str(&state[i])};
        }
        change.delivery_count = m->delivery_count;
        must(!cold_apply(cold, &change, 1).kind);
        struct queue_message *again;
        must(!cold_load(cold, ID, &again).kind && again);
        struct buf after = pack(again);
        must(str_equal(buf_str(&before), buf_str(&after)) && again->body_size == m->body_size);
        must(again->open_count == m->open_count);
        message_free(again);
        buf_free(&after);
        for (size_t i = 0; i < m->delivery_count; i++)
            buf_free(&state[i]);
    }
    buf_free(&envelope);
    buf_free(&before);
}

const struct fuzz_memory fuzz_memory = {.factor = 512, .base = 4 << 20, .keeps = true};

void fuzz_one(struct str in)
{
    struct queue_message *m;
    if (!cold)
        open_all();
    size_t rows = put_rows(in);
    must(!cold_load(cold, ID, &m).kind);
    if (!m)
        return;
    size_t open = 0;
    for (size_t i = 0; i < m->delivery_count; i++) {
        open += m->delivery[i].state != QUEUE_ENDED;
        for (size_t k = 0; k < m->delivery[i].rcpt_count; k++)
            must(m->delivery[i].rcpt[k] < m->envelope.rcpt_count);
    }
    must(m->is_cold && m->body_size == 12 && open == m->open_count);
    must(open <= rows); /* those without have ended */
    check_again(m);
    message_free(m);
}
