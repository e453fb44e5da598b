/* SPDX-License-Identifier: ISC */
/*
 * mda.c - the role that keeps the mailboxes: LMTP in, POP3 out
 *
 * Of the same shape as mta.c: one task, on the first loop, starts everything in order, waits for
 * requests and stops everything in the opposite order. Sessions are spread over all loops; the store
 * has threads of its own.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/loop.h"
#include "net/offload.h"
#include "os/random.h"
#include "role/crew.h"
#include "role/role.h"
#include "serve/lmtp_session.h"
#include "serve/pop3_session.h"
#include "serve/server.h"
#include "store/store.h"

enum {
    SEGMENT_BYTES = 64 << 20,
    JOURNAL_BYTES = 512 << 20,
    SPARES = 2,
    SPARES_MAX = 8,
    UNAPPLIED_BYTES = 16 << 20, /* what a login may have to wait for */
    UNAPPLIED_WAIT_MS = 30000,
    INDEX_MOST = 64,
    STORE_THREADS = 2,
    LOOK_AT_DISK_MS = 1000,
    FLUSH_LOG_MS = 50,
    DRAIN_MS = 20000, /* what is in flight may take that long when the role stops */
    CANCEL_MS = 5000
};

struct mda {
    struct role *role;
    struct arena arena;
    struct live_holder live;
    struct server server;
    struct crew crew;
    struct scope chores; /* disk watch, log */
    struct service *service;
    size_t service_count;
    char *mail;
    struct fault fault;
};

static void alarm_on_disk(void *arg, const struct fault *f)
{
    struct mda *m = arg;
    struct event e;
    event_begin(&e, m->server.log, "store.alarm");
    event_fault(&e, f);
    event_end(&e);
}

static void store_options_from(struct mda *m, const struct conf *conf, struct store_options *o)
{
    *o = (struct store_options){
        .directory = m->mail,
        .journal = {.segment_bytes = SEGMENT_BYTES,
                    .spare_segments = SPARES,
                    .spare_segments_max = SPARES_MAX,
                    .alarm = alarm_on_disk,
                    .alarm_arg = m},
        .checkpoint_ms = conf->queue.checkpoint_ms,
        .journal_bytes = JOURNAL_BYTES,
        .unapplied_bytes = UNAPPLIED_BYTES,
        .unapplied_wait_ms = UNAPPLIED_WAIT_MS,
        .thread_count = STORE_THREADS,
        .index_most = INDEX_MOST,
    };
}

static struct fault open_parts(struct mda *m, const struct conf *conf)
{
    struct arena a = arena_make(1 << 16);
    const char *log = conf_state_path(conf, &a, "log/mda/events.jsonl");
    m->mail = arena_c_string(&m->arena, str_from(conf_state_path(conf, &a, "mail")));
    struct fault f =
        event_log_open(log, conf->log_size_bytes, (unsigned)conf->log_count, &m->server.log);
    if (!f.kind)
        f = directory_open(conf_state_path(conf, &a, "directory.db"), DIRECTORY_READ,
                           &m->server.directory);
    arena_free(&a);
    if (f.kind)
        return f;
    m->server.directory_cache = directory_cache_make(m->server.directory);
    m->server.clients = clients_make();
    struct store_options o;
    store_options_from(m, conf, &o);
    return store_open(&o, &m->server.store);
}

static struct fault open_service(struct mda *m, const struct conf *conf,
                                 const struct role_socket *socket)
{
    struct service *s = &m->service[m->service_count++];
    s->server = &m->server;
    snprintf(s->name, sizeof s->name, "%s", socket->name);
    const struct conf_listener *l = service_conf(s, conf);
    bool is_lmtp = l && l->role == CONF_ROLE_LMTP;
    s->listener = (struct listener){.descriptor = socket->descriptor,
                                    .task_name = is_lmtp ? "lmtp session" : "pop3 session",
                                    .serve = is_lmtp ? lmtp_session_serve : pop3_session_serve,
                                    .arg = s};
    return crew_listen(&m->crew, &s->listener);
}

static struct fault open_services(struct mda *m, const struct conf *conf)
{
    struct role *r = m->role;
    m->service = calloc(r->socket_count + 1, sizeof *m->service);
    if (!m->service)
        abort();
    struct fault f = FINE;
    for (size_t i = 0; i < r->socket_count && !f.kind; i++)
        f = open_service(m, conf, &r->sockets[i]);
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
    struct mda *m = arg;
    do {
        struct disk_look l = {.path = m->mail};
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

static void write_events(void *arg)
{
    struct mda *m = arg;
    event_flush(m->server.log);
}

static void flush_log(void *arg)
{
    do
        offload(write_events, arg);
    while (!task_sleep(FLUSH_LOG_MS).kind);
}

static void tell(struct mda *m, const char *name, const struct fault *f)
{
    struct event e;
    event_begin(&e, m->server.log, name);
    if (f)
        event_fault(&e, f);
    event_end(&e);
}

static void reload(struct mda *m)
{
    struct fault f = live_reload(&m->live);
    tell(m, f.kind ? "reload.failed" : "reload.done", &f);
    if (f.kind)
        return;
    struct live *live = live_keep(&m->live);
    struct store_options o;
    store_options_from(m, live->conf, &o);
    store_set_options(m->server.store, &o);
    live_drop(&m->live, live);
    directory_cache_forget(m->server.directory_cache);
}

/* Sessions finish what they are at; what is left after a while is cancelled. */
static void drain(struct mda *m)
{
    atomic_store(&m->server.is_draining, true);
    crew_stop_listening(&m->crew);
    role_close_sockets(m->role);
    crew_nudge(&m->crew);
    int64_t end = loop_now_ms(loop_current()) + DRAIN_MS;
    if (crew_await_sessions(&m->crew, end))
        return;
    crew_cancel(&m->crew);
    crew_await_sessions(&m->crew, loop_now_ms(loop_current()) + CANCEL_MS);
}

static void close_parts(struct mda *m)
{
    if (m->server.store)
        store_close(m->server.store);
    directory_cache_free(m->server.directory_cache);
    if (m->server.clients)
        clients_free(m->server.clients);
    directory_close(m->server.directory);
    event_log_close(m->server.log);
    free(m->service);
}

static struct fault start(struct mda *m)
{
    struct live *live = live_keep(&m->live);
    struct fault f = open_parts(m, live->conf);
    if (!f.kind && (!task_start(&m->chores, "disk watch", watch_disk, m) ||
                    !task_start(&m->chores, "log flush", flush_log, m)))
        f = fault_make(451, FAULT_STATUS(4, 3, 0), "no memory for tasks");
    if (!f.kind)
        f = open_services(m, live->conf);
    live_drop(&m->live, live);
    return f;
}

static void tell_ready(struct mda *m)
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
    struct mda *m = arg;
    struct role *r = m->role;
    role_listen(r);
    m->fault = start(m);
    if (!m->fault.kind) {
        tell_ready(m);
        r->ready(r);
        while (!role_wait(r))
            reload(m);
        tell(m, "role.stopping", NULL);
    }
    if (m->service)
        drain(m);
    scope_cancel(&m->chores);
    scope_join(&m->chores);
    loop_stop(loop_current());
}

struct fault mda_run(struct role *r)
{
    struct mda *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    m->role = r;
    m->arena = arena_make(1 << 16);
    m->server.live = &m->live;
    atomic_store(&m->server.next_session, random_u64() >> 24 << 20);
    scope_init(&m->chores);
    struct scope top;
    scope_init(&top);
    m->fault = live_start(&m->live, r->conf_path);
    if (!m->fault.kind) {
        crew_start(&m->crew, (size_t)m->live.live->conf->mda_threads);
        struct loop *loop = m->crew.member[0].loop;
        task_start(&top, "mda", lead, m);
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
