/* SPDX-License-Identifier: ISC */
/*
 * mta.c - the role that takes mail in, keeps it and sends it on
 *
 * One task, on the first loop, starts everything in order, waits for requests and stops everything
 * in the opposite order. The queue and the dispatcher live on that loop; sessions and connections
 * to other servers are spread over all of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "net/loop.h"
#include "net/offload.h"
#include "os/memory.h"
#include "os/random.h"
#include "role/control.h"
#include "role/crew.h"
#include "role/mta_internal.h"
#include "role/role.h"
#include "send/sender.h"
#include "serve/smtp_session.h"

enum {
    SEGMENT_BYTES = 64 << 20,
    JOURNAL_BYTES = 1 << 30,
    SPARES = 2,
    SPARES_MAX = 8,
    HOT_MOST = 20000,
    LOOK_AT_DISK_MS = 1000,
    QUIET_MS = 3000,
    FLUSH_LOG_MS = 50,
    DRAIN_MS = 20000, /* what is in flight may take that long when the role stops */
    CANCEL_MS = 5000
};

static void alarm_on_disk(void *arg, const struct fault *f)
{
    struct mta *m = arg;
    struct event e;
    event_begin(&e, m->server.log, "journal.alarm");
    event_fault(&e, f);
    event_end(&e);
}

#ifdef BENCH_HOOKS
/* EILBOTE_BENCH_SYNC=off, or delay-us:N, in builds that measure what the sync costs. */
static void take_bench_hooks(struct journal_options *o)
{
    struct str value = str_from(getenv("EILBOTE_BENCH_SYNC"));
    uint64_t us = 0;
    o->is_sync_off = str_equal(value, STR("off"));
    if (str_starts(value, STR("delay-us:")) && num_parse(str_skip(value, 9), 1000000, &us))
        o->extra_sync_delay_us = (int64_t)us;
}
#endif

static void queue_options_from(struct mta *m, const struct conf *conf, const char *spool,
                               struct queue_options *o)
{
    *o = (struct queue_options){
        .directory = spool,
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
        .hot_most = HOT_MOST,
        .ready = sender_ready,
        .ready_arg = m->sender,
    };
#ifdef BENCH_HOOKS
    take_bench_hooks(&o->journal);
#endif
}

static struct fault start_resolver(struct mta *m, const struct conf *conf)
{
    const struct conf_resolver *r = &conf->resolver;
    struct arena a = arena_make(1 << 16);
    struct resolver_stub stubs[64];
    struct resolver_options o = {
        .servers = r->server.item, .server_count = r->server.count, .stubs = stubs};
    for (size_t i = 0; i < conf->stub_zone_count; i++)
        for (size_t k = 0; k < conf->stub_zone[i].server.count && o.stub_count < 64; k++)
            stubs[o.stub_count++] = (struct resolver_stub){
                arena_c_string(&a, conf->stub_zone[i].zone), conf->stub_zone[i].server.item[k]};
    if (r->is_validating && r->trust_anchor_file.n > 0)
        o.trust_anchor = arena_c_string(&a, r->trust_anchor_file);
    struct fault f = resolver_start(&o, &m->resolver);
    arena_free(&a);
    return f;
}

static struct fault open_parts(struct mta *m, const struct conf *conf)
{
    struct arena a = arena_make(1 << 16);
    const char *log = conf_state_path(conf, &a, "log/mta/events.jsonl");
    struct fault f =
        event_log_open(log, conf->log_size_bytes, (unsigned)conf->log_count, &m->server.log);
    if (!f.kind)
        f = directory_open(conf_state_path(conf, &a, "directory.db"), DIRECTORY_READ,
                           &m->server.directory);
    if (!f.kind) {
        m->server.directory_cache = directory_cache_make(m->server.directory);
        m->server.clients = clients_make();
        f = start_resolver(m, conf);
        m->server.resolver = m->resolver;
    }
    m->spool = arena_c_string(&m->arena, str_from(conf_state_path(conf, &a, "spool")));
    arena_free(&a);
    return f;
}

static struct fault open_queue(struct mta *m, const struct conf *conf)
{
    for (size_t i = 0; i < m->crew.count; i++)
        m->loops[i] = (struct sender_loop){m->crew.member[i].loop, &m->crew.member[i].work};
    struct sender_options s = {.live = &m->live,
                               .directory = m->server.directory_cache,
                               .resolver = m->resolver,
                               .log = m->server.log,
                               .loops = m->loops,
                               .loop_count = m->crew.count,
                               .scope = &m->crew.member[0].work};
    m->sender = sender_make(&s);
    struct queue_options o;
    queue_options_from(m, conf, m->spool, &o);
    struct fault f = queue_open(&o, &m->server.queue);
    if (f.kind)
        return f;
    sender_set_queue(m->sender, m->server.queue);
    queue_start(m->server.queue, &m->keeping);
    return FINE;
}

static struct fault open_services(struct mta *m)
{
    struct role *r = m->role;
    m->service = calloc(r->socket_count + 1, sizeof *m->service);
    if (!m->service)
        abort();
    struct fault f = FINE;
    for (size_t i = 0; i < r->socket_count && !f.kind; i++) {
        struct service *s = &m->service[m->service_count++];
        s->server = &m->server;
        snprintf(s->name, sizeof s->name, "%s", r->sockets[i].name);
        s->listener = (struct listener){.descriptor = r->sockets[i].descriptor,
                                        .task_name = "smtp session",
                                        .serve = smtp_session_serve,
                                        .arg = s};
        f = crew_listen(&m->crew, &s->listener);
    }
    return f;
}

/* Keeps an eye on the disk: below the reserve no mail is taken in. */
struct disk_look {
    const char *path;
    int64_t free_bytes, total_bytes;
    struct fault fault;
};

static void look_at_disk(void *arg)
{
    struct disk_look *l = arg;
    l->fault = file_space(l->path, &l->free_bytes, &l->total_bytes);
}

static void watch_disk(void *arg)
{
    struct mta *m = arg;
    do {
        struct disk_look l = {.path = m->spool};
        offload(look_at_disk, &l);
        struct live *live = live_keep(&m->live);
        bool is_low = !l.fault.kind && l.free_bytes < live->conf->queue.disk_reserve_bytes;
        live_drop(&m->live, live);
        if (atomic_exchange(&m->server.is_disk_low, is_low) == is_low)
            continue;
        struct event e;
        event_begin(&e, m->server.log, is_low ? "disk.low" : "disk.fine");
        event_number(&e, "free", l.free_bytes);
        event_end(&e);
    } while (!task_sleep(LOOK_AT_DISK_MS).kind);
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
    while (!task_sleep(QUIET_MS).kind) {
        struct queue_statistics s;
        queue_statistics(m->server.queue, &s);
        uint64_t busy = atomic_load(&m->server.next_session) + (uint64_t)s.finished;
        if (busy == last && busy != tidied) {
            offload(give_memory_back, NULL);
            tidied = busy;
        }
        last = busy;
    }
}

static void write_events(void *arg)
{
    struct mta *m = arg;
    event_flush(m->server.log);
}

static void flush_log(void *arg)
{
    do
        offload(write_events, arg);
    while (!task_sleep(FLUSH_LOG_MS).kind);
}

static void tell(struct mta *m, const char *name, const struct fault *f)
{
    struct event e;
    event_begin(&e, m->server.log, name);
    if (f)
        event_fault(&e, f);
    event_end(&e);
}

struct fault mta_reload(struct mta *m)
{
    struct fault f = live_reload(&m->live);
    tell(m, f.kind ? "reload.failed" : "reload.done", &f);
    if (f.kind)
        return f;
    struct live *live = live_keep(&m->live);
    struct queue_options o;
    queue_options_from(m, live->conf, m->spool, &o);
    queue_set_options(m->server.queue, &o);
    live_drop(&m->live, live);
    directory_cache_forget(m->server.directory_cache);
    sender_refresh(m->sender);
    return FINE;
}

/* Sessions finish their message, connections theirs; what is left after a while is cancelled. */
static void drain(struct mta *m)
{
    atomic_store(&m->server.is_draining, true);
    sender_stop(m->sender);
    crew_stop_listening(&m->crew);
    role_close_sockets(m->role);
    crew_nudge(&m->crew);
    int64_t end = loop_now_ms(loop_current()) + DRAIN_MS;
    bool is_done = crew_await_sessions(&m->crew, end);
    scope_cancel(&m->chores);
    is_done = is_done && crew_await_work(&m->crew, end) && sender_is_idle(m->sender);
    if (!is_done) {
        crew_cancel(&m->crew);
        end = loop_now_ms(loop_current()) + CANCEL_MS;
        crew_await_sessions(&m->crew, end);
        crew_await_work(&m->crew, end);
    }
    scope_cancel(&m->keeping);
    scope_join(&m->keeping);
}

static void close_parts(struct mta *m)
{
    if (m->server.queue)
        queue_close(m->server.queue);
    if (m->sender)
        sender_free(m->sender);
    if (m->resolver)
        resolver_stop(m->resolver);
    directory_cache_free(m->server.directory_cache);
    if (m->server.clients)
        clients_free(m->server.clients);
    directory_close(m->server.directory);
    event_log_close(m->server.log);
    free(m->service);
}

static struct fault start(struct mta *m)
{
    struct live *live = live_keep(&m->live);
    struct arena a = arena_make(1 << 16);
    struct fault f = open_parts(m, live->conf);
    if (!f.kind)
        f = open_queue(m, live->conf);
    if (!f.kind)
        f = control_start(&m->chores, conf_state_path(live->conf, &a, "ctl/mta/sock"), mta_verbs,
                          m);
    if (!f.kind && (!task_start(&m->chores, "disk watch", watch_disk, m) ||
                    !task_start(&m->chores, "memory", tidy_memory, m) ||
                    !task_start(&m->chores, "log flush", flush_log, m)))
        f = fault_make(451, FAULT_STATUS(4, 3, 0), "no memory for tasks");
    if (!f.kind)
        f = open_services(m);
    arena_free(&a);
    live_drop(&m->live, live);
    return f;
}

static void tell_ready(struct mta *m)
{
    struct event e;
    event_begin(&e, m->server.log, "role.ready");
    event_number(&e, "loops", (int64_t)m->crew.count);
    event_flag(&e, "seccomp", m->role->sandbox.has_seccomp);
    event_number(&e, "landlock", m->role->sandbox.landlock_version);
    event_end(&e);
}

static void lead(void *arg)
{
    struct mta *m = arg;
    struct role *r = m->role;
    role_listen(r);
    m->fault = start(m);
    if (!m->fault.kind) {
        tell_ready(m);
        r->ready(r);
        while (!role_wait(r))
            mta_reload(m);
        tell(m, "role.stopping", NULL);
    }
    if (m->server.queue)
        drain(m);
    scope_cancel(&m->chores);
    scope_join(&m->chores);
    loop_stop(loop_current());
}

struct fault mta_run(struct role *r)
{
    struct mta *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    m->role = r;
    m->arena = arena_make(1 << 16);
    m->server.live = &m->live;
    atomic_store(&m->server.next_session, random_u64() >> 24 << 20);
    scope_init(&m->chores);
    scope_init(&m->keeping);
    struct scope top;
    scope_init(&top);
    m->fault = live_start(&m->live, r->conf_path);
    if (!m->fault.kind) {
        crew_start(&m->crew, (size_t)m->live.live->conf->mta_threads);
        struct loop *loop = m->crew.member[0].loop;
        task_start(&top, "mta", lead, m);
        loop_run(loop);
        crew_stop(&m->crew);
        close_parts(m);
        loop_free(loop);
        live_stop(&m->live);
    }
    struct fault f = m->fault;
    arena_free(&m->arena);
    free(m);
    return f;
}
