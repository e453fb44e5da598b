/* SPDX-License-Identifier: ISC */
/*
 * mta.c - the role that takes mail in, keeps it and sends it on
 *
 * The queue and the dispatcher live on the first loop; sessions and connections to other servers
 * are spread over all of them.
 */
#include <stdlib.h>

#include "conf/conf_resolver.h"
#include "directory/full.h"
#include "net/offload.h"
#include "os/clock.h"
#include "os/memory.h"
#include "role/bench_hooks.h"
#include "role/mta_internal.h"
#include "serve/greylist_book.h"
#include "serve/key_cache.h"
#include "serve/smtp_session.h"

enum {
    SEGMENT_BYTES = 64 << 20,
    JOURNAL_BYTES = 1 << 30,
    SPARES = 2,
    SPARES_MAX = 8,
    HOT_SHARE = 5, /* of the deliveries in memory: what waits before a checkpoint */
    LOADED_SHARE = 10,
    PROOF_MS = 30000,
    QUIET_MS = 3000,
    QUIET_MOST_MS = 100 * QUIET_MS
};

static void alarm_on_disk(void *arg, const struct fault *f)
{
    struct mta *m = arg;
    struct event e;
    event_begin(&e, m->steward.server.log, "journal.alarm");
    event_fault(&e, f);
    event_end(&e);
}

static void queue_options_from(struct mta *m, const struct conf *conf, struct queue_options *o)
{
    *o = (struct queue_options){
        .directory = m->steward.data,
        .journal = {.segment_bytes = SEGMENT_BYTES,
                    .spare_segments = SPARES,
                    .spare_segments_max = SPARES_MAX,
                    .alarm = alarm_on_disk,
                    .alarm_arg = m},
        .retry_first_ms = conf->queue.retry_first_ms,
        .retry_most_ms = conf->queue.retry_max_ms,
        .memory_bytes = conf->queue.memory_bytes,
        .journal_bytes = JOURNAL_BYTES,
        .checkpoint_ms = conf->queue.checkpoint_ms,
        .hot_most = (size_t)conf->queue.delivery_max / HOT_SHARE,
        .ready_most = (size_t)conf->queue.delivery_max,
        .loaded_most = (size_t)conf->queue.delivery_max / LOADED_SHARE,
        .ready = sender_ready,
        .relieve = sender_relieve,
        .sender = m->sender,
    };
    bench_hooks_take(&o->journal);
}

static struct fault start_resolver(struct mta *m, const struct conf *conf)
{
    struct arena a = arena_make(1 << 16);
    struct resolver_options o;
    conf_resolver_options(conf, &a, &o);
    struct fault f = resolver_start(&o, &m->resolver);
    m->steward.server.resolver = m->resolver;
    arena_free(&a);
    return f;
}

/* A session with another server, for the report to the domain's owner; any loop. */
static void tell_tls(void *arg, const struct tls_outcome *o)
{
    struct mta *m = arg;
    char sending[IP_TEXT_MAX], receiving[IP_TEXT_MAX];
    struct live *live = live_keep(&m->steward.live);
    bool is_sending = live->conf->reports.is_sending;
    live_drop(&m->steward.live, live);
    if (!m->tls_gather || !is_sending)
        return;
    struct report_tls t = {
        .domain = o->domain,
        .policy_domain = o->policy_domain,
        .policy_type = tls_policy_type_name(o->policy_type),
        .policy_string = o->policy_string,
        .policy_string_count = o->policy_string_count,
        .mx_pattern = o->mx_host,
        .mx_pattern_count = o->mx_host_count,
        .failure = o->result == TLS_SUCCESS ? NULL : tls_result_name(o->result),
        .sending_ip = o->has_addresses ? ip_format(&o->sending_ip, sending) : STR_NONE,
        .receiving_ip = o->has_addresses ? ip_format(&o->receiving_ip, receiving) : STR_NONE,
        .receiving_mx = o->receiving_mx,
        .receiving_helo = o->receiving_helo,
        .reason = o->reason,
        .time_s = clock_real_ms() / 1000};
    tls_gather_tell(m->tls_gather, &t);
}

static struct fault open_queue(struct mta *m, const struct conf *conf)
{
    m->sts_folder = arena_c_string(&m->steward.arena,
                                   arena_printf(&m->steward.arena, "%s/mta-sts", m->steward.data));
    for (size_t i = 0; i < m->steward.crew.count; i++)
        m->loops[i] =
            (struct sender_loop){m->steward.crew.member[i].loop, &m->steward.crew.member[i].work};
    struct sender_options s = {.live = &m->steward.live,
                               .directory = m->steward.server.directory_cache,
                               .full = m->steward.server.full,
                               .keys = m->steward.server.keys,
                               .srs = m->steward.server.srs,
                               .resolver = m->resolver,
                               .log = m->steward.server.log,
                               .loops = m->loops,
                               .loop_count = m->steward.crew.count,
                               .scope = &m->steward.crew.member[0].work,
                               .sts_folder = m->sts_folder,
                               .tell_tls = tell_tls,
                               .tell_tls_arg = m};
    m->sender = sender_make(&s);
    struct queue_options o;
    queue_options_from(m, conf, &o);
    struct fault f = queue_open(&o, &m->steward.server.queue);
    if (f.kind)
        return f;
    sender_set_queue(m->sender, m->steward.server.queue);
    queue_start(m->steward.server.queue, &m->keeping);
    return FINE;
}

/* What a busy time has left behind in the heaps goes back once it is quiet. */
static void give_memory_back(void *arg)
{
    (void)arg;
    memory_give_back();
}

static void tidy_memory(void *arg)
{
    struct mta *m = arg;
    uint64_t last = 0, tidied = 0;
    int64_t rest_ms = QUIET_MS;
    while (!task_sleep(rest_ms).kind) {
        struct queue_statistics s;
        queue_statistics(m->steward.server.queue, &s);
        uint64_t busy = atomic_load(&m->steward.server.next_session) + (uint64_t)s.finished;
        if (busy == last && busy != tidied) {
            offload(give_memory_back, NULL);
            tidied = busy;
        }
        /* A server that has nothing to do is not to be woken for this. */
        rest_ms = busy != last ? QUIET_MS : rest_ms < QUIET_MOST_MS ? rest_ms * 2 : rest_ms;
        last = busy;
    }
}

static void keep_policies(void *arg)
{
    struct mta *m = arg;
    sender_keep_policies(m->sender);
}

/* Says at the start what would keep all mail waiting: a trust anchor, and a resolver that passes no signatures on. */
static void prove_resolver(void *arg)
{
    struct mta *m = arg;
    struct fault f = resolver_prove(m->resolver, clock_now_ms() + PROOF_MS);
    if (f.kind && !task_is_cancelled())
        steward_tell(&m->steward, "resolver.unproven", &f);
}

static struct mta *mta_of(struct steward *s)
{
    return (struct mta *)(void *)s;
}

/* Without a secret forwarded mail keeps its senders. */
static void load_srs(struct steward *s, const struct conf *conf)
{
    struct fault f = srs_ring_load(s->server.srs, conf->is_srs_used);
    if (f.kind)
        steward_tell(s, "srs.failed", &f);
}

static struct fault open_mta(struct steward *s, const struct conf *conf)
{
    struct arena a = arena_make(1 << 16);
    s->server.keys =
        key_ring_make(s->server.directory, s->server.log, conf_state_path(conf, &a, "keys"));
    s->server.srs = srs_ring_make(arena_printf(&a, "%s/" SRS_RING_NAME, s->data).p);
    load_srs(s, conf);
    arena_free(&a);
    s->server.opened_keys = key_cache_make();
    s->server.full = full_mailboxes_make();
    return start_resolver(mta_of(s), conf);
}

/* Greylisting without a memory is better than no mail: who cannot be remembered passes. */
static void open_greylist(struct steward *s)
{
    struct arena a = arena_make(1 << 16);
    struct str path = arena_printf(&a, "%s/" GREYLIST_BOOK_NAME, s->data);
    struct fault f = greylist_book_open(path.p, false, &s->server.greylist);
    if (f.kind)
        steward_tell(s, "policy.failed", &f);
    arena_free(&a);
}

static struct fault open_report_store(struct steward *s)
{
    struct arena a = arena_make(1 << 16);
    struct str path = arena_printf(&a, "%s/reports.db", s->data);
    char *file = arena_c_string(&a, path);
    struct fault f = report_store_open(file, &s->server.reports);
    /* What cannot be read just now, or by an older program, is there for the next start. */
    if (f.kind == FAULT_NEVER) {
        steward_tell(s, "report.store.failed", &f);
        f = file_rename(file, arena_c_string(&a, arena_printf(&a, "%s.damaged", file)));
        if (!f.kind)
            f = report_store_open(file, &s->server.reports);
    }
    arena_free(&a);
    return f;
}

/* Mail does not wait for reports: without their file none are counted, sent or read. Before the first delivery. */
static void open_reports(struct mta *m)
{
    struct steward *s = &m->steward;
    struct fault f = open_report_store(s);
    if (f.kind)
        steward_tell(s, "report.store.failed", &f);
    else
        m->tls_gather = tls_gather_make(s->server.reports, m->resolver, s->server.log);
}

static struct fault start_reports(struct mta *m)
{
    struct steward *s = &m->steward;
    m->courier = (struct courier){.store = s->server.reports,
                                  .queue = s->server.queue,
                                  .live = &s->live,
                                  .keys = s->server.keys,
                                  .resolver = m->resolver,
                                  .log = s->server.log};
    if (s->server.reports) {
        bell_init(&m->courier.bell);
        report_store_ring(s->server.reports, &m->courier.bell);
    }
    if (s->server.reports && (!task_start(&s->chores, "reports", courier_run, &m->courier) ||
                              !tls_gather_start(m->tls_gather, &s->chores)))
        return fault_make(451, FAULT_STATUS(4, 3, 0), "no memory for a task");
    return FINE;
}

static struct fault take_charge(struct steward *s, const struct conf *conf)
{
    struct mta *m = mta_of(s);
    open_reports(m);
    struct fault f = open_queue(m, conf);
    if (!f.kind)
        open_greylist(s);
    if (!f.kind)
        f = start_reports(m);
    if (!f.kind && (!task_start(&s->chores, "memory", tidy_memory, m) ||
                    !task_start(&s->chores, "policies", keep_policies, m)))
        f = fault_make(451, FAULT_STATUS(4, 3, 0), "no memory for a task");
    bool is_anchored = conf->resolver.is_validating && conf->resolver.trust_anchor_file.n > 0;
    if (!f.kind && is_anchored && !task_start(&s->chores, "resolver", prove_resolver, m))
        f = fault_make(451, FAULT_STATUS(4, 3, 0), "no memory for a task");
    return f;
}

static void adopt(struct steward *s, const struct conf *conf)
{
    struct mta *m = mta_of(s);
    struct queue_options o;
    queue_options_from(m, conf, &o);
    queue_set_options(s->server.queue, &o);
    load_srs(s, conf);
}

static void forget(struct steward *s)
{
    directory_cache_forget(s->server.directory_cache);
    key_ring_forget(s->server.keys);
    sender_refresh(mta_of(s)->sender);
}

static void settle(struct steward *s)
{
    if (s->server.queue)
        sender_stop(mta_of(s)->sender);
}

static bool is_settled(struct steward *s)
{
    return !s->server.queue || sender_is_idle(mta_of(s)->sender);
}

static void end(struct steward *s)
{
    scope_cancel(&mta_of(s)->keeping);
    scope_join(&mta_of(s)->keeping);
}

static void close_mta(struct steward *s)
{
    struct mta *m = mta_of(s);
    if (s->server.queue)
        queue_close(s->server.queue);
    tls_gather_free(m->tls_gather);
    report_store_close(s->server.reports);
    if (m->sender)
        sender_free(m->sender);
    if (m->resolver)
        resolver_stop(m->resolver);
    greylist_book_close(s->server.greylist);
    key_ring_free(s->server.keys);
    srs_ring_free(s->server.srs);
    key_cache_free(s->server.opened_keys);
    full_mailboxes_free(s->server.full);
}

static const struct steward_session sessions[] = {
    {CONF_ROLE_MX, "smtp session", smtp_session_serve, smtp_session_turn_away},
    {CONF_ROLE_SUBMISSION, "smtp session", smtp_session_serve, smtp_session_turn_away},
    {CONF_ROLE_SUBMISSIONS, "smtp session", smtp_session_serve, smtp_session_turn_away},
    {CONF_ROLE_LOCAL, "smtp session", smtp_session_serve, smtp_session_turn_away},
    {CONF_ROLE_NONE, NULL, NULL, NULL},
};

static const struct steward_kind kind = {
    .name = "mta",
    .data = "spool",
    .sessions = sessions,
    .verbs = mta_verbs,
    .more_verbs = report_verbs,
    .open = open_mta,
    .take_charge = take_charge,
    .adopt = adopt,
    .forget = forget,
    .settle = settle,
    .is_settled = is_settled,
    .end = end,
    .close = close_mta,
};

static int64_t thread_count(const struct conf *conf)
{
    return conf->mta_threads;
}

struct fault mta_run(struct role *r)
{
    struct mta *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    scope_init(&m->keeping);
    struct fault f = steward_run(&m->steward, &kind, r, thread_count);
    free(m);
    return f;
}
