/* SPDX-License-Identifier: ISC */
/*
 * sts.c - the MTA-STS policies of other domains: found, fetched, kept (RFC 8461 sections 3 to 5)
 *
 * What is known of a domain is copied out before every wait and found again behind it: the map changes meanwhile.
 */
#include "send/sts.h"

#include <stdlib.h>

#include "base/hostname.h"
#include "base/map.h"
#include "event/event.h"
#include "net/fetch.h"
#include "net/loop.h"
#include "net/task.h"
#include "os/random.h"
#include "proto/dns.h"
#include "send/sts_shelf.h"

enum {
    ANSWERS_MAX = 2 << 20,
    POLICY_ROOM = 8 * MTA_STS_POLICY_MAX,
    RETRY_MS = 300000, /* after a fetch that failed (section 3.3) */
    PAUSE_MS = 50
};

/* What is known of a domain. */
struct known {
    struct map_node node;
    struct sts_stored stored; /* without text: no policy */
    enum sts_state failed;    /* why the last fetch gave none; FOUND: it did */
    struct str trouble;
    int64_t retry_ms; /* of loop_now_ms: not fetched before */
    struct arena arena;
};

struct sts {
    struct sts_options options;
    struct map known;
    size_t fetch_count;
};

struct sts *sts_make(const struct sts_options *options)
{
    struct sts *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->options = *options;
    s->known = map_make(random_u64(), random_u64());
    return s;
}

static void forget(struct sts *s, struct known *k)
{
    struct arena arena = k->arena;
    map_remove(&s->known, &k->node);
    arena_free(&arena);
}

void sts_free(struct sts *s)
{
    size_t cursor;
    if (!s)
        return;
    for (struct map_node *n; cursor = 0, (n = map_walk(&s->known, &cursor, NULL));)
        forget(s, MAP_ENTRY(n, struct known, node));
    map_free(&s->known);
    free(s);
}

static struct known *find_known(const struct sts *s, struct str domain)
{
    struct map_node *n = map_find(&s->known, domain);
    return n ? MAP_ENTRY(n, struct known, node) : NULL;
}

/* Puts what is known of a domain in the place of what was. Beyond the limit somebody else is forgotten: the files are there. */
static struct known *note(struct sts *s, struct str domain, const struct sts_stored *stored,
                          enum sts_state failed, struct str trouble)
{
    size_t cursor = 0;
    struct arena arena = arena_make(POLICY_ROOM);
    struct known *k = arena_alloc(&arena, sizeof *k), *before = find_known(s, domain);
    *k = (struct known){.failed = failed, .trouble = arena_copy(&arena, trouble)};
    k->stored = (struct sts_stored){.id = arena_copy(&arena, stored->id),
                                    .text = arena_copy(&arena, stored->text),
                                    .fetched_s = stored->fetched_s,
                                    .expires_s = stored->expires_s};
    if (failed != STS_FOUND)
        k->retry_ms = loop_now_ms(loop_current()) + RETRY_MS;
    struct str key = arena_copy(&arena, domain);
    k->arena = arena;
    if (before)
        forget(s, before);
    else if (s->known.count >= STS_DOMAINS_MAX)
        forget(s, MAP_ENTRY(map_walk(&s->known, &cursor, NULL), struct known, node));
    map_insert(&s->known, &k->node, key);
    return k;
}

static void tell(const struct sts *s, const char *name, struct str domain,
                 const struct mta_sts_policy *p, struct str reason)
{
    struct event e;
    if (!s->options.log)
        return;
    event_begin(&e, s->options.log, name);
    event_text(&e, "domain", domain);
    if (p) {
        event_text(&e, "mode", str_from(mta_sts_mode_name(p->mode)));
        event_number(&e, "max_age", p->max_age_s);
    }
    if (reason.n > 0)
        event_text(&e, "reason", reason);
    event_end(&e);
}

static int64_t now_s(void)
{
    return loop_real_ms(loop_current()) / 1000;
}

/* What is known of the domain, from the shelf when it is not in memory. A policy is used until its time is over. */
static struct known *recall(struct sts *s, struct str domain, bool *is_unreadable)
{
    struct known *k = find_known(s, domain);
    *is_unreadable = false;
    if (!k && s->options.folder) {
        struct arena a = arena_make(POLICY_ROOM);
        struct sts_stored stored;
        bool is_there = sts_shelf_get(s->options.folder, domain, &a, &stored, is_unreadable);
        k = find_known(s, domain);
        if (!k && is_there)
            k = note(s, domain, &stored, STS_FOUND, STR_NONE);
        arena_free(&a);
    }
    if (k && k->stored.text.n > 0 && k->stored.expires_s <= now_s())
        k->stored = (struct sts_stored){0};
    return k;
}

/* The id of the domain's record; empty when there is none or it cannot be found out (section 3.1). */
static struct str ask_id(struct sts *s, struct str domain, int64_t deadline_ms, struct arena *a)
{
    struct resolver_answer answer;
    struct str id = STR_NONE;
    size_t count = 0;
    const char *name = arena_c_string(a, arena_printf(a, "_mta-sts." STR_FMT, STR_ARG(domain)));
    if (resolver_lookup(s->options.resolver, a, name, RESOLVER_TXT, deadline_ms, &answer).kind)
        return STR_NONE;
    for (size_t i = 0; i < answer.count; i++) {
        struct str text, found;
        if (!dns_text_read(answer.data[i], a, &text))
            continue;
        enum mta_sts_record record = mta_sts_record_parse(text, &found);
        count += record != MTA_STS_ABSENT;
        if (record == MTA_STS_GOOD)
            id = found;
    }
    return count == 1 ? id : STR_NONE;
}

static bool may_ask(const struct conf *conf, const struct ip_address *ip)
{
    return fetch_is_public(ip) || conf_networks_contain(&conf->delivery.sts_networks, ip);
}

static void add_addresses(struct sts *s, const struct conf *conf, struct fetch *f,
                          int64_t deadline_ms)
{
    static const uint16_t families[] = {RESOLVER_AAAA, RESOLVER_A};
    for (size_t i = 0; i < 2; i++) {
        struct arena a = arena_make(ANSWERS_MAX);
        struct resolver_answer answer;
        struct fault fault =
            resolver_lookup(s->options.resolver, &a, f->host, families[i], deadline_ms, &answer);
        for (size_t k = 0; !fault.kind && k < answer.count; k++) {
            struct ip_address ip;
            if (f->address_count < FETCH_ADDRESSES_MAX &&
                dns_address_read(answer.data[k], families[i] == RESOLVER_AAAA, &ip) &&
                may_ask(conf, &ip))
                f->address[f->address_count++] = ip;
        }
        arena_free(&a);
    }
}

static struct fault fetch(struct sts *s, struct str domain, int64_t deadline_ms, struct buf *text,
                          bool *is_untrusted)
{
    struct arena a = arena_make(1 << 16);
    struct live *live = live_keep(s->options.live);
    const struct conf_delivery *d = &live->conf->delivery;
    struct fetch f = {.host =
                          arena_c_string(&a, arena_printf(&a, "mta-sts." STR_FMT, STR_ARG(domain))),
                      .path = "/.well-known/mta-sts.txt",
                      .authorities = d->ca_file.n > 0 ? arena_c_string(&a, d->ca_file) : NULL,
                      .port = (uint16_t)d->sts_port};
    while (s->fetch_count >= STS_FETCHES_MAX && !task_sleep(PAUSE_MS).kind)
        ;
    s->fetch_count++;
    add_addresses(s, live->conf, &f, deadline_ms);
    struct fault fault = fetch_text(&f, text);
    s->fetch_count--;
    *is_untrusted = f.is_certificate_bad;
    live_drop(s->options.live, live);
    arena_free(&a);
    return fault;
}

/* A fetch has failed: what was known stays (section 5.1). */
static void note_failure(struct sts *s, struct str domain, enum sts_state why, struct str trouble)
{
    struct known *k = find_known(s, domain);
    struct sts_stored kept = k ? k->stored : (struct sts_stored){0};
    tell(s, "sts.failed", domain, NULL, trouble);
    note(s, domain, &kept, why, trouble);
}

static void refetch(struct sts *s, struct str domain, struct str id, int64_t deadline_ms)
{
    struct buf text = buf_make(MTA_STS_POLICY_MAX);
    struct arena a = arena_make(POLICY_ROOM);
    struct mta_sts_policy policy;
    const char *reason;
    bool is_untrusted = false;
    struct fault f = fetch(s, domain, deadline_ms, &text, &is_untrusted);
    if (f.kind) {
        note_failure(s, domain, is_untrusted ? STS_UNTRUSTED : STS_UNFETCHED, fault_text(&f));
    } else if (!mta_sts_policy_parse(buf_str(&text), &a, &policy, &reason)) {
        struct str trouble = arena_printf(&a, "the policy is not valid: %s", reason);
        note_failure(s, domain, STS_INVALID, trouble);
    } else {
        int64_t now = now_s();
        struct sts_stored stored = {id, buf_str(&text), now, now + policy.max_age_s};
        note(s, domain, &stored, STS_FOUND, STR_NONE);
        tell(s, "sts.fetched", domain, &policy, STR_NONE);
        if (s->options.folder && !s->options.is_only_read)
            f = sts_shelf_put(s->options.folder, domain, &stored);
        if (f.kind)
            tell(s, "sts.unsaved", domain, NULL, fault_text(&f));
    }
    buf_free(&text);
    arena_free(&a);
}

/*
 * Whether a fetch is in place: nothing is known, another id is there, or the policy is old. While all that may be fetched
 * at a time is under way, slow web servers of strangers perhaps, a policy that is known is not waited for.
 */
static bool is_due(const struct sts *s, const struct known *k, struct str id)
{
    if (k && k->retry_ms > loop_now_ms(loop_current()))
        return false;
    if (k && k->stored.text.n > 0 && s->fetch_count >= STS_FETCHES_MAX)
        return false;
    return !k || k->stored.text.n == 0 || (id.n > 0 && !str_equal(k->stored.id, id)) ||
           sts_shelf_is_old(&k->stored, now_s());
}

static void give(const struct known *k, bool is_cached, struct arena *arena, struct sts_answer *out)
{
    const char *reason;
    out->trouble = arena_copy(arena, k->trouble);
    if (k->stored.text.n == 0) {
        out->state = k->failed == STS_FOUND ? STS_ABSENT : k->failed;
        return;
    }
    out->text = arena_copy(arena, k->stored.text);
    out->id = arena_copy(arena, k->stored.id);
    out->fetched_s = k->stored.fetched_s;
    out->is_cached = is_cached;
    if (mta_sts_policy_parse(out->text, arena, &out->policy, &reason))
        out->state = STS_FOUND;
}

void sts_find(struct sts *s, struct str domain, int64_t deadline_ms, struct arena *arena,
              struct sts_answer *out)
{
    struct arena a = arena_make(ANSWERS_MAX);
    bool is_fetched = false;
    *out = (struct sts_answer){.state = STS_ABSENT};
    if (hostname_is_valid(domain)) {
        struct str id = ask_id(s, domain, deadline_ms, &a);
        struct known *k = recall(s, domain, &out->is_unreadable);
        bool has_policy = k && k->stored.text.n > 0;
        is_fetched = (id.n > 0 || has_policy) && is_due(s, k, id);
        if (is_fetched)
            refetch(s, domain, id.n > 0 ? id : arena_copy(&a, k->stored.id), deadline_ms);
        k = find_known(s, domain);
        if (k && out->is_unreadable && k->stored.text.n == 0) {
            forget(s, k); /* it is looked for again */
            k = NULL;
        }
        out->is_unreadable &= !k;
        if (k && (id.n > 0 || k->stored.text.n > 0))
            give(k, !is_fetched || k->failed != STS_FOUND, arena, out);
    }
    arena_free(&a);
}

static void refresh_one(void *arg, struct str domain)
{
    enum { ASK_MS = 20000 };
    struct sts *s = arg;
    struct arena a = arena_make(1 << 20);
    struct sts_answer ignored;
    sts_find(s, domain, loop_now_ms(loop_current()) + ASK_MS, &a, &ignored);
    arena_free(&a);
}

void sts_refresh(struct sts *s)
{
    if (s->options.folder)
        sts_shelf_each(s->options.folder, now_s(), refresh_one, s);
}
