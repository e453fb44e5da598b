/* SPDX-License-Identifier: ISC */
/*
 * resolver.c - DNS questions asked by tasks (libunbound: asynchronous, validating, caching)
 *
 * libunbound works on a thread of its own and tells through a descriptor, which one loop watches,
 * that answers are there. A question belongs to two parties, the task and the library; a task that
 * stops waiting abandons it and the library's callback frees it. The library is called on offload
 * threads only: it needs more stack than a task has (a buffer of 64 KiB when it reads records). What it has
 * answered lately is in a cache on this side (net/answer_cache), where no thread has to be woken for it.
 */
#include "net/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <unbound.h>

#include "net/answer_cache.h"
#include "net/loop.h"
#include "net/offload.h"
#include "net/task.h"
#include "os/clock.h"
#include "os/thread.h"

enum { CACHE_BYTES = 4 << 20 }; /* when nothing is said */

struct question {
    struct loop_message answered;
    struct list link; /* in resolver->open, until answered */
    struct resolver *resolver;
    struct loop *loop;
    struct task *task; /* NULL once abandoned */
    struct ub_result *result;
    int error;
    bool is_done;
};

struct resolver {
    struct loop_watch watch;
    struct ub_ctx *context;
    struct loop *loop;
    struct answer_cache *cache;
    struct mutex mutex; /* protects open and the questions' task */
    struct list open;
};

static void process(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    struct resolver *r = (struct resolver *)(void *)watch;
    ub_process(r->context);
}

static struct fault bad_option(const char *what, const char *value, int error)
{
    return fault_make(451, FAULT_STATUS(4, 3, 5), "resolver: %s %s: %s", what, value,
                      ub_strerror(error));
}

/* Nobody is named for what no stub zone is about: those of the system. */
static bool asks_system(const struct resolver_options *o)
{
    bool has_root = o->root_hints != NULL;
    for (size_t i = 0; i < o->stub_count; i++)
        has_root = has_root || str_equal(str_from(o->stubs[i].zone), STR("."));
    return o->server_count == 0 && !has_root;
}

static struct fault set_servers(struct ub_ctx *context, const struct resolver_options *o)
{
    char text[IP_TEXT_MAX];
    for (size_t i = 0; i < o->server_count; i++) {
        struct str s = ip_endpoint_format(&o->servers[i], text);
        text[s.n] = '\0';
        int error = ub_ctx_set_fwd(context, text);
        if (error)
            return bad_option("server", text, error);
    }
    if (o->root_hints) {
        int error = ub_ctx_set_option(context, "root-hints:", o->root_hints);
        if (error)
            return bad_option("root hints", o->root_hints, error);
    }
    if (asks_system(o)) {
        int error = ub_ctx_resolvconf(context, NULL);
        if (error)
            return bad_option("file", "/etc/resolv.conf", error);
    }
    for (size_t i = 0; i < o->stub_count; i++) {
        struct str s = ip_endpoint_format(&o->stubs[i].server, text);
        text[s.n] = '\0';
        int error = ub_ctx_set_stub(context, o->stubs[i].zone, text, 0);
        if (error)
            return bad_option("stub zone", o->stubs[i].zone, error);
    }
    return FINE;
}

/* Names kept from the DNS (RFC 6761, 7686, 8375) beside the zones of private addresses, which have an option. */
static const char *const kept[] = {"invalid", "test", "onion", "home.arpa", NULL};

/* The library answers some names itself (RFC 6761: test, invalid, ...); a zone that is configured to
 * be asked is asked. */
static int open_zone(struct ub_ctx *context, const char *zone)
{
    int error = 0;
    for (const char *at = zone; at && *at && !error; at = strchr(at, '.')) {
        at += *at == '.';
        if (*at)
            error = ub_ctx_zone_remove(context, at);
    }
    return error;
}

static struct fault open_zones(struct ub_ctx *context, const struct resolver_options *o)
{
    /* Has the library read the files named so far: a trust anchor that is none is not to be found out later by every
     * question. */
    int error = ub_ctx_zone_remove(context, "nothing.invalid");
    if (error)
        return bad_option("trust anchor", o->trust_anchor ? o->trust_anchor : "", error);
    for (size_t i = 0; i < o->stub_count && !error; i++)
        error = open_zone(context, o->stubs[i].zone);
    for (size_t i = 0; o->is_everything_asked && kept[i] && !error; i++)
        error = open_zone(context, kept[i]);
    return error ? bad_option("zone", "to be asked", error) : FINE;
}

static void set_size(struct ub_ctx *context, const char *option, size_t size)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", size);
    if (size > 0)
        ub_ctx_set_option(context, option, text);
}

/* Half of the memory is for records in the library, a quarter for its answers, a quarter for those on this side. */
static void set_sizes(struct ub_ctx *context, const struct resolver_options *o)
{
    set_size(context, "rrset-cache-size:", o->cache_bytes / 2);
    set_size(context, "msg-cache-size:", o->cache_bytes / 4);
    set_size(context, "edns-buffer-size:", o->edns_size_bytes);
}

static struct fault configure(struct ub_ctx *context, const struct resolver_options *o)
{
    struct fault f = set_servers(context, o);
    if (f.kind)
        return f;
    if (o->trust_anchor) {
        int error = ub_ctx_add_ta_file(context, o->trust_anchor);
        if (error)
            return bad_option("trust anchor", o->trust_anchor, error);
    }
    set_sizes(context, o);
    /* Questions to servers on this host are a matter of configuration, not of chance. */
    ub_ctx_set_option(context, "do-not-query-localhost:", "no");
    if (o->is_everything_asked) {
        ub_ctx_set_option(context, "unblock-lan-zones:", "yes");
        ub_ctx_set_option(context, "insecure-lan-zones:", "yes");
    }
    int error = ub_ctx_async(context, 1);
    if (error)
        return bad_option("option", "async", error);
    return open_zones(context, o);
}

struct start {
    struct ub_ctx *context;
    const struct resolver_options *options;
    struct fault fault;
};

static void start(void *arg)
{
    struct start *s = arg;
    s->context = ub_ctx_create();
    if (!s->context)
        abort();
    s->fault = configure(s->context, s->options);
}

struct fault resolver_start(const struct resolver_options *options, struct resolver **out)
{
    *out = NULL;
    struct resolver *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    struct start s = {.options = options};
    offload(start, &s);
    r->context = s.context;
    r->watch.ready = process;
    r->loop = loop_current();
    r->cache = answer_cache_make(options->cache_bytes ? options->cache_bytes / 4 : CACHE_BYTES);
    mutex_init(&r->mutex);
    list_init(&r->open);
    struct fault f = s.fault;
    if (!f.kind)
        f = loop_watch_listener(r->loop, ub_fd(r->context), &r->watch);
    if (f.kind) {
        ub_ctx_delete(r->context);
        answer_cache_free(r->cache);
        mutex_destroy(&r->mutex);
        free(r);
        return f;
    }
    *out = r;
    return FINE;
}

void resolver_stop(struct resolver *r)
{
    loop_unwatch(r->loop, ub_fd(r->context));
    ub_ctx_delete(r->context);
    for (struct list *link; (link = list_pop_front(&r->open));)
        free(LIST_ENTRY(link, struct question, link));
    answer_cache_free(r->cache);
    mutex_destroy(&r->mutex);
    free(r);
}

static void deliver(struct loop_message *message)
{
    struct question *q = (struct question *)(void *)message;
    q->is_done = true;
    task_wake(q->task);
}

static void answered(void *arg, int error, struct ub_result *result)
{
    struct question *q = arg;
    struct resolver *r = q->resolver;
    mutex_lock(&r->mutex);
    list_remove(&q->link);
    bool is_abandoned = !q->task;
    q->error = error;
    q->result = result;
    if (!is_abandoned)
        loop_post(q->loop, &q->answered);
    mutex_unlock(&r->mutex);
    if (is_abandoned) {
        ub_resolve_free(result);
        free(q);
    }
}

/* True when the library will free the question; false when its answer has come after all. */
static bool abandon(struct question *q)
{
    mutex_lock(&q->resolver->mutex);
    bool is_open = !list_is_empty(&q->link);
    if (is_open)
        q->task = NULL;
    mutex_unlock(&q->resolver->mutex);
    return is_open;
}

static struct fault failure(const char *name, const char *why)
{
    return fault_make(451, FAULT_STATUS(4, 4, 3), "DNS lookup of %s failed: %s", name, why);
}

/* An answer that does not fit comes without its records, which are not absent for that. */
static bool is_cut(const struct ub_result *u)
{
    enum { FLAGS_AT = 2, TRUNCATED = 0x02 };
    const unsigned char *packet = u->answer_packet;
    return u->answer_len > FLAGS_AT && (packet[FLAGS_AT] & TRUNCATED);
}

/* The name that the CNAMEs lead to, as text without the last dot. */
static struct str canonical_name(const struct ub_result *u, struct arena *arena, const char *name)
{
    struct str canonical = str_from(u->canonname), asked = str_from(name);
    if (canonical.n > 0 && canonical.p[canonical.n - 1] == '.')
        canonical.n--;
    if (asked.n > 0 && asked.p[asked.n - 1] == '.')
        asked.n--;
    if (canonical.n == 0 || str_equal_nocase(canonical, asked))
        return STR_NONE;
    return arena_copy(arena, canonical);
}

static struct fault read_result(const struct ub_result *u, struct arena *arena, const char *name,
                                struct resolver_answer *out)
{
    enum { NO_ERROR = 0, NX_DOMAIN = 3 };
    if (u->bogus)
        return failure(name, u->why_bogus ? u->why_bogus : "the answer is bogus");
    if (u->rcode != NO_ERROR && u->rcode != NX_DOMAIN)
        return failure(name, u->rcode == 2 ? "SERVFAIL" : u->rcode == 5 ? "REFUSED" : "bad answer");
    if (is_cut(u))
        return failure(name, "the answer is too large");
    out->is_secure = u->secure;
    out->canonical = canonical_name(u, arena, name);
    out->ttl_s = u->ttl < 0 ? 0 : (uint32_t)u->ttl;
    if (!u->havedata) {
        out->status = u->nxdomain ? RESOLVER_NO_NAME : RESOLVER_NO_DATA;
        return FINE;
    }
    out->status = RESOLVER_FOUND;
    while (u->data[out->count] && out->count < RESOLVER_RECORDS_MAX)
        out->count++;
    out->data = arena_alloc(arena, out->count * sizeof *out->data);
    for (size_t i = 0; i < out->count; i++)
        out->data[i] = arena_copy(arena, str_make(u->data[i], (size_t)u->len[i]));
    return FINE;
}

struct asking {
    struct question *question;
    const char *name;
    uint16_t type;
    int error;
};

static void ask(void *arg)
{
    struct asking *a = arg;
    a->error = ub_resolve_async(a->question->resolver->context, a->name, a->type, 1, a->question,
                                answered, NULL);
}

/* Has the library find out. */
static struct fault inquire(struct resolver *r, struct arena *arena, const char *name,
                            uint16_t type, int64_t deadline_ms, struct resolver_answer *out)
{
    *out = (struct resolver_answer){0};
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        abort();
    *q = (struct question){
        .answered.run = deliver, .resolver = r, .loop = loop_current(), .task = task_current()};
    mutex_lock(&r->mutex);
    list_push_back(&r->open, &q->link);
    mutex_unlock(&r->mutex);
    struct asking a = {.question = q, .name = name, .type = type};
    offload(ask, &a);
    if (a.error) {
        mutex_lock(&r->mutex);
        list_remove(&q->link);
        mutex_unlock(&r->mutex);
        free(q);
        return failure(name, ub_strerror(a.error));
    }
    struct fault f = FINE;
    while (!f.kind && !q->is_done)
        f = task_wait(deadline_ms);
    if (!q->is_done && abandon(q))
        return task_is_cancelled() ? f : failure(name, "no answer in time");
    while (!q->is_done)
        task_wait_answer();
    f = q->error ? failure(name, ub_strerror(q->error)) : read_result(q->result, arena, name, out);
    ub_resolve_free(q->result);
    free(q);
    return f;
}

struct fault resolver_lookup(struct resolver *r, struct arena *arena, const char *name,
                             uint16_t type, int64_t deadline_ms, struct resolver_answer *out)
{
    if (answer_cache_get(r->cache, arena, name, type, clock_now_ms(), out))
        return FINE;
    struct fault f = inquire(r, arena, name, type, deadline_ms, out);
    if (!f.kind)
        answer_cache_put(r->cache, name, type, clock_now_ms(), out);
    return f;
}

struct fault resolver_prove(struct resolver *r, int64_t deadline_ms)
{
    struct arena arena = arena_make(1 << 20);
    struct resolver_answer answer;
    struct fault f = resolver_lookup(r, &arena, ".", RESOLVER_NS, deadline_ms, &answer);
    if (!f.kind && !answer.is_secure)
        f = failure(".", "the answer is not proven");
    arena_free(&arena);
    return f;
}
