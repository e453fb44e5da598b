/* SPDX-License-Identifier: ISC */
/*
 * envelope.c - what the queue keeps of a message beside its content
 */
#include "queue/envelope.h"

#include "base/pack.h"

enum {
    ENVELOPE_VERSION = 1,
    FLAG_8BIT = 1,
    FLAG_UTF8 = 2,
    FLAG_TLS_REQUIRED = 4,
    FLAG_TLS_OPTIONAL = 8,
    FLAG_HELD = 16,
    RCPT_LEAST = 9
};

static const char id_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

size_t envelope_packed_max(const struct queue_envelope *e)
{
    size_t size = 64 + e->sender.n + e->envid.n + e->session.n + e->account.n + e->hold.n;
    for (size_t i = 0; i < e->rcpt_count; i++)
        size += RCPT_LEAST + e->rcpt[i].address.n + e->rcpt[i].orcpt.n;
    return size;
}

void envelope_pack(struct buf *out, const struct queue_envelope *e)
{
    pack_u8(out, ENVELOPE_VERSION);
    pack_u8(out, (uint8_t)((e->is_8bit ? FLAG_8BIT : 0) | (e->is_utf8 ? FLAG_UTF8 : 0) |
                           (e->is_tls_required ? FLAG_TLS_REQUIRED : 0) |
                           (e->is_tls_optional ? FLAG_TLS_OPTIONAL : 0) |
                           (e->hold.n > 0 ? FLAG_HELD : 0)));
    pack_u8(out, e->ret);
    pack_u64(out, (uint64_t)e->arrival_ms);
    pack_str(out, e->sender);
    pack_str(out, e->envid);
    pack_str(out, e->session);
    pack_str(out, e->account);
    pack_u32(out, (uint32_t)e->rcpt_count);
    for (size_t i = 0; i < e->rcpt_count; i++) {
        pack_str(out, e->rcpt[i].address);
        pack_str(out, e->rcpt[i].orcpt);
        pack_u8(out, e->rcpt[i].notify);
    }
    if (e->hold.n > 0)
        pack_str(out, e->hold);
}

bool envelope_unpack(struct arena *arena, struct str bytes, struct queue_envelope *out)
{
    struct unpack u = {bytes, false};
    *out = (struct queue_envelope){0};
    if (bytes.n > ENVELOPE_PACKED_MAX || unpack_u8(&u) != ENVELOPE_VERSION)
        return false;
    uint8_t flags = unpack_u8(&u);
    out->is_8bit = flags & FLAG_8BIT;
    out->is_utf8 = flags & FLAG_UTF8;
    out->is_tls_required = flags & FLAG_TLS_REQUIRED;
    out->is_tls_optional = flags & FLAG_TLS_OPTIONAL;
    out->ret = unpack_u8(&u);
    out->arrival_ms = (int64_t)unpack_u64(&u);
    out->sender = arena_copy(arena, unpack_str(&u));
    out->envid = arena_copy(arena, unpack_str(&u));
    out->session = arena_copy(arena, unpack_str(&u));
    out->account = arena_copy(arena, unpack_str(&u));
    uint32_t count = unpack_u32(&u);
    if (u.is_bad || count > ENVELOPE_RCPT_MAX || count > u.rest.n / RCPT_LEAST)
        return false;
    out->rcpt = arena_alloc(arena, count * sizeof *out->rcpt);
    out->rcpt_count = count;
    for (size_t i = 0; i < count; i++) {
        out->rcpt[i].address = arena_copy(arena, unpack_str(&u));
        out->rcpt[i].orcpt = arena_copy(arena, unpack_str(&u));
        out->rcpt[i].notify = unpack_u8(&u);
    }
    if (flags & FLAG_HELD)
        out->hold = arena_copy(arena, unpack_str(&u));
    return !u.is_bad && (!(flags & FLAG_HELD) || out->hold.n > 0) && u.rest.n == 0;
}

size_t envelope_room(const struct queue_envelope *e)
{
    size_t size = arena_room(e->sender.n + 1) + arena_room(e->envid.n + 1) +
                  arena_room(e->session.n + 1) + arena_room(e->account.n + 1) +
                  arena_room(e->hold.n + 1) + arena_room(e->rcpt_count * sizeof *e->rcpt);
    for (size_t i = 0; i < e->rcpt_count; i++)
        size += arena_room(e->rcpt[i].address.n + 1) + arena_room(e->rcpt[i].orcpt.n + 1);
    return size;
}

struct queue_envelope envelope_copy(struct arena *arena, const struct queue_envelope *e)
{
    struct queue_envelope copy = *e;
    copy.sender = arena_copy(arena, e->sender);
    copy.envid = arena_copy(arena, e->envid);
    copy.session = arena_copy(arena, e->session);
    copy.account = arena_copy(arena, e->account);
    copy.hold = arena_copy(arena, e->hold);
    copy.rcpt = arena_alloc(arena, e->rcpt_count * sizeof *copy.rcpt);
    for (size_t i = 0; i < e->rcpt_count; i++)
        copy.rcpt[i] = (struct queue_rcpt){arena_copy(arena, e->rcpt[i].address),
                                           arena_copy(arena, e->rcpt[i].orcpt), e->rcpt[i].notify};
    return copy;
}

struct str envelope_domain(struct str address)
{
    return str_skip(address, str_last_index(address, '@') + 1);
}

struct str envelope_rcpt_domain(const struct queue_rcpt *r)
{
    return r->notify & QUEUE_NOTIFY_EXPANDED ? QUEUE_EXPANDED_DOMAIN : envelope_domain(r->address);
}

struct str queue_id_text(uint64_t id, char text[QUEUE_ID_TEXT_MAX])
{
    for (size_t i = QUEUE_ID_TEXT_MAX - 1; i-- > 0; id >>= 5)
        text[i] = id_digits[id & 31];
    text[QUEUE_ID_TEXT_MAX - 1] = '\0';
    return str_make(text, QUEUE_ID_TEXT_MAX - 1);
}

bool queue_id_parse(struct str text, uint64_t *id)
{
    uint64_t value = 0;
    if (text.n != QUEUE_ID_TEXT_MAX - 1)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i] >= 'a' && text.p[i] <= 'z' ? (char)(text.p[i] - 32) : text.p[i];
        size_t digit = str_index(STR("0123456789ABCDEFGHJKMNPQRSTVWXYZ"), c);
        if (digit == 32 || value >> 59)
            return false;
        value = value << 5 | digit;
    }
    *id = value;
    return true;
}
