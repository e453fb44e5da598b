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

static struct str take_piece(struct str *in)
{
    size_t n = take_octet(in);
    n = n << 8 | take_octet(in);
    struct str piece = str_head(*in, n);
    *in = str_skip(*in, piece.n);
    return piece;
}

static void open_all(void)
{
    char path[128];
    must(!cold_open(enter_room(), &cold).kind);
    snprintf(path, sizeof path, "%s/queue.db", enter_room());
    must(sqlite3_open(path, &db) == SQLITE_OK);
    must(sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL) == SQLITE_OK);
}

static void run(const char *sql, int64_t number, struct str blob)
{
    sqlite3_stmt *s;
    must(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK);
    sqlite3_bind_int64(s, 1, number);
    sqlite3_bind_blob64(s, 2, blob.n ? blob.p : "", blob.n, SQLITE_STATIC);
    must(sqlite3_step(s) == SQLITE_DONE);
    sqlite3_finalize(s);
}

/* How many deliveries have a row. */
static size_t put_rows(struct str in)
{
    size_t count = 0;
    must(sqlite3_exec(db, "BEGIN; DELETE FROM message; DELETE FROM delivery", NULL, NULL, NULL) ==
         SQLITE_OK);
    run("INSERT INTO message VALUES (7, '', 0, ?1, ?2)", 12, take_piece(&in));
    for (; count < STATES_MOST && in.n > 0; count++)
        run("INSERT INTO delivery VALUES (7, ?1, 0, 0, ?2)", (int64_t)count, take_piece(&in));
    must(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
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
