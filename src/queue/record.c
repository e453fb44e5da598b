/* SPDX-License-Identifier: ISC */
/*
 * record.c - what the queue writes: accepted messages, and the state of a delivery after a change
 */
#include "queue/record.h"

#include "base/pack.h"

enum {
    RECORD_VERSION = 1,
    ARENA_LIMIT = 16 << 20,
    FLAG_DELAY_NOTICED = 1,
    FLAG_TROUBLE = 2,
    FLAG_ANSWER = 4
};

size_t record_accept_max(const struct queue_envelope *e)
{
    return 64 + envelope_packed_max(e);
}

void record_pack_accept(struct buf *out, uint64_t id, const struct queue_envelope *e,
                        bool is_body_in_file, uint64_t body_size)
{
    struct buf packed = buf_make(envelope_packed_max(e));
    envelope_pack(&packed, e);
    pack_u8(out, RECORD_VERSION);
    pack_u64(out, id);
    pack_u8(out, is_body_in_file);
    pack_u64(out, body_size);
    pack_str(out, buf_str(&packed));
    buf_free(&packed);
}

struct queue_message *record_unpack_accept(struct str payload, uint64_t position)
{
    struct unpack u = {payload, false};
    bool is_known = unpack_u8(&u) == RECORD_VERSION;
    uint64_t id = unpack_u64(&u);
    bool is_body_in_file = unpack_u8(&u) != 0;
    uint64_t body_size = unpack_u64(&u);
    struct str packed = unpack_str(&u);
    if (!is_known || u.is_bad || id == 0 || (!is_body_in_file && body_size != u.rest.n))
        return NULL;
    struct arena arena = arena_make(ARENA_LIMIT);
    struct queue_envelope e;
    if (!envelope_unpack(&arena, packed, &e) || e.rcpt_count == 0) {
        arena_free(&arena);
        return NULL;
    }
    struct queue_message *m = message_make(id, &arena, &e);
    m->body_kind = is_body_in_file ? QUEUE_BODY_FILE : QUEUE_BODY_JOURNAL;
    m->body_size = (size_t)body_size;
    m->body_offset = payload.n - u.rest.n;
    m->position = m->body_position = position;
    return m;
}

size_t record_delivery_max(const struct queue_delivery *d)
{
    size_t size = 128 + d->domain.n + d->rcpt_count * 4;
    if (d->trouble)
        size += FAULT_TEXT_MAX + d->trouble->remote.n + d->trouble->dialogue.n;
    return size;
}

static void pack_trouble(struct buf *out, const struct queue_trouble *t)
{
    pack_u32(out, t->fault.reply);
    pack_u32(out, t->fault.status.class);
    pack_u32(out, t->fault.status.subject);
    pack_u32(out, t->fault.status.detail);
    pack_str(out, fault_text(&t->fault));
    pack_u64(out, (uint64_t)t->time_ms);
    pack_str(out, t->remote);
    pack_str(out, t->dialogue);
}

size_t record_delivery_key_bytes(const struct queue_delivery *d)
{
    return sizeof(uint8_t) + sizeof(uint64_t) + sizeof(uint32_t) + d->domain.n;
}

void record_pack_delivery(struct buf *out, const struct queue_delivery *d)
{
    pack_u8(out, RECORD_VERSION);
    pack_u64(out, d->message->id);
    pack_str(out, d->domain);
    pack_u8(out, (uint8_t)delivery_rest_state(d));
    bool is_answer = d->trouble && d->trouble->fault.is_answer;
    pack_u8(out, (uint8_t)((d->is_delay_noticed ? FLAG_DELAY_NOTICED : 0) |
                           (d->trouble ? FLAG_TROUBLE : 0) | (is_answer ? FLAG_ANSWER : 0)));
    pack_u32(out, d->attempts);
    pack_u64(out, (uint64_t)d->next_attempt_ms);
    pack_u32(out, (uint32_t)d->rcpt_count);
    for (size_t i = 0; i < d->rcpt_count; i++)
        pack_u32(out, d->rcpt[i]);
    if (d->trouble)
        pack_trouble(out, d->trouble);
}

uint64_t record_delivery_id(struct str payload)
{
    struct unpack u = {payload, false};
    bool is_known = unpack_u8(&u) == RECORD_VERSION;
    uint64_t id = unpack_u64(&u);
    return is_known && !u.is_bad ? id : 0;
}

static void apply_trouble(struct queue_delivery *d, struct unpack *u, bool is_answer)
{
    unsigned reply = unpack_u32(u);
    struct fault_status status = {(uint16_t)unpack_u32(u), 0, 0};
    status.subject = (uint16_t)unpack_u32(u);
    status.detail = (uint16_t)unpack_u32(u);
    struct str text = unpack_str(u);
    int64_t time_ms = (int64_t)unpack_u64(u);
    struct str remote = unpack_str(u), dialogue = unpack_str(u);
    struct fault f = fault_make(reply, status, STR_FMT, STR_ARG(text));
    f.kind = FAULT_LATER; /* whatever was said, the delivery is still here */
    f.is_answer = is_answer;
    if (!u->is_bad)
        delivery_set_trouble(d, &f, time_ms, remote, dialogue);
}

bool record_apply_delivery(struct queue_message *m, struct str payload)
{
    struct unpack u = {payload, false};
    if (unpack_u8(&u) != RECORD_VERSION || unpack_u64(&u) != m->id)
        return false;
    struct queue_delivery *d = message_delivery(m, unpack_str(&u));
    uint8_t state = unpack_u8(&u), flags = unpack_u8(&u);
    uint32_t attempts = unpack_u32(&u);
    int64_t next_attempt_ms = (int64_t)unpack_u64(&u);
    uint32_t count = unpack_u32(&u);
    if (u.is_bad || !d || state > QUEUE_ENDED || count > d->rcpt_count || count > u.rest.n / 4)
        return false;
    struct unpack rcpts = u;
    for (size_t i = 0; i < count; i++)
        if (unpack_u32(&u) >= m->envelope.rcpt_count)
            return false;
    if (flags & FLAG_TROUBLE)
        apply_trouble(d, &u, flags & FLAG_ANSWER);
    if (u.is_bad)
        return false;
    for (size_t i = 0; i < count; i++)
        d->rcpt[i] = unpack_u32(&rcpts);
    d->rcpt_count = count;
    m->open_count -= d->state != QUEUE_ENDED;
    m->open_count += state != QUEUE_ENDED;
    d->state = (enum queue_state)state;
    d->attempts = attempts;
    d->next_attempt_ms = next_attempt_ms;
    d->is_delay_noticed = flags & FLAG_DELAY_NOTICED;
    return true;
}
