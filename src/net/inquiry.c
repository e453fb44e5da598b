/* SPDX-License-Identifier: ISC */
/*
 * inquiry.c - the questions of the checks, answered by the resolver
 */
#include "net/inquiry.h"

#include "proto/dns.h"

enum {
    WIRE_BYTES = 512 << 10, /* resolver_lookup asks for that much */
    NAMES_MOST = 100        /* of MX and PTR records: more than any check looks at */
};

static const uint16_t types[] = {
    [ASK_A] = RESOLVER_A,     [ASK_AAAA] = RESOLVER_AAAA, [ASK_MX] = RESOLVER_MX,
    [ASK_PTR] = RESOLVER_PTR, [ASK_TXT] = RESOLVER_TXT,   [ASK_TLSA] = RESOLVER_TLSA};

static void take_addresses(const struct resolver_answer *wire, bool is_v6, struct arena *arena,
                           struct ask_answer *out)
{
    struct ip_address *list = arena_alloc(arena, wire->count * sizeof *list);
    for (size_t i = 0; i < wire->count; i++)
        out->count += dns_address_read(wire->data[i], is_v6, &list[out->count]);
    out->addresses = list;
}

static void take_hosts(const struct resolver_answer *wire, struct arena *arena,
                       struct ask_answer *out)
{
    struct ask_mx *list = arena_alloc(arena, NAMES_MOST * sizeof *list);
    for (size_t i = 0; i < wire->count && out->count < NAMES_MOST; i++) {
        struct ask_mx *mx = &list[out->count];
        out->count += dns_exchange_read(wire->data[i], arena, &mx->preference, &mx->host);
    }
    out->hosts = list;
}

static void take_names(const struct resolver_answer *wire, struct arena *arena,
                       struct ask_answer *out)
{
    struct str *list = arena_alloc(arena, NAMES_MOST * sizeof *list);
    for (size_t i = 0; i < wire->count && out->count < NAMES_MOST; i++)
        out->count += dns_name_read(wire->data[i], arena, &list[out->count]);
    out->names = list;
}

static void take_texts(const struct resolver_answer *wire, struct arena *arena,
                       struct ask_answer *out)
{
    struct str *list = arena_alloc(arena, wire->count * sizeof *list);
    for (size_t i = 0; i < wire->count; i++)
        out->count += dns_text_read(wire->data[i], arena, &list[out->count]);
    out->texts = list;
}

static void take_keys(const struct resolver_answer *wire, struct arena *arena,
                      struct ask_answer *out)
{
    struct ask_tlsa *list = arena_alloc(arena, wire->count * sizeof *list);
    for (size_t i = 0; i < wire->count; i++) {
        struct str data = wire->data[i];
        if (data.n < 3)
            continue;
        list[out->count++] = (struct ask_tlsa){.data = arena_copy(arena, str_skip(data, 3)),
                                               .usage = (uint8_t)data.p[0],
                                               .selector = (uint8_t)data.p[1],
                                               .matching = (uint8_t)data.p[2]};
    }
    out->keys = list;
}

/* A part of these may lack the one that counts, and there would be nothing that tells. */
static bool is_too_much(const struct resolver_answer *wire, enum ask_type type)
{
    switch (type) {
    case ASK_TXT:
    case ASK_TLSA:
        return wire->count > INQUIRY_TEXTS_MAX;
    case ASK_A:
    case ASK_AAAA:
        return wire->count == RESOLVER_RECORDS_MAX;
    case ASK_MX:
    case ASK_PTR:
        return false;
    }
    return false;
}

static void take(const struct resolver_answer *wire, enum ask_type type, struct arena *arena,
                 struct ask_answer *out)
{
    switch (type) {
    case ASK_A:
    case ASK_AAAA:
        take_addresses(wire, type == ASK_AAAA, arena, out);
        break;
    case ASK_MX:
        take_hosts(wire, arena, out);
        break;
    case ASK_PTR:
        take_names(wire, arena, out);
        break;
    case ASK_TXT:
        take_texts(wire, arena, out);
        break;
    case ASK_TLSA:
        take_keys(wire, arena, out);
        break;
    }
}

static void answer(void *context, struct arena *arena, const char *name, enum ask_type type,
                   struct ask_answer *out)
{
    static const enum ask_status statuses[] = {[RESOLVER_FOUND] = ASK_FOUND,
                                               [RESOLVER_NO_DATA] = ASK_NO_DATA,
                                               [RESOLVER_NO_NAME] = ASK_NO_NAME};
    struct inquiry *i = context;
    struct arena scratch = arena_make(WIRE_BYTES);
    struct resolver_answer wire;
    struct fault f =
        resolver_lookup(i->resolver, &scratch, name, types[type], i->deadline_ms, &wire);
    *out = (struct ask_answer){.status = ASK_FAILED};
    if (f.kind) {
        i->is_cancelled |= f.reply == 421;
    } else if (wire.status != RESOLVER_FOUND || !is_too_much(&wire, type)) {
        out->status = statuses[wire.status];
        out->is_secure = wire.is_secure;
        out->ttl_s = wire.ttl_s;
        if (wire.status == RESOLVER_FOUND)
            take(&wire, type, arena, out);
    }
    arena_free(&scratch);
}

struct asker inquiry_asker(struct inquiry *i, struct arena *arena, unsigned questions)
{
    return (struct asker){.answer = answer, .context = i, .arena = arena, .left = questions};
}
