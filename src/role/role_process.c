/* SPDX-License-Identifier: ISC */
/*
 * role_process.c - a role as a process of its own: from the program's start to the role's end
 *
 * Signals are blocked from before the exec until the thread that waits for them: one that comes
 * early is kept and acted on, it never ends a role in the middle of its start.
 */
#include "role/role_process.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "conf/conf.h"
#include "directory/directory.h"
#include "net/offload.h"
#include "os/database.h"
#include "os/file.h"
#include "os/memory.h"
#include "os/owner.h"
#include "os/process.h"
#include "os/signals.h"
#include "os/thread.h"

#define CHANNEL_VARIABLE "EILBOTE_CHANNEL"

const struct role_kind role_kinds[ROLES] = {
    {"mta", mta_run, true, true},
    {"mda", mda_run, false, false},
};

struct fault role_process_start(const struct role_kind *kind, const char *conf_path, int channel,
                                int *pid)
{
    char number[16];
    snprintf(number, sizeof number, "%d", channel);
    setenv(CHANNEL_VARIABLE, number, 1);
    char *arguments[] = {(char *)(uintptr_t) "eilbote", (char *)(uintptr_t) "-c",
                         (char *)(uintptr_t)conf_path,  (char *)(uintptr_t) "role",
                         (char *)(uintptr_t)kind->name, NULL};
    return process_start(arguments, channel, pid);
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

/*
 * The folder of the keys that sign: a directory of before there were any has none, and the sandbox lets nobody into what is
 * made later. Who cannot make it does without.
 */
static void make_key_folder(const struct conf *conf, const struct owner *owner)
{
    enum { FOR_THE_OWNER = 0700 };
    struct arena a = arena_make(1 << 16);
    const char *path = conf_state_path(conf, &a, "keys");
    if (!file_exists(path) && !file_make_directory(path).kind)
        owner_give(path, owner, FOR_THE_OWNER);
    arena_free(&a);
}

/*
 * A command that was killed in the middle of a change of the directory keeps everybody from reading it
 * until somebody who may write has opened it, as a role may not. A fault is told by the role, later.
 */
static void mend_directory(const struct conf *conf)
{
    struct arena a = arena_make(1 << 16);
    struct directory *d;
    (void)directory_open(conf_state_path(conf, &a, "directory.db"), DIRECTORY_READ, &d);
    directory_close(d);
    arena_free(&a);
}

/* The role's own user, when we have the right to become it. */
static struct fault become(const struct role_kind *kind, const struct conf *conf)
{
    struct str user = kind->is_mta ? conf->mta_user : conf->mda_user;
    struct owner owner;
    bool is_other = user.n > 0 && sandbox_may_change_user();
    if (is_other && !owner_find(user, &owner))
        return fault_make(551, FAULT_STATUS(5, 3, 5), "there is no user \"" STR_FMT "\"",
                          STR_ARG(user));
    if (kind->is_mta)
        make_key_folder(conf, is_other ? &owner : NULL);
    return is_other ? sandbox_become(&owner) : FINE;
}

struct places {
    const struct conf *conf;
    struct arena *arena;
    struct sandbox_path *item;
    size_t count;
};

/*
 * The folder of a file that the configuration names: there it may be replaced for a reload. In the
 * state directory, which holds what is not for every role, only the file itself.
 */
static void add_folder(struct places *p, struct str file)
{
    if (file.n == 0)
        return;
    size_t slash = str_last_index(file, '/');
    struct str folder = slash == file.n ? STR(".") : str_head(file, slash ? slash : 1);
    if (str_equal(folder, p->conf->state_directory))
        folder = file;
    p->item[p->count++] = (struct sandbox_path){arena_c_string(p->arena, folder), false};
}

/* Keys and passwords may be anywhere. */
static void add_folders(struct places *p, const struct role_kind *kind)
{
    const struct conf *conf = p->conf;
    for (size_t i = 0; i < conf->certificate_count; i++) {
        add_folder(p, conf->certificate[i].chain);
        add_folder(p, conf->certificate[i].key);
    }
    add_folder(p, conf->delivery.ca_file); /* both load all of the configuration */
    if (!kind->is_mta)
        return;
    p->item[p->count++] = (struct sandbox_path){conf_state_path(conf, p->arena, "keys"), false};
    add_folder(p, conf->smarthost.password_file);
    add_folder(p, conf->local.password_file);
    add_folder(p, conf->resolver.trust_anchor_file);
    add_folder(p, conf->resolver.root_hints);
    for (size_t i = 0; i < conf->transport_count; i++)
        add_folder(p, conf->transport[i].password_file);
}

/* What a role may see of the file system. */
static struct fault enter_sandbox(const struct role_kind *kind, const struct conf *conf,
                                  struct sandbox_report *report)
{
    struct arena a = arena_make(16 << 20);
    const struct sandbox_path always[] = {
        {conf_state_path(conf, &a, kind->is_mta ? "spool" : "mail"), true},
        {conf_state_path(conf, &a, kind->is_mta ? "log/mta" : "log/mda"), true},
        {conf_state_path(conf, &a, kind->is_mta ? "ctl/mta" : "ctl/mda"), true},
        {conf_state_path(conf, &a, "directory.db"), false},
        {conf_state_path(conf, &a, "tls"), false},
        {"/etc", false},
        {"/usr", false},
        {"/lib", false},
        {"/run", false},
        {"/proc/self", false},
        {"/dev/urandom", false},
        {"/dev/null", true},
    };
    enum { ALWAYS = sizeof always / sizeof always[0], OF_THE_MTA = 5 };
    size_t most = ALWAYS + OF_THE_MTA + 2 * conf->certificate_count + conf->transport_count;
    struct places p = {conf, &a, arena_alloc(&a, most * sizeof *p.item), ALWAYS};
    memcpy(p.item, always, sizeof always);
    add_folders(&p, kind);
    assert(p.count <= most);
    struct sandbox_rules rules = {
        .paths = p.item, .path_count = p.count, .may_connect = kind->may_connect};
    struct fault f = sandbox_enter(&rules, report);
    arena_free(&a);
    return f;
}

/* Gives up rights, then runs. */
static struct fault run(const struct role_kind *kind, struct role *r)
{
    struct conf *conf;
    struct fault f = conf_parse(r->conf_path, buf_str(&r->source), &conf);
    if (f.kind)
        return f;
    unsigned threads = (unsigned)conf->offload_threads;
    mend_directory(conf);
    f = become(kind, conf);
    if (!f.kind) {
        process_end_with_parent();
        f = enter_sandbox(kind, conf, &r->sandbox);
    }
    conf_free(conf);
    if (f.kind)
        return f;
    struct thread signals;
    offload_start(threads);
    thread_start(&signals, "signals", wait_for_signals, r);
    f = kind->run(r);
    offload_stop();
    return f;
}

struct fault role_process_run(const char *name, const char *conf_path)
{
    /* Never freed: the thread that waits for signals has it until the process ends. */
    static struct role role;
    uint64_t channel;
    const struct role_kind *kind = role_kinds;
    signals_block();
    memory_expect_churn();
    sandbox_raise_descriptors();
    database_use_relative_paths();
    while (kind < role_kinds + ROLES && strcmp(kind->name, name) != 0)
        kind++;
    if (kind == role_kinds + ROLES)
        return fault_make(551, FAULT_STATUS(5, 3, 5), "there is no role \"%s\"", name);
    process_set_name(kind->name);
    if (!num_parse(str_from(getenv(CHANNEL_VARIABLE)), INT32_MAX, &channel))
        return fault_make(551, FAULT_STATUS(5, 3, 5), "a role is started by eilbote serve");
    struct fault f = role_open(&role, conf_path, (int)channel);
    return f.kind ? f : run(kind, &role);
}
