/* SPDX-License-Identifier: ISC */
/*
 * supervisor.c - binds the ports, starts the roles and keeps them running
 *
 * What a role works with, and how it gets something else, is in reload.c. At an upgrade this process
 * becomes another program with the same ports (succession.c). Then one role after the other is
 * started anew beside its process of before: the new one greets, the old one finishes what it has
 * begun and ends, and then the new one takes what only one process may have, as the journal.
 */
#include "role/supervisor.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/offload.h"
#include "os/channel.h"
#include "os/clock.h"
#include "os/database.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/sandbox.h"
#include "os/signals.h"
#include "os/thread.h"
#include "role/reload.h"
#include "role/role_process.h"
#include "role/succession.h"

enum {
    PAUSE_FIRST_MS = 100,
    PAUSE_MOST_MS = 5000, /* when what kept it from starting is over, it is back soon */
    STEADY_MS = 10000,    /* a role that ran that long has recovered */
    KILL_AFTER_MS = 30000,
    MENDING_PAUSE_MS = 1000
};

/* A role in a process of its own, or on a thread (serve --single). */
struct child {
    struct reload_role *seen;
    int pid; /* 0: not running */
    int64_t started_ms;
    int64_t pause_ms;
    int64_t start_at_ms; /* when it may start again */
    struct predecessor before;
    int64_t kill_before_ms; /* 0: it has not been told to stop */
    bool has_stumbled;      /* the new one has ended before it greeted anybody */
    struct role role;       /* on a thread: */
    struct thread thread;
    struct fault fault;
};

struct supervisor {
    struct reload reload;
    struct child child[ROLES];
    int signals;
    bool is_stopping, has_said_ready;
    int64_t kill_at_ms;
    char program[PATH_MAX]; /* this one's, and where the next one is */
    int trial_pid;          /* the next one reads the configuration; 0: it does not */
    bool is_tried;          /* it can */
    int mending_pid; /* takes back what a killed command has left of the directory; 0: nobody does */
    int64_t mended_ms; /* when the last one began */
    struct sockets inherited;
};

static void complain(const char *role, const char *what)
{
    process_complain("eilbote: the %s %s", role, what);
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

/* A role ends, or cannot be started, again and again: the pauses grow. */
static void plan_restart(struct child *c, const char *why)
{
    int64_t now = clock_now_ms();
    bool was_steady = now - c->started_ms > STEADY_MS;
    c->pause_ms = was_steady || !c->pause_ms ? PAUSE_FIRST_MS : c->pause_ms * 2;
    if (c->pause_ms > PAUSE_MOST_MS)
        c->pause_ms = PAUSE_MOST_MS;
    c->start_at_ms = now + c->pause_ms;
    char what[FAULT_TEXT_MAX + 64];
    snprintf(what, sizeof what, "%s; it is started again in %lld.%lld s", why,
             (long long)c->pause_ms / 1000, (long long)c->pause_ms % 1000 / 100);
    complain(c->seen->kind->name, what);
}

static void start_child(struct supervisor *s, struct child *c)
{
    int ends[2];
    channel_pair(ends);
    c->started_ms = clock_now_ms();
    c->seen->has_predecessor = c->before.pid > 0;
    struct fault f = reload_attach(&s->reload, c->seen, ends[0]);
    if (!f.kind)
        f = role_process_start(c->seen->kind, s->reload.conf_path, ends[1], &c->pid);
    close(ends[1]);
    if (f.kind) {
        reload_detach(&s->reload, c->seen);
        c->pid = 0;
        c->has_stumbled = true;
        plan_restart(c, f.text);
    }
}

static void child_ended(struct supervisor *s, struct child *c, const char *how, bool is_clean)
{
    c->pid = 0;
    c->has_stumbled = true;
    reload_read(&s->reload, c->seen);
    reload_detach(&s->reload, c->seen);
    if (s->is_stopping && is_clean)
        return;
    if (s->is_stopping)
        complain(c->seen->kind->name, how);
    else
        plan_restart(c, how);
}

static void stay(struct supervisor *s, struct fault f)
{
    process_complain("eilbote: no upgrade: %s", f.text);
    reload_tell_stay(&s->reload, &f);
}

/* An upgrade is asked for: can the program that is there now run, and read the configuration? */
static void try_upgrade(struct supervisor *s)
{
    char *arguments[] = {(char *)(uintptr_t) "eilbote",          (char *)(uintptr_t) "-c",
                         (char *)(uintptr_t)s->reload.conf_path, (char *)(uintptr_t) "check",
                         (char *)(uintptr_t) "--print",          NULL};
    s->reload.wants_upgrade = false;
    if (s->is_stopping || s->trial_pid > 0 || s->is_tried)
        return;
    struct fault f = process_try(s->program, arguments, &s->trial_pid);
    if (f.kind) {
        s->trial_pid = 0;
        stay(s, f);
    }
}

static void trial_ended(struct supervisor *s, const char *how, bool is_clean)
{
    s->trial_pid = 0;
    s->is_tried = is_clean;
    if (!is_clean)
        stay(s, fault_make(551, FAULT_STATUS(5, 3, 5),
                           "%.100s cannot run or does not like the configuration: it %s",
                           s->program, how));
}

/*
 * A role cannot read the directory, because a command was killed in the middle of a change of it. Any
 * command that opens it with our rights takes that back. A role asks again as long as it is needed.
 */
static void mend_directory(struct supervisor *s)
{
    char *arguments[] = {(char *)(uintptr_t) "eilbote",
                         (char *)(uintptr_t) "-c",
                         (char *)(uintptr_t)s->reload.conf_path,
                         (char *)(uintptr_t) "domain",
                         (char *)(uintptr_t) "list",
                         NULL};
    int64_t now = clock_now_ms();
    s->reload.wants_mending = false;
    if (s->is_stopping || s->mending_pid > 0 ||
        (s->mended_ms > 0 && now - s->mended_ms < MENDING_PAUSE_MS))
        return;
    s->mended_ms = now;
    struct fault f = process_try(s->program, arguments, &s->mending_pid);
    process_complain("eilbote: a change of the directory was left half done and is taken back%s%s",
                     f.kind ? ", but: " : "", f.kind ? f.text : "");
}

static bool has_predecessors(const struct supervisor *s)
{
    for (size_t i = 0; i < ROLES; i++)
        if (s->child[i].before.pid > 0)
            return true;
    return false;
}

/* Not while a reload goes on, or the upgrade before. */
static void upgrade(struct supervisor *s)
{
    struct predecessor roles[ROLES];
    if (!s->is_tried || s->is_stopping || s->reload.is_going_on || has_predecessors(s))
        return;
    for (size_t i = 0; i < ROLES; i++)
        roles[i] = (struct predecessor){s->child[i].pid, s->child[i].seen->channel};
    s->is_tried = false;
    process_notify_systemd("RELOADING=1");
    stay(s, succession_begin(s->program, s->reload.conf_path, s->reload.current, roles));
    process_notify_systemd("READY=1");
}

static void stop_predecessor(struct child *c)
{
    if (c->before.channel >= 0)
        close(c->before.channel);
    c->before.channel = -1;
    c->kill_before_ms = clock_now_ms() + KILL_AFTER_MS;
    process_signal(c->before.pid, PROCESS_STOP);
}

/* When the new one greets. One that cannot get that far gets the place for itself: with the old one
 * there would be no other upgrade, to a program that can. */
static bool may_stop_predecessor(const struct supervisor *s, const struct child *c)
{
    return s->is_stopping || c->seen->is_beside || c->has_stumbled;
}

/* One role after the other, so that the rest of the server is there meanwhile. */
static void stop_predecessors(struct supervisor *s)
{
    for (size_t i = 0; i < ROLES; i++) {
        struct child *c = &s->child[i];
        bool is_told = c->kill_before_ms > 0;
        if (c->before.pid > 0 && !is_told && may_stop_predecessor(s, c))
            stop_predecessor(c);
        else if (c->before.pid > 0 && is_told && c->kill_before_ms <= clock_now_ms())
            process_signal(c->before.pid, PROCESS_KILL);
        if (!c->seen->has_been_ready && !s->is_stopping)
            return;
    }
}

static void predecessor_ended(struct supervisor *s, struct child *c, const char *how, bool is_clean)
{
    if (c->before.channel >= 0)
        close(c->before.channel);
    c->before = (struct predecessor){0, -1};
    if (!is_clean && !s->is_stopping)
        complain(c->seen->kind->name, how);
    struct fault f = reload_tell_alone(&s->reload, c->seen);
    if (f.kind && c->pid > 0 && !s->is_stopping)
        process_signal(c->pid, PROCESS_KILL);
}

static void ended(struct supervisor *s, int pid, const char *how, bool is_clean)
{
    if (s->trial_pid == pid)
        trial_ended(s, how, is_clean);
    if (s->mending_pid == pid)
        s->mending_pid = 0;
    for (size_t i = 0; i < ROLES; i++) {
        struct child *c = &s->child[i];
        if (c->pid == pid)
            child_ended(s, c, how, is_clean);
        else if (c->before.pid == pid)
            predecessor_ended(s, c, how, is_clean);
    }
}

static void reap(struct supervisor *s)
{
    char how[PROCESS_END_MAX];
    bool is_clean;
    for (int pid; (pid = process_reap(how, &is_clean)) > 0;)
        ended(s, pid, how, is_clean);
}

static void say_ready(struct supervisor *s)
{
    if (s->has_said_ready || !reload_is_ready(&s->reload))
        return;
    s->has_said_ready = true;
    puts("ready");
    fflush(stdout);
    process_notify_systemd("READY=1");
}

static void signal_children(struct supervisor *s, enum process_signal signal)
{
    for (size_t i = 0; i < ROLES; i++)
        if (s->child[i].pid > 0)
            process_signal(s->child[i].pid, signal);
}

static void stop(struct supervisor *s)
{
    if (!s->is_stopping) {
        process_notify_systemd("STOPPING=1");
        s->is_stopping = true;
        s->kill_at_ms = clock_now_ms() + KILL_AFTER_MS;
        /* A port is closed only when nobody has it open: the roles close theirs. */
        reload_close_ports(&s->reload);
    }
    signal_children(s, PROCESS_STOP);
    stop_predecessors(s);
}

static void act_on_signal(struct supervisor *s, enum signals_event event)
{
    switch (event) {
    case SIGNALS_CHILD:
        reap(s);
        return;
    case SIGNALS_RELOAD:
        reload_want(&s->reload);
        return;
    case SIGNALS_UPGRADE:
        s->reload.wants_upgrade = true;
        return;
    case SIGNALS_STOP:
        stop(s);
        return;
    }
}

static bool has_children(const struct supervisor *s)
{
    for (size_t i = 0; i < ROLES; i++)
        if (s->child[i].pid > 0)
            return true;
    return has_predecessors(s);
}

/* Beside a process of before only when the roles in front of it have got over theirs. */
static bool may_start(const struct supervisor *s, const struct child *c)
{
    for (const struct child *other = s->child; c->before.pid > 0 && other < c; other++)
        if (!other->seen->has_been_ready)
            return false;
    return c->pid == 0;
}

/* Starts what is to be started; returns how long the poll may wait. */
static int start_due(struct supervisor *s)
{
    int64_t now = clock_now_ms(), next = now + 60000;
    for (size_t i = 0; i < ROLES && !s->is_stopping; i++) {
        struct child *c = &s->child[i];
        if (!may_start(s, c))
            continue;
        if (c->start_at_ms <= now)
            start_child(s, c);
        else if (c->start_at_ms < next)
            next = c->start_at_ms;
    }
    for (size_t i = 0; i < ROLES; i++)
        if (s->child[i].kill_before_ms > now && s->child[i].kill_before_ms < next)
            next = s->child[i].kill_before_ms;
    if (s->is_stopping && s->kill_at_ms <= now)
        signal_children(s, PROCESS_KILL);
    if (s->is_stopping && s->kill_at_ms > now && s->kill_at_ms < next)
        next = s->kill_at_ms;
    return (int)(next - now);
}

static void wait_and_act(struct supervisor *s, int timeout_ms)
{
    struct pollfd wait[ROLES + 1] = {{.fd = s->signals, .events = POLLIN}};
    for (size_t i = 0; i < ROLES; i++)
        wait[i + 1] = (struct pollfd){.fd = s->is_stopping ? -1 : s->child[i].seen->channel,
                                      .events = POLLIN};
    poll(wait, ROLES + 1, timeout_ms);
    for (size_t i = 0; i < ROLES; i++)
        if (wait[i + 1].revents)
            reload_read(&s->reload, s->child[i].seen);
    say_ready(s);
    for (enum signals_event event; signals_take(s->signals, &event);)
        act_on_signal(s, event);
}

static void run_children(struct supervisor *s)
{
    while (!s->is_stopping || has_children(s)) {
        stop_predecessors(s);
        wait_and_act(s, start_due(s));
        if (s->reload.wants_upgrade)
            try_upgrade(s);
        if (s->reload.wants_mending)
            mend_directory(s);
        upgrade(s);
    }
}

static void run_on_thread(void *arg)
{
    struct child *c = arg;
    c->fault = c->seen->kind->run(&c->role);
    if (c->fault.kind) {
        complain(c->seen->kind->name, c->fault.text);
        kill(getpid(), SIGTERM);
    }
}

static struct fault start_thread(struct supervisor *s, struct child *c)
{
    int ends[2];
    channel_pair(ends);
    struct fault f = reload_attach(&s->reload, c->seen, ends[0]);
    if (f.kind)
        close(ends[1]);
    else
        f = role_open(&c->role, s->reload.conf_path, ends[1]);
    if (!f.kind)
        thread_start(&c->thread, c->seen->kind->name, run_on_thread, c);
    return f;
}

/* Every role on a thread; the first that cannot start, or ends, ends all. */
static struct fault run_threads(struct supervisor *s, unsigned offload_threads)
{
    struct fault f = FINE;
    size_t count = 0;
    offload_start(offload_threads);
    while (count < ROLES && !f.kind) {
        f = start_thread(s, &s->child[count]);
        count += !f.kind;
    }
    while (!s->is_stopping && !f.kind) {
        wait_and_act(s, -1);
        if (s->reload.wants_upgrade)
            stay(s, fault_make(551, FAULT_STATUS(5, 3, 5), "one process makes no way for another"));
        s->reload.wants_upgrade = false;
        if (s->reload.wants_mending)
            mend_directory(s);
    }
    for (size_t i = 0; i < count; i++) {
        role_ask(&s->child[i].role, ROLE_STOP);
        thread_join(&s->child[i].thread);
        role_close(&s->child[i].role);
        if (s->child[i].fault.kind)
            f = s->child[i].fault;
    }
    offload_stop();
    return f;
}

static void warn_root(void)
{
    if (sandbox_may_change_user())
        fputs("eilbote: warning: --single changes no user and gives up no right: all roles run as "
              "root\n",
              stderr);
}

/* The ports and roles of the program before, if there was one. */
static struct fault inherit(struct supervisor *s)
{
    struct fault f;
    struct predecessor before[ROLES];
    bool is_successor = succession_take(&s->inherited, before, &f);
    for (size_t i = 0; i < ROLES; i++) {
        s->child[i].seen = &s->reload.role[i];
        s->child[i].before = is_successor && !f.kind ? before[i] : (struct predecessor){0, -1};
    }
    return f;
}

static struct fault run(struct supervisor *s, const char *conf_path, bool is_single)
{
    struct conf *conf;
    struct fault f = inherit(s);
    if (!f.kind)
        f = reload_start(&s->reload, conf_path, &s->inherited, &conf);
    if (f.kind)
        return f;
    unsigned offload_threads = (unsigned)conf->offload_threads;
    conf_free(conf);
    process_path(s->program, sizeof s->program);
    s->signals = signals_descriptor();
    if (is_single)
        warn_root();
    if (is_single)
        f = run_threads(s, offload_threads);
    else
        run_children(s);
    close(s->signals);
    reload_stop(&s->reload);
    return f;
}

struct fault supervisor_run(const char *conf_path, bool is_single)
{
    const char *name;
    signals_block();
    memory_expect_churn();
    sandbox_raise_descriptors();
    database_use_relative_paths();
    struct fault f = go_to_conf(conf_path, &name);
    if (f.kind)
        return f;
    struct supervisor *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    f = run(s, name, is_single);
    free(s);
    return f;
}
