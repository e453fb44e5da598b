/* SPDX-License-Identifier: ISC */
/*
 * carrier.c - one connection to a site, and the task that drives it
 *
 * Connect, greet, TLS, login; then jobs, the next one's commands behind the body of the one before
 * where the server pipelines (transfer.c). A carrier without work asks the dispatcher to go and
 * ends when it may, so that no job is ever sent to one that has gone.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "net/loop.h"
#include "os/file.h"
#include "send/secure.h"
#include "send/share.h"
#include "send/transfer.h"

enum { SECRET_MAX = 4096 };

static int64_t deadline_after(int64_t ms)
{
    return loop_now_ms(loop_current()) + ms;
}

/* Jobs between the loops. */
static void take_job(struct loop_message *message)
{
    struct job *j = (struct job *)(void *)message;
    list_push_back(&j->carrier->jobs, &j->link);
    task_wake(j->carrier->task);
}

void carrier_give(struct carrier *c, struct job *j)
{
    j->message.run = take_job;
    loop_post(c->loop, &j->message);
}

static void job_is_back(struct loop_message *message)
{
    dispatch_job_back((struct job *)(void *)message);
}

void carrier_return(struct job *j)
{
    j->message.run = job_is_back;
    loop_post(j->sender->owner, &j->message);
}

static void dismissed(struct loop_message *message)
{
    struct carrier *c = (struct carrier *)((char *)message - offsetof(struct carrier, dismissal));
    c->is_dismissed = true;
    task_wake(c->task);
}

void carrier_dismiss(struct carrier *c)
{
    c->dismissal.run = dismissed;
    loop_post(c->loop, &c->dismissal);
}

/* Fails every job that is here. */
static void fail_jobs(struct carrier *c, const struct fault *f, bool is_site_down,
                      struct transfer *t)
{
    for (struct list *link; (link = list_pop_front(&c->jobs));) {
        struct job *j = LIST_ENTRY(link, struct job, link);
        job_fail(j, f);
        j->is_site_down = is_site_down;
        j->is_local = c->route->is_local;
        if (t)
            transfer_describe(t, j);
        carrier_return(j);
    }
}

/* Login to a smarthost. */
static struct fault read_secret(const struct conf_next_hop *hop, struct buf *out)
{
    struct arena a = arena_make(1 << 16);
    struct fault f = file_load(arena_c_string(&a, hop->password_file), out);
    arena_free(&a);
    if (f.kind)
        return f;
    out->used = str_trim(buf_str(out)).n;
    return FINE;
}

static struct fault say_plain(struct transfer *t, const struct conf_next_hop *hop,
                              struct str secret)
{
    struct buf plain = buf_make(SECRET_MAX + 512), text = buf_make(2 * SECRET_MAX);
    buf_append_byte(&plain, '\0');
    buf_append(&plain, hop->username);
    buf_append_byte(&plain, '\0');
    buf_append(&plain, secret);
    encode_base64(&text, buf_str(&plain));
    struct str initial = buf_str(&text);
    smtp_client_auth(&t->client, "PLAIN", &initial);
    struct smtp_client_event e;
    struct fault f = transfer_await(t, &e);
    buf_free(&plain);
    buf_free(&text);
    return f.kind ? f : e.fault;
}

static struct fault say_login(struct transfer *t, const struct conf_next_hop *hop,
                              struct str secret)
{
    struct smtp_client_event e;
    smtp_client_auth(&t->client, "LOGIN", NULL);
    struct str answers[2] = {hop->username, secret};
    for (size_t i = 0; i < 2; i++) {
        struct fault f = transfer_await(t, &e);
        if (f.kind || e.kind != SMTP_CLIENT_CHALLENGE)
            return f.kind ? f : e.fault;
        struct buf text = buf_make(2 * SECRET_MAX);
        encode_base64(&text, answers[i]);
        smtp_client_auth_response(&t->client, buf_str(&text));
        buf_free(&text);
    }
    struct fault f = transfer_await(t, &e);
    return f.kind ? f : e.fault;
}

static struct fault log_in(struct transfer *t, const struct conf_next_hop *hop)
{
    struct buf secret = buf_make(SECRET_MAX);
    struct fault f = read_secret(hop, &secret);
    if (f.kind)
        return f;
    unsigned offered = t->client.capabilities;
    if (offered & SMTP_HAS_AUTH_PLAIN)
        f = say_plain(t, hop, buf_str(&secret));
    else if (offered & SMTP_HAS_AUTH_LOGIN)
        f = say_login(t, hop, buf_str(&secret));
    else
        f = fault_make(451, FAULT_STATUS(4, 7, 0),
                       "the server offers neither AUTH PLAIN nor LOGIN");
    buf_free(&secret);
    /* A login that is refused is our trouble, not the message's: never a bounce. */
    if (f.kind == FAULT_NEVER)
        f = fault_make(451, FAULT_STATUS(4, 7, 0), "login refused: %.200s", f.text);
    return f;
}

/* Waits for READY, or says why the server is not. */
static struct fault await_ready(struct transfer *t)
{
    struct smtp_client_event e;
    struct fault f = transfer_await(t, &e);
    if (f.kind)
        return f;
    return e.kind == SMTP_CLIENT_READY ? FINE : e.fault;
}

/* Talks to a fresh connection until it is ready for mail. */
static struct fault introduce(struct transfer *t, const struct route *r, const struct route_host *h,
                              bool *is_tls_broken)
{
    *is_tls_broken = false;
    struct fault f = await_ready(t);
    if (!f.kind)
        f = secure_connection(t, r, h, is_tls_broken);
    if (!f.kind && r->hop && r->hop->username.n > 0)
        f = log_in(t, r->hop);
    return f;
}

static const struct endpoint *source_for(const struct route *r, const struct endpoint *to,
                                         struct endpoint *source)
{
    const struct conf_addresses *own = &r->live->conf->delivery.source;
    struct ip_address ip;
    if (!endpoint_ip(to, &ip))
        return NULL;
    for (size_t i = 0; i < own->count; i++) {
        if (ip_is_v4(&own->item[i]) != ip_is_v4(&ip))
            continue;
        *source = endpoint_from_ip(&own->item[i], 0);
        return source;
    }
    return NULL;
}

/* Connects to one address; with may_tls false a second time, after a handshake that failed. */
static struct fault try_address(struct transfer *t, const struct route *r,
                                const struct endpoint *to, struct str host)
{
    struct endpoint source;
    struct route plain = {0};
    const struct route_host *h = secure_host(r, host);
    transfer_begin_host(t);
    struct fault refusal = secure_may_connect(t, r, h);
    if (refusal.kind)
        return refusal;
    for (int attempt = 0;; attempt++) {
        bool is_tls_broken;
        transfer_begin_host(t);
        struct fault f = dial(to, source_for(r, to, &source),
                              deadline_after(t->limits->connect_timeout_ms), &t->conn);
        if (f.kind)
            return f;
        transfer_connected(t, host, to);
        const struct route *policy = r;
        if (attempt > 0) {
            plain = (struct route){.live = r->live, .hop = r->hop, .tls = CONF_PEER_TLS_NEVER};
            policy = &plain;
        }
        f = introduce(t, policy, h, &is_tls_broken);
        if (!f.kind)
            return FINE;
        transfer_disconnect(t);
        /* Opportunistic TLS that does not work is worse than none (once, on a new connection). */
        if (!is_tls_broken || attempt > 0)
            return f;
    }
}

/* The host says that it takes no mail at all (RFC 7504 section 3). */
static bool is_mailless(const struct fault *f)
{
    return f->is_answer && f->reply == 521;
}

/*
 * Tries the addresses in order. A host that refuses to talk speaks for itself alone, so the next is
 * tried (RFC 5321 section 5.1), and when all refuse that may pass. Only when every host of a domain
 * takes no mail at all is it final; a next hop that an operator has named only delays.
 */
static struct fault connect_route(struct carrier *c, struct transfer *t)
{
    struct sender *s = c->sender;
    struct route_context x = {.live = s->options.live,
                              .directory = s->options.directory,
                              .resolver = s->options.resolver};
    struct route_addresses *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    struct fault f = route_addresses(&x, c->route, a);
    size_t count = f.kind ? 0 : a->count;
    bool may_pass = c->route->hop && c->route->wish != ROUTE_TLS_REQUIRED;
    struct fault passing = FINE;
    for (size_t i = 0; i < count; i++) {
        t->is_requirement_unmet = false;
        f = try_address(t, c->route, &a->address[i], a->name[i]);
        if (!f.kind || task_is_cancelled())
            break;
        may_pass = may_pass || !(t->is_requirement_unmet || is_mailless(&f));
        if (f.kind == FAULT_LATER)
            passing = f;
    }
    /* A host that was not reached may yet do what the others do not. */
    if (f.kind && t->is_requirement_unmet && passing.kind)
        f = passing;
    free(a);
    if (f.kind == FAULT_NEVER && may_pass)
        f.kind = FAULT_LATER;
    if (f.kind == FAULT_NEVER && f.status.class == 0)
        f.status = FAULT_STATUS(5, 3, 2);
    return f;
}

/* Asks the dispatcher to go. */
static void go(struct loop_message *message)
{
    struct carrier *c = (struct carrier *)((char *)message - offsetof(struct carrier, message));
    c->may_go = true;
    task_wake(c->task);
}

static void ask_to_go(struct loop_message *message)
{
    struct carrier *c = (struct carrier *)((char *)message - offsetof(struct carrier, message));
    share_carrier_leaves(c); /* no job is sent its way from here on */
    message->run = go;
    loop_post(c->loop, message);
}

static void be_gone(struct loop_message *message)
{
    struct carrier *c = (struct carrier *)((char *)message - offsetof(struct carrier, message));
    dispatch_carrier_gone(c);
    route_drop(c->route);
    free(c);
}

/* The last job that crossed with our leaving goes back before the word that we are gone. */
static void leave(struct carrier *c)
{
    c->message.run = ask_to_go;
    loop_post(c->sender->owner, &c->message);
    while (!c->may_go)
        task_wait_answer();
    for (struct list *link; (link = list_pop_front(&c->jobs));) {
        struct job *j = LIST_ENTRY(link, struct job, link);
        j->is_untried = true;
        carrier_return(j);
    }
    c->message.run = be_gone;
    loop_post(c->sender->owner, &c->message);
}

static bool wait_for_jobs(struct carrier *c, struct transfer *t)
{
    int64_t until = deadline_after(t->limits->idle_timeout_ms);
    while (list_is_empty(&c->jobs)) {
        if (c->is_dismissed || c->sender->is_stopping)
            return false;
        struct fault f = t->conn ? conn_wait_input(t->conn, until) : task_wait(until);
        /* Whatever an idle server says now (421, the end) ends the connection. */
        if (f.kind || (t->conn && conn_has_input(t->conn)))
            return false;
    }
    return true;
}

static void run(void *arg)
{
    struct carrier *c = arg;
    c->task = task_current();
    struct transfer *t = transfer_make(c);
    while (wait_for_jobs(c, t)) {
        struct fault f = t->conn ? FINE : connect_route(c, t);
        if (f.kind) {
            bool is_down = f.kind == FAULT_LATER;
            fail_jobs(c, &f, is_down, t);
            break;
        }
        transfer_jobs(t);
        if (!t->conn)
            break;
    }
    transfer_free(t);
    leave(c);
}

static void start(struct loop_message *message)
{
    struct carrier *c = (struct carrier *)((char *)message - offsetof(struct carrier, message));
    c->task = task_start(c->scope, "carrier", run, c);
    if (!c->task)
        abort();
}

void carrier_start(struct sender *s, struct site *site, struct route *route)
{
    struct carrier *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    const struct sender_loop *on = &s->options.loops[s->next_loop++ % s->options.loop_count];
    c->sender = s;
    c->site = site;
    c->route = route_keep(route);
    c->loop = on->loop;
    c->scope = on->scope;
    list_init(&c->idle);
    list_init(&c->jobs);
    list_push_back(&site->carriers, &c->link);
    site->carrier_count++;
    site->starting_count++;
    s->carrier_count++;
    share_carrier_made(c);
    c->message.run = start;
    loop_post(c->loop, &c->message);
}
