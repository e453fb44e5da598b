/* SPDX-License-Identifier: ISC */
/*
 * mda.c - the role that keeps the mailboxes: LMTP in, POP3 out
 *
 * Sessions are spread over all loops; the store has threads of its own.
 */
#include <stdlib.h>

#include "role/steward.h"
#include "serve/lmtp_session.h"
#include "serve/pop3_session.h"
#include "store/store.h"

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

static void store_options_from(struct steward *s, const struct conf *conf, struct store_options *o)
{
    *o = (struct store_options){
        .directory = s->data,
        .journal = {.segment_bytes = SEGMENT_BYTES,
                    .spare_segments = SPARES,
                    .spare_segments_max = SPARES_MAX,
                    .alarm = alarm_on_disk,
                    .alarm_arg = s},
        .checkpoint_ms = conf->queue.checkpoint_ms,
        .journal_bytes = JOURNAL_BYTES,
        .unapplied_bytes = UNAPPLIED_BYTES,
        .unapplied_wait_ms = UNAPPLIED_WAIT_MS,
        .thread_count = STORE_THREADS,
        .index_most = INDEX_MOST,
    };
}

static struct fault open_store(struct steward *s, const struct conf *conf)
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
                                    (int)atomic_load(&s->server.is_disk_low)));
}

static const struct control_verb verbs[] = {
    {"status", verb_status},
    {NULL, NULL},
};

static const struct steward_session sessions[] = {
    {CONF_ROLE_LMTP, "lmtp session", lmtp_session_serve},
    {CONF_ROLE_POP3, "pop3 session", pop3_session_serve},
    {CONF_ROLE_POP3S, "pop3 session", pop3_session_serve},
    {CONF_ROLE_NONE, NULL, NULL},
};

static const struct steward_kind kind = {
    .name = "mda",
    .data = "mail",
    .sessions = sessions,
    .verbs = verbs,
    .open = open_store,
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
