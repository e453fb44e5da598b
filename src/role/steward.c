/* SPDX-License-Identifier: ISC */
/*
 * steward.c - the household of a role: what the mta and the mda have in common
 *
 * One task, on the first loop, starts everything in order, follows requests and stops everything in
 * the opposite order. Sessions are spread over all loops.
 */
#include "role/steward.h"

#include <unistd.h>

#include "net/loop.h"
#include "net/offload.h"
#include "os/random.h"
#include "os/sandbox.h"
#include "role/services.h"
#include "role/steward_verbs.h"

enum {
    LOOK_AT_DISK_MS = 1000,
    FLUSH_LOG_MS = 50,
    DRAIN_MS = 20000, /* what is in flight may take that long when the role stops */
    CANCEL_MS = 5000,
    DESCRIPTORS_KEPT = 2048 /* no sessions take them */
};

void steward_tell(struct steward *s, const char *name, const struct fault *f)
{
    struct event e;
    event_begin(&e, s->server.log, name);
    if (f)
        event_fault(&e, f);
    event_end(&e);
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
    struct steward *s = arg;
    bool is_low;
    do {
        struct disk_look l = {.path = s->data};
        offload(look_at_disk, &l);
        struct live *live = live_keep(&s->live);
        is_low = !l.fault.kind && l.free_bytes < live->conf->queue.disk_reserve_bytes;
        live_drop(&s->live, live);
        if (atomic_exchange(&s->server.is_disk_low, is_low) == is_low)
            continue;
        struct event e;
        event_begin(&e, s->server.log, is_low ? "disk.low" : "disk.fine");
        event_number(&e, "free", l.free_bytes);
        event_end(&e);
        /* While there is room, it is looked at again when somebody wants to use it. */
    } while (!task_sleep(LOOK_AT_DISK_MS).kind &&
             (is_low || !bell_wait(&s->server.disk_bell).kind));
}

static void write_events(void *arg)
{
    struct steward *s = arg;
    event_flush(s->server.log);
}

static void flush_log(void *arg)
{
    struct steward *s = arg;
    while (!bell_wait(&s->log_bell).kind && !task_sleep(FLUSH_LOG_MS).kind)
        offload(write_events, s);
}

static void there_are_lines(void *arg)
{
    struct steward *s = arg;
    bell_ring(&s->log_bell);
}

/* The path of a file in the role's folder of log or ctl. */
static const char *own_path(struct steward *s, const struct conf *conf, struct arena *a,
                            const char *folder, const char *file)
{
    struct str name = arena_printf(a, "%s/%s/%s", folder, s->kind->name, file);
    return conf_state_path(conf, a, arena_c_string(a, name));
}

/* The rest is for files, for mail that is sent, and for what the operator asks. */
static int64_t session_most(void)
{
    int64_t descriptors = sandbox_raise_descriptors();
    int64_t rest = descriptors / 4;
    return descriptors - (rest < DESCRIPTORS_KEPT ? rest : DESCRIPTORS_KEPT);
}

static void ask_for_mending(void *arg)
{
    struct steward *s = arg;
    role_ask(s->role, ROLE_MEND);
}

static struct fault open_common(struct steward *s, const struct conf *conf)
{
    struct arena a = arena_make(1 << 16);
    s->data = arena_c_string(&s->arena, str_from(conf_state_path(conf, &a, s->kind->data)));
    struct fault f =
        event_log_open(own_path(s, conf, &a, "log", "events.jsonl"), conf->log_size_bytes,
                       (unsigned)conf->log_count, s->role->order->has_predecessor, &s->server.log);
    if (!f.kind) {
        bell_init(&s->log_bell);
        bell_init(&s->server.disk_bell);
        event_log_tell(s->server.log, there_are_lines, s);
    }
    if (!f.kind)
        f = directory_open(conf_state_path(conf, &a, "directory.db"), DIRECTORY_READ,
                           &s->server.directory);
    if (!f.kind) {
        directory_on_stuck(s->server.directory, ask_for_mending, s);
        s->server.directory_cache = directory_cache_make(s->server.directory);
        s->server.clients = clients_make();
        s->server.session_max = session_most();
    }
    arena_free(&a);
    return f;
}

static struct fault start_chores(struct steward *s)
{
    if (!task_start(&s->chores, "disk watch", watch_disk, s) ||
        !task_start(&s->chores, "log flush", flush_log, s))
        return fault_make(451, FAULT_STATUS(4, 3, 0), "no memory for tasks");
    return FINE;
}

static struct fault take_charge(struct steward *s, const struct conf *conf)
{
    const struct control_verb *const tables[] = {s->kind->verbs, steward_verbs, s->kind->more_verbs,
                                                 NULL};
    struct arena a = arena_make(1 << 16);
    struct fault f = s->kind->take_charge(s, conf);
    if (!f.kind)
        f = control_start(&s->chores, own_path(s, conf, &a, "ctl", "sock"), tables, s);
    arena_free(&a);
    /* What the command line has told the process of before, and nobody us. */
    if (!f.kind)
        s->kind->forget(s);
    atomic_store(&s->server.is_in_charge, !f.kind);
    return f;
}

static struct fault start(struct steward *s)
{
    struct live *live = live_keep(&s->live);
    struct fault f = open_common(s, live->conf);
    if (!f.kind && s->kind->open)
        f = s->kind->open(s, live->conf);
    if (!f.kind)
        f = start_chores(s);
    if (!f.kind && !s->role->order->has_predecessor)
        f = take_charge(s, live->conf);
    if (!f.kind)
        f = services_set(s, s->role->order, live->conf);
    s->set_number = s->role->order->number;
    live_drop(&s->live, live);
    return f;
}

/* All or nothing: on a fault configuration and listeners are those from before. */
static struct fault follow(struct steward *s)
{
    struct live *fresh;
    struct str source = buf_str(&s->role->source);
    struct fault f = live_load(&s->live, source, &fresh);
    if (f.kind) {
        for (size_t i = 0; i < s->role->order->socket_count; i++)
            close(s->role->order->socket[i].descriptor);
        return f;
    }
    struct live *old = live_replace(&s->live, fresh);
    f = services_set(s, s->role->order, fresh->conf);
    if (f.kind)
        old = live_replace(&s->live, old);
    live_drop(&s->live, old);
    return f;
}

static void reload(struct steward *s)
{
    const struct order *o = s->role->order;
    struct fault reason = fault_make(o->reply, (struct fault_status){0}, "%s", o->text);
    struct fault f = follow(s);
    if (f.kind)
        steward_tell(s, "reload.failed", &f);
    else
        steward_tell(s, reason.kind ? "reload.undone" : "reload.done", &reason);
    if (!f.kind)
        s->set_number = o->number;
    if (!f.kind && atomic_load(&s->server.is_in_charge)) {
        struct live *live = live_keep(&s->live);
        s->kind->adopt(s, live->conf);
        bell_ring(&s->server.disk_bell);
        live_drop(&s->live, live);
        s->kind->forget(s);
    }
    role_report(s->role, f.kind ? REPORT_FAILED : REPORT_DONE, o->number, &f);
}

static void tell_ready(struct steward *s)
{
    struct event e;
    event_begin(&e, s->server.log, "role.ready");
    event_number(&e, "loops", (int64_t)s->crew.count);
    event_flag(&e, "seccomp", s->role->sandbox.has_seccomp);
    event_number(&e, "landlock", s->role->sandbox.landlock_version);
    event_end(&e);
}

static void report_for_duty(struct steward *s)
{
    bool is_in_charge = atomic_load(&s->server.is_in_charge);
    if (is_in_charge)
        tell_ready(s);
    else
        steward_tell(s, "role.waiting", NULL);
    role_report(s->role, is_in_charge ? REPORT_READY : REPORT_BESIDE, s->set_number, NULL);
}

/* The process of before has ended. */
static struct fault succeed(struct steward *s)
{
    struct live *live = live_keep(&s->live);
    event_log_share(s->server.log, false);
    struct fault f = take_charge(s, live->conf);
    live_drop(&s->live, live);
    if (f.kind)
        return f;
    crew_nudge(&s->crew);
    report_for_duty(s);
    return FINE;
}

static void obey(struct steward *s, enum role_request request)
{
    struct fault f = fault_make(551, FAULT_STATUS(5, 3, 5), "%s", s->role->order->text);
    if (request == ROLE_SET)
        reload(s);
    else
        steward_tell(s, request == ROLE_STAY ? "upgrade.failed" : "reload.failed", &f);
}

static struct fault serve(struct steward *s)
{
    struct fault f = FINE;
    enum role_request request;
    report_for_duty(s);
    while (!f.kind && (request = role_wait(s->role)) != ROLE_STOP) {
        if (request == ROLE_ALONE)
            f = succeed(s);
        else
            obey(s, request);
    }
    steward_tell(s, "role.stopping", &f);
    return f;
}

/* Sessions finish their message, connections theirs; what is left after a while is cancelled. */
static void drain(struct steward *s)
{
    const struct steward_kind *k = s->kind;
    atomic_store(&s->server.is_draining, true);
    if (s->server.log)
        event_log_share(s->server.log, true);
    if (k->settle)
        k->settle(s);
    crew_stop_listening(&s->crew);
    services_close(s);
    crew_nudge(&s->crew);
    int64_t end = loop_now_ms(loop_current()) + DRAIN_MS;
    bool is_done = crew_await_sessions(&s->crew, end);
    is_done = is_done && crew_await_work(&s->crew, end) && (!k->is_settled || k->is_settled(s));
    if (!is_done) {
        crew_cancel(&s->crew);
        end = loop_now_ms(loop_current()) + CANCEL_MS;
        crew_await_sessions(&s->crew, end);
        crew_await_work(&s->crew, end);
    }
    scope_cancel(&s->chores);
    if (k->end)
        k->end(s);
    scope_join(&s->chores);
}

static void lead(void *arg)
{
    struct steward *s = arg;
    s->fault = role_listen(s->role);
    if (!s->fault.kind)
        s->fault = start(s);
    if (!s->fault.kind)
        s->fault = serve(s);
    drain(s);
    if (!s->fault.kind && atomic_load(&s->has_given_up))
        s->fault = s->reason;
    role_unlisten(s->role);
    loop_stop(loop_current());
}

void steward_give_up(struct steward *s, const struct fault *f)
{
    s->reason = *f;
    atomic_store(&s->has_given_up, true);
    role_ask(s->role, ROLE_STOP);
}

static void close_common(struct steward *s)
{
    services_free(s);
    s->kind->close(s);
    directory_cache_free(s->server.directory_cache);
    if (s->server.clients)
        clients_free(s->server.clients);
    directory_close(s->server.directory);
    event_log_close(s->server.log);
}

struct fault steward_run(struct steward *s, const struct steward_kind *kind, struct role *r,
                         int64_t (*thread_count)(const struct conf *conf))
{
    struct scope top;
    s->kind = kind;
    s->role = r;
    s->arena = arena_make(1 << 16);
    s->server.live = &s->live;
    atomic_store(&s->server.next_session, random_u64() >> 24 << 20);
    scope_init(&s->chores);
    scope_init(&top);
    list_init(&s->services);
    s->fault = live_start(&s->live, r->conf_path, buf_str(&r->source));
    if (!s->fault.kind) {
        crew_start(&s->crew, (size_t)thread_count(s->live.live->conf));
        struct loop *loop = s->crew.member[0].loop;
        task_start(&top, kind->name, lead, s);
        loop_run(loop);
        crew_stop(&s->crew);
        close_common(s);
        loop_free(loop);
        live_stop(&s->live);
    }
    arena_free(&s->arena);
    return s->fault;
}
