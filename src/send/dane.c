/* SPDX-License-Identifier: ISC */
/*
 * dane.c - what the DNS says, provably, of a mail exchanger's certificate (RFC 7672 section 2)
 */
#include "send/dane.h"

enum { DANE_TA = 2, ANSWERS_MAX = 4 << 20 };

struct search {
    struct resolver *resolver;
    struct arena *arena;  /* what is kept */
    struct arena answers; /* what is not */
    int64_t deadline_ms;
    uint16_t port;
    struct dane *out;
};

static bool ask(struct search *s, struct str name, uint16_t type, struct resolver_answer *answer)
{
    struct fault f = resolver_lookup(s->resolver, &s->answers, arena_c_string(&s->answers, name),
                                     type, s->deadline_ms, answer);
    if (!f.kind && answer->ttl_s < s->out->ttl_s)
        s->out->ttl_s = answer->ttl_s;
    if (f.kind) {
        s->out->state = DANE_FAILED;
        s->out->fault = f;
    }
    return !f.kind;
}

static void take_records(struct search *s, struct str base, const struct resolver_answer *answer)
{
    struct dane *d = s->out;
    d->base = arena_copy(s->arena, base);
    d->record = arena_alloc(s->arena, DANE_RECORDS_MAX * sizeof *d->record);
    d->state = DANE_UNUSABLE;
    for (size_t i = 0; i < answer->count && d->count < DANE_RECORDS_MAX; i++) {
        struct dns_tlsa *t = &d->record[d->count];
        if (!dns_tlsa_read(answer->data[i], t))
            continue;
        t->data = arena_copy(s->arena, t->data);
        d->count++;
        if (dns_tlsa_is_usable(t))
            d->state = DANE_USABLE;
    }
}

/* The records at a base domain. False when the search is over: they are there, or the look-up failed. */
static bool look_at(struct search *s, struct str base)
{
    struct resolver_answer answer;
    struct str name =
        arena_printf(&s->answers, "_%u._tcp." STR_FMT, (unsigned)s->port, STR_ARG(base));
    if (!ask(s, name, RESOLVER_TLSA, &answer))
        return false;
    if (!answer.is_secure || answer.status != RESOLVER_FOUND)
        return true;
    take_records(s, base, &answer);
    return false;
}

/* Whether the name's own CNAME is secure although what it leads to is not. */
static bool is_alias_secure(struct search *s, struct str host)
{
    struct resolver_answer answer;
    return ask(s, host, RESOLVER_CNAME, &answer) && answer.is_secure &&
           answer.status == RESOLVER_FOUND;
}

static void search(struct search *s, struct str host)
{
    static const uint16_t families[] = {RESOLVER_AAAA, RESOLVER_A};
    struct str canonical = STR_NONE;
    bool is_secure = true;
    for (size_t i = 0; i < 2; i++) {
        struct resolver_answer answer;
        if (!ask(s, host, families[i], &answer))
            return;
        is_secure = is_secure && answer.is_secure;
        if (answer.canonical.n > 0)
            canonical = answer.canonical;
    }
    if (!is_secure && (canonical.n == 0 || !is_alias_secure(s, host)))
        return;
    if (is_secure && canonical.n > 0 && !look_at(s, canonical))
        return;
    look_at(s, host);
}

void dane_find(struct resolver *resolver, struct arena *arena, struct str host, uint16_t port,
               int64_t deadline_ms, struct dane *out)
{
    struct search s = {resolver, arena, arena_make(ANSWERS_MAX), deadline_ms, port, out};
    *out = (struct dane){.ttl_s = UINT32_MAX};
    search(&s, host);
    arena_free(&s.answers);
}

bool dane_has_authority(const struct dane *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->record[i].usage == DANE_TA)
            return true;
    return false;
}
