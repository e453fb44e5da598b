/* SPDX-License-Identifier: ISC */
/*
 * supervisor.c - binds the ports, starts the roles and keeps them running
 */
#include "role/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/num.h"
#include "net/offload.h"
#include "os/clock.h"
#include "os/database.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/sandbox.h"
#include "os/signals.h"
#include "os/thread.h"
#include "role/role.h"
#include "role/sockets.h"

enum {
    PAUSE_FIRST_MS = 100,
    PAUSE_MOST_MS = 30000,
    STEADY_MS = 10000, /* a role that ran that long has recovered */
    KILL_AFTER_MS = 30000,
    SOCKETS_TEXT = 8192,
    OFFLOAD_DEFAULT = 8
};

#define SOCKETS_VARIABLE "EILBOTE_SOCKETS"
#define READY_VARIABLE   "EILBOTE_READY"

/* A role as a row: what it is called, which sockets it gets, what it may do. */
struct role_kind {
    const char *name;
    struct fault (*run)(struct role *r);
    bool is_mta;
    bool may_connect;
};

static const struct role_kind kinds[] = {
    {"mta", mta_run, true, true},
    {"mda", mda_run, false, false},
};

enum { ROLES = sizeof kinds / sizeof kinds[0] };

struct child {
    const struct role_kind *kind;
    struct sockets sockets;
    int pid;        /* 0: not running */
    int ready_pipe; /* -1: has said so, or is not running */
    bool is_ready;
    int64_t started_ms;
    int64_t pause_ms;
    int64_t start_at_ms; /* when it may start again */
};

struct supervisor {
    const char *conf_path;
    struct child child[ROLES];
    int signals;
    struct sockets *sockets; /* ours, of all roles */
    bool is_stopping, has_said_ready;
    int64_t kill_at_ms;
};

static void complain(const char *role, const char *what)
{
    fprintf(stderr, "eilbote: the %s %s\n", role, what);
    fflush(stderr);
}

/* Paths in the configuration are relative to its file: go there, and call it by its name. */
static struct fault go_to_conf(const char *conf_path, const char **name)
{
    struct str path = str_from(conf_path);
    size_t slash = str_last_index(path, '/');
    *name = conf_path;
    if (slash == path.n)
        return FINE;
    char *directory = strndup(conf_path, slash > 0 ? slash : 1);
    int result = directory ? chdir(directory) : -1;
    free(directory);
    if (result != 0)
        return fault_make(551, FAULT_STATUS(5, 3, 5), "%s: %s", conf_path, strerrordesc_np(errno));
    *name = conf_path + slash + 1;
    return FINE;
}

static __attribute__((noinline)) void start_child(struct supervisor *s, struct child *c)
{
    int ends[2];
    char ready[16];
    struct buf text = buf_make(SOCKETS_TEXT);
    process_pipe(ends);
    snprintf(ready, sizeof ready, "%d", ends[1]);
    sockets_print(&c->sockets, &text);
    buf_append_byte(&text, '\0');
    setenv(SOCKETS_VARIABLE, text.data, 1);
    buf_free(&text);
    setenv(READY_VARIABLE, ready, 1);
    int keep[ROLE_SOCKETS_MOST + 1];
    size_t count = 0;
    for (; count < c->sockets.count; count++)
        keep[count] = c->sockets.item[count].descriptor;
    keep[count++] = ends[1];
    char *arguments[] = {(char *)(uintptr_t) "eilbote",    (char *)(uintptr_t) "-c",
                         (char *)(uintptr_t)s->conf_path,  (char *)(uintptr_t) "role",
                         (char *)(uintptr_t)c->kind->name, NULL};
    struct fault f = process_start(arguments, keep, count, &c->pid);
    close(ends[1]);
    c->ready_pipe = ends[0];
    c->started_ms = clock_now_ms();
    if (f.kind) {
        complain(c->kind->name, f.text);
        c->pid = 0;
        c->start_at_ms = c->started_ms + PAUSE_MOST_MS;
    }
}

static void child_ended(struct supervisor *s, struct child *c, const char *how, bool is_clean)
{
    int64_t now = clock_now_ms();
    c->pid = 0;
    if (c->ready_pipe >= 0)
        close(c->ready_pipe);
    c->ready_pipe = -1;
    if (s->is_stopping && is_clean)
        return;
    complain(c->kind->name, how);
    bool was_steady = now - c->started_ms > STEADY_MS;
    c->pause_ms = was_steady || !c->pause_ms ? PAUSE_FIRST_MS : c->pause_ms * 2;
    if (c->pause_ms > PAUSE_MOST_MS)
        c->pause_ms = PAUSE_MOST_MS;
    c->start_at_ms = now + c->pause_ms;
}

static void reap(struct supervisor *s)
{
    char how[PROCESS_END_MAX];
    bool is_clean;
    for (int pid; (pid = process_reap(how, &is_clean)) > 0;)
        for (size_t i = 0; i < ROLES; i++)
            if (s->child[i].pid == pid)
                child_ended(s, &s->child[i], how, is_clean);
}

static void say_ready(struct supervisor *s)
{
    for (size_t i = 0; i < ROLES; i++)
        if (!s->child[i].is_ready)
            return;
    if (s->has_said_ready)
        return;
    s->has_said_ready = true;
    puts("ready");
    fflush(stdout);
    process_notify_systemd("READY=1");
}

static void read_ready(struct supervisor *s, struct child *c)
{
    char byte;
    ssize_t n = read(c->ready_pipe, &byte, 1);
    if (n < 0 && errno == EINTR)
        return;
    close(c->ready_pipe);
    c->ready_pipe = -1;
    if (n == 1) {
        c->is_ready = true;
        say_ready(s);
    }
}

static void signal_children(struct supervisor *s, enum process_signal signal)
{
    for (size_t i = 0; i < ROLES; i++)
        if (s->child[i].pid > 0)
            process_signal(s->child[i].pid, signal);
}

/* A port is closed only when nobody has it open: the roles close theirs. */
static void close_sockets(struct sockets *s)
{
    while (s->count > 0)
        close(s->item[--s->count].descriptor);
}

static void act_on_signal(struct supervisor *s, enum signals_event event)
{
    switch (event) {
    case SIGNALS_CHILD:
        reap(s);
        return;
    case SIGNALS_RELOAD:
        process_notify_systemd("RELOADING=1");
        signal_children(s, PROCESS_RELOAD);
        process_notify_systemd("READY=1");
        return;
    case SIGNALS_STOP:
        if (!s->is_stopping) {
            process_notify_systemd("STOPPING=1");
            s->is_stopping = true;
            s->kill_at_ms = clock_now_ms() + KILL_AFTER_MS;
            close_sockets(s->sockets);
        }
        signal_children(s, PROCESS_STOP);
        return;
    }
}

static bool has_children(const struct supervisor *s)
{
    for (size_t i = 0; i < ROLES; i++)
        if (s->child[i].pid > 0)
            return true;
    return false;
}

/* Starts what is to be started; returns how long the poll may wait. */
static int start_due(struct supervisor *s)
{
    int64_t now = clock_now_ms(), next = now + 60000;
    for (size_t i = 0; i < ROLES && !s->is_stopping; i++) {
        struct child *c = &s->child[i];
        if (c->pid > 0)
            continue;
        if (c->start_at_ms <= now)
            start_child(s, c);
        else if (c->start_at_ms < next)
            next = c->start_at_ms;
    }
    if (s->is_stopping && s->kill_at_ms <= now)
        signal_children(s, PROCESS_KILL);
    if (s->is_stopping && s->kill_at_ms > now && s->kill_at_ms < next)
        next = s->kill_at_ms;
    return (int)(next - now);
}

static void watch(struct supervisor *s)
{
    while (!s->is_stopping || has_children(s)) {
        int timeout = start_due(s);
        struct pollfd wait[ROLES + 1] = {{.fd = s->signals, .events = POLLIN}};
        for (size_t i = 0; i < ROLES; i++)
            wait[i + 1] = (struct pollfd){.fd = s->child[i].ready_pipe, .events = POLLIN};
        poll(wait, ROLES + 1, timeout);
        for (size_t i = 0; i < ROLES; i++)
            if (wait[i + 1].revents && s->child[i].ready_pipe >= 0)
                read_ready(s, &s->child[i]);
        for (enum signals_event event; signals_take(s->signals, &event);)
            act_on_signal(s, event);
    }
}

static void run_children(const char *conf_path, const struct conf *conf, struct sockets *all)
{
    struct supervisor *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->conf_path = conf_path;
    s->sockets = all;
    s->signals = signals_descriptor();
    for (size_t i = 0; i < ROLES; i++) {
        s->child[i].kind = &kinds[i];
        s->child[i].ready_pipe = -1;
        sockets_choose(all, conf, kinds[i].is_mta, &s->child[i].sockets);
    }
    watch(s);
    close(s->signals);
    free(s);
}

/* serve --single: every role on a thread. */
struct single {
    struct role role;
    const struct role_kind *kind;
    struct thread thread;
    struct sockets sockets;
    struct fault fault;
    atomic_int *ready_count;
};

static void single_ready(struct role *r)
{
    struct single *one = r->arg;
    if (atomic_fetch_add(one->ready_count, 1) + 1 < (int)ROLES)
        return;
    puts("ready");
    fflush(stdout);
    process_notify_systemd("READY=1");
}

static void run_single_role(void *arg)
{
    struct single *one = arg;
    one->fault = one->kind->run(&one->role);
    if (one->fault.kind) {
        complain(one->kind->name, one->fault.text);
        kill(getpid(), SIGTERM);
    }
}

static struct fault run_single(const char *conf_path, const struct conf *conf, struct sockets *all)
{
    struct single *roles = calloc(ROLES, sizeof *roles);
    atomic_int ready_count = 0;
    if (!roles)
        abort();
    offload_start((unsigned)conf->offload_threads);
    for (size_t i = 0; i < ROLES; i++) {
        struct single *one = &roles[i];
        one->kind = &kinds[i];
        one->ready_count = &ready_count;
        sockets_choose(all, conf, kinds[i].is_mta, &one->sockets);
        one->role.conf_path = conf_path;
        one->role.sockets = one->sockets.item;
        one->role.socket_count = one->sockets.count;
        one->role.ready = single_ready;
        one->role.arg = one;
        thread_start(&one->thread, kinds[i].name, run_single_role, one);
    }
    for (enum signals_event e; (e = signals_wait()) != SIGNALS_STOP;)
        for (size_t i = 0; i < ROLES && e == SIGNALS_RELOAD; i++)
            role_ask(&roles[i].role, ROLE_RELOAD);
    struct fault f = FINE;
    for (size_t i = 0; i < ROLES; i++) {
        role_ask(&roles[i].role, ROLE_STOP);
        thread_join(&roles[i].thread);
        if (roles[i].fault.kind)
            f = roles[i].fault;
    }
    offload_stop();
    free(roles);
    all->count = 0; /* the roles have closed them */
    return f;
}

struct fault supervisor_run(const char *conf_path, bool is_single)
{
    const char *name;
    struct conf *conf;
    signals_block();
    memory_expect_churn();
    sandbox_raise_descriptors();
    database_use_relative_paths();
    struct fault f = go_to_conf(conf_path, &name);
    if (!f.kind)
        f = conf_load(name, &conf);
    if (f.kind)
        return f;
    struct sockets *all = calloc(1, sizeof *all);
    if (!all)
        abort();
    f = sockets_open(conf, all);
    if (!f.kind && is_single)
        f = run_single(name, conf, all);
    else if (!f.kind)
        run_children(name, conf, all);
    close_sockets(all);
    free(all);
    conf_free(conf);
    return f;
}

/* In the child. */
static void child_ready(struct role *r)
{
    int descriptor = *(int *)r->arg;
    char byte = 'R';
    if (write(descriptor, &byte, 1) != 1)
        complain("role", "cannot say that it is ready");
    close(descriptor);
}

static void wait_for_signals(void *arg)
{
    for (;;) {
        enum signals_event e = signals_wait();
        if (e == SIGNALS_STOP)
            role_ask(arg, ROLE_STOP);
        else if (e == SIGNALS_RELOAD)
            role_ask(arg, ROLE_RELOAD);
    }
}

/* The role's own user, when we have the right to become it. */
static struct fault become(const struct role_kind *kind, const struct conf *conf)
{
    struct str user = kind->is_mta ? conf->mta_user : conf->mda_user;
    struct owner owner;
    if (user.n == 0 || !sandbox_may_change_user())
        return FINE;
    if (!owner_find(user, &owner))
        return fault_make(551, FAULT_STATUS(5, 3, 5), "there is no user \"" STR_FMT "\"",
                          STR_ARG(user));
    return sandbox_become(&owner);
}

/* What a role may see of the file system. */
static struct fault enter_sandbox(const struct role_kind *kind, const struct conf *conf,
                                  struct sandbox_report *report)
{
    struct arena a = arena_make(1 << 20);
    struct sandbox_path paths[] = {
        {conf_state_path(conf, &a, kind->is_mta ? "spool" : "mail"), true},
        {conf_state_path(conf, &a, kind->is_mta ? "log/mta" : "log/mda"), true},
        {conf_state_path(conf, &a, kind->is_mta ? "ctl/mta" : "ctl/mda"), true},
        {conf_state_path(conf, &a, "directory.db"), false},
        {conf_state_path(conf, &a, "tls"), false},
        {arena_c_string(&a, conf->path), false},
        {"/etc", false},
        {"/usr", false},
        {"/lib", false},
        {"/run", false},
        {"/proc/self", false},
        {"/dev/urandom", false},
        {"/dev/null", true},
    };
    struct sandbox_rules rules = {.paths = paths,
                                  .path_count = sizeof paths / sizeof paths[0],
                                  .may_connect = kind->may_connect};
    struct fault f = sandbox_enter(&rules, report);
    arena_free(&a);
    return f;
}

static struct fault run_role(const struct role_kind *kind, const char *conf_path)
{
    struct conf *conf;
    struct sandbox_report report = {0};
    struct sockets *sockets = calloc(1, sizeof *sockets);
    struct fault f = conf_load(conf_path, &conf);
    if (f.kind || !sockets)
        return f;
    struct str text = str_from(getenv(SOCKETS_VARIABLE)), ready = str_from(getenv(READY_VARIABLE));
    uint64_t ready_descriptor = 0;
    if (!sockets_parse(text, sockets) || !num_parse(ready, INT32_MAX, &ready_descriptor))
        f = fault_make(551, FAULT_STATUS(5, 3, 5), "a role is started by eilbote serve");
    int descriptor = (int)ready_descriptor;
    unsigned threads = (unsigned)conf->offload_threads;
    if (!f.kind)
        f = become(kind, conf);
    if (!f.kind) {
        process_end_with_parent();
        f = enter_sandbox(kind, conf, &report);
    }
    conf_free(conf);
    if (!f.kind) {
        struct role role = {.conf_path = conf_path,
                            .sockets = sockets->item,
                            .socket_count = sockets->count,
                            .sandbox = report,
                            .ready = child_ready,
                            .arg = &descriptor};
        struct thread signals;
        offload_start(threads);
        thread_start(&signals, "signals", wait_for_signals, &role);
        f = kind->run(&role);
        offload_stop();
    }
    free(sockets);
    return f;
}

struct fault supervisor_run_role(const char *name, const char *conf_path)
{
    signals_block();
    memory_expect_churn();
    sandbox_raise_descriptors();
    database_use_relative_paths();
    for (size_t i = 0; i < ROLES; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return run_role(&kinds[i], conf_path);
    return fault_make(551, FAULT_STATUS(5, 3, 5), "there is no role \"%s\"", name);
}
