/* SPDX-License-Identifier: ISC */
/*
 * mda.c - the role that keeps the mailboxes: LMTP in, POP3 out
 *
 * Sessions are spread over all loops; the store has threads of its own.
 */
#include <stdlib.h>

#include "net/offload.h"
#include "role/bench_hooks.h"
#include "role/steward.h"
#include "serve/lmtp_session.h"
#include "serve/pop3_session.h"
#include "serve/smtp_session.h"
#include "store/maildrop.h"

enum {
    SEGMENT_BYTES = 64 << 20,
    JOURNAL_BYTES = 512 << 20,
    SPARES = 2,
    SPARES_MAX = 8,
    UNAPPLIED_BYTES = 16 << 20, /* what a login may have to wait for */
    UNAPPLIED_WAIT_MS = 30000,
    INDEX_MOST = 64,
    STORE_THREADS = 2
};

static void alarm_on_disk(void *arg, const struct fault *f)
{
    struct steward *s = arg;
    struct event e;
    event_begin(&e, s->server.log, "store.alarm");
    event_fault(&e, f);
    event_end(&e);
}

static void give_up(void *arg, const struct fault *f)
{
    steward_give_up(arg, f);
}

static void store_options_from(struct steward *s, const struct conf *conf, struct store_options *o)
{
    *o = (struct store_options){
        .directory = s->data,
        .journal = {.segment_bytes = SEGMENT_BYTES,
                    .spare_segments = SPARES,
                    .spare_segments_max = SPARES_MAX,
                    .alarm = alarm_on_disk,
                    .alarm_arg = s},
        .give_up = give_up,
        .checkpoint_ms = conf->queue.checkpoint_ms,
        .journal_bytes = JOURNAL_BYTES,
        .unapplied_bytes = UNAPPLIED_BYTES,
        .unapplied_wait_ms = UNAPPLIED_WAIT_MS,
        .thread_count = STORE_THREADS,
        .index_most = INDEX_MOST,
    };
    bench_hooks_take(&o->journal);
}

static struct fault take_charge(struct steward *s, const struct conf *conf)
{
    struct store_options o;
    store_options_from(s, conf, &o);
    return store_open(&o, &s->server.store);
}

static void adopt(struct steward *s, const struct conf *conf)
{
    struct store_options o;
    store_options_from(s, conf, &o);
    store_set_options(s->server.store, &o);
}

static void forget(struct steward *s)
{
    directory_cache_forget(s->server.directory_cache);
}

static void close_store(struct steward *s)
{
    if (s->server.store)
        store_close(s->server.store);
}

static struct fault verb_status(struct control *c, void *role, const json_t *request)
{
    (void)request;
    struct steward *s = role;
    size_t sessions = 0;
    for (size_t i = 0; i < s->crew.count; i++)
        sessions += acceptor_count(s->crew.member[i].acceptor);
    return control_say(c, json_pack("{s:I, s:b}", "sessions", (json_int_t)sessions, "disk_low",
                                    (int)server_is_disk_low(&s->server)));
}

struct account_question {
    struct directory *directory;
    struct str name;
    bool is_there;
    struct fault fault;
};

static void find_account(void *arg)
{
    struct account_question *q = arg;
    struct arena a = arena_make(1 << 16);
    struct directory_account account;
    q->fault = directory_account(q->directory, q->name, &a, &account, &q->is_there);
    arena_free(&a);
}

/* The mail of an account that is none any more. */
static struct fault verb_purge(struct control *c, void *role, const json_t *request)
{
    struct steward *s = role;
    struct account_question q = {
        .directory = s->server.directory,
        .name = str_from(json_string_value(json_object_get(request, "account")))};
    forget(s);
    offload(find_account, &q);
    if (q.fault.kind)
        return q.fault;
    if (q.is_there)
        return fault_make(550, FAULT_STATUS(5, 5, 1), STR_FMT " is an account", STR_ARG(q.name));
    struct maildrop *drop;
    size_t removed = 0;
    struct fault f = maildrop_open(s->server.store, q.name, &drop);
    if (!f.kind)
        f = maildrop_purge(drop, &removed);
    maildrop_close(drop);
    struct event e;
    event_begin(&e, s->server.log, "mailbox.removed");
    event_text(&e, "account", q.name);
    event_number(&e, "messages", (int64_t)removed);
    event_fault(&e, &f);
    event_end(&e);
    return f.kind ? f : control_say(c, json_pack("{s:I}", "messages", (json_int_t)removed));
}

static const struct control_verb verbs[] = {
    {"status", verb_status},
    {"mailbox.purge", verb_purge},
    {NULL, NULL},
};

static const struct steward_session sessions[] = {
    {CONF_ROLE_LMTP, "lmtp session", lmtp_session_serve, smtp_session_turn_away},
    {CONF_ROLE_POP3, "pop3 session", pop3_session_serve, pop3_session_turn_away},
    {CONF_ROLE_POP3S, "pop3 session", pop3_session_serve, pop3_session_turn_away},
    {CONF_ROLE_NONE, NULL, NULL, NULL},
};

static const struct steward_kind kind = {
    .name = "mda",
    .data = "mail",
    .sessions = sessions,
    .verbs = verbs,
    .take_charge = take_charge,
    .adopt = adopt,
    .forget = forget,
    .close = close_store,
};

static int64_t thread_count(const struct conf *conf)
{
    return conf->mda_threads;
}

struct fault mda_run(struct role *r)
{
    struct steward *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    struct fault f = steward_run(s, &kind, r, thread_count);
    free(s);
    return f;
}
