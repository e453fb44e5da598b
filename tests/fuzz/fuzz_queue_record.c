/* SPDX-License-Identifier: ISC */
/*
 * fuzz_queue_record.c - a record of the queue is none, or packed again gives the same bytes
 *
 * The input is a steering octet, the ACCEPT record with its length in two octets in front, and
 * DELIVERY records in the same way.
 */
#include "queue/record.h"

#include "fuzz.h"

static struct str take_piece(struct str *in)
{
    size_t n = take_octet(in);
    n = n << 8 | take_octet(in);
    struct str piece = str_head(*in, n);
    *in = str_skip(*in, piece.n);
    return piece;
}

static void check_accept(const struct queue_message *m, struct str payload)
{
    struct buf out = buf_make(record_accept_max(&m->envelope));
    size_t recipients = 0;
    record_pack_accept(&out, m->id, &m->envelope, m->body_kind == QUEUE_BODY_FILE, m->body_size);
    must(out.used == m->body_offset && out.used <= payload.n);
    if (m->body_kind == QUEUE_BODY_JOURNAL)
        must(m->body_size == payload.n - m->body_offset);
    for (size_t i = 0; i < m->delivery_count; i++) {
        recipients += m->delivery[i].rcpt_count;
        must(message_delivery((struct queue_message *)(uintptr_t)m, m->delivery[i].domain) ==
             &m->delivery[i]);
    }
    must(recipients == m->envelope.rcpt_count && m->open_count == m->delivery_count);
    buf_free(&out);
}

static void check_deliveries(struct queue_message *m)
{
    size_t open = 0;
    for (size_t i = 0; i < m->delivery_count; i++) {
        struct queue_delivery *d = &m->delivery[i];
        struct buf out = buf_make(record_delivery_max(d)), again = buf_make(record_delivery_max(d));
        open += d->state != QUEUE_ENDED;
        for (size_t k = 0; k < d->rcpt_count; k++)
            must(d->rcpt[k] < m->envelope.rcpt_count);
        record_pack_delivery(&out, d);
        must(record_delivery_id(buf_str(&out)) == m->id);
        must(record_apply_delivery(m, buf_str(&out)));
        record_pack_delivery(&again, d);
        must(str_equal(buf_str(&out), buf_str(&again)));
        buf_free(&out);
        buf_free(&again);
    }
    must(open == m->open_count);
}

const struct fuzz_memory fuzz_memory = {.factor = 256, .base = 1048576};

void fuzz_one(struct str in)
{
    struct str payload = take_piece(&in);
    struct queue_message *m = record_unpack_accept(payload, 4096);
    if (!m)
        return;
    check_accept(m, payload);
    while (in.n > 0) {
        struct str change = take_piece(&in);
        if (record_apply_delivery(m, change))
            must(record_delivery_id(change) == m->id);
        check_deliveries(m);
    }
    message_free(m);
}
