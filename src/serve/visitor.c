/* SPDX-License-Identifier: ISC */
/*
 * visitor.c - one connection from outside, whatever protocol it speaks
 *
 * The functions with large locals are kept out of line, so that a session that waits does not hold
 * their frames: an idle connection costs one page of stack.
 */
#include "serve/visitor.h"

#include "net/loop.h"
#include "net/task.h"
#include "proto/proxy.h"

enum { QUIET_MS = 1000, PROXY_TIMEOUT_MS = 10000 };

int64_t visitor_deadline(int64_t ms)
{
    return loop_now_ms(loop_current()) + ms;
}

static struct fault too_many(void)
{
    return fault_make(421, FAULT_STATUS(4, 3, 2), VISITOR_TOO_MANY);
}

bool visitor_is_full(void *arg)
{
    struct service *service = arg;
    struct live *live = live_keep(service->server->live);
    const struct conf_listener *listener = service_conf(service, live->conf);
    bool is_full =
        listener && (atomic_load(&service->session_count) >= listener->limits.session_max ||
                     atomic_load(&service->server->session_count) >= service->server->session_max);
    live_drop(service->server->live, live);
    return is_full;
}

static int64_t this_second(void)
{
    return loop_now_ms(loop_current()) / 1000;
}

/* Of refusals that were kept quiet in an earlier second. */
static void tell_untold(struct service *s)
{
    if (atomic_load(&s->refusals.untold) == 0 || atomic_load(&s->refusals.second) == this_second())
        return;
    int64_t count = atomic_exchange(&s->refusals.untold, 0);
    if (count == 0)
        return;
    struct event e;
    event_begin(&e, s->server->log, "sessions.refused");
    event_text(&e, "listener", str_from(s->name));
    event_number(&e, "count", count);
    event_end(&e);
}

/* Whether this refusal is told; counts it. */
static bool is_told(struct service *s)
{
    tell_untold(s);
    int64_t now_s = this_second();
    if (atomic_exchange(&s->refusals.second, now_s) != now_s)
        atomic_store(&s->refusals.told, 0);
    if (atomic_fetch_add(&s->refusals.told, 1) < VISITOR_REFUSALS_TOLD)
        return true;
    atomic_fetch_add(&s->refusals.untold, 1);
    return false;
}

void visitor_tell_full(struct service *service, const struct endpoint *peer, const char *name)
{
    if (!is_told(service))
        return;
    char text[ENDPOINT_TEXT_MAX], id[SESSION_ID_MAX];
    struct fault f = too_many();
    struct event e;
    event_begin(&e, service->server->log, name);
    event_text(&e, "session", server_session_id(service->server, id));
    event_text(&e, "listener", str_from(service->name));
    event_text(&e, "client", endpoint_text(peer, text));
    event_fault(&e, &f);
    event_end(&e);
}

bool visitor_open(struct visitor *v, struct service *service, struct conn *c)
{
    struct live *live = live_keep(service->server->live);
    const struct conf_listener *listener = service_conf(service, live->conf);
    if (!listener) {
        live_drop(service->server->live, live);
        conn_close(c);
        return false;
    }
    *v = (struct visitor){.server = service->server,
                          .service = service,
                          .live = live,
                          .listener = listener,
                          .conn = c,
                          .started_ms = loop_now_ms(loop_current())};
    server_session_id(v->server, v->id);
    atomic_fetch_add(&v->server->session_count, 1);
    tell_untold(service);
    return true;
}

/* Reads the PROXY header that a trusted balancer sends first, and believes it. */
static __attribute__((noinline)) struct fault read_proxy_header(struct visitor *v)
{
    char header[PROXY_HEADER_MAX];
    size_t have = 0, size = 0;
    int64_t deadline = visitor_deadline(PROXY_TIMEOUT_MS);
    enum proxy_result result = PROXY_MORE;
    struct ip_endpoint source = {0};
    while (result == PROXY_MORE) {
        struct str in;
        struct fault f = conn_read(v->conn, deadline, &in);
        if (f.kind)
            return f;
        size_t take = in.n < sizeof header - have ? in.n : sizeof header - have;
        memcpy(header + have, in.p, take);
        result = take == 0 ? PROXY_BAD : proxy_parse(str_make(header, have + take), &size, &source);
        size_t used = result == PROXY_MORE || result == PROXY_BAD ? take : size - have;
        conn_consume(v->conn, used);
        have += used;
    }
    if (result == PROXY_BAD)
        return fault_make(421, FAULT_STATUS(4, 3, 5), "malformed PROXY header");
    if (result == PROXY_SOURCE) {
        struct endpoint peer = endpoint_from_ip(&source.address, source.port);
        conn_set_peer(v->conn, &peer);
    }
    return FINE;
}

static struct fault count_in(struct visitor *v)
{
    v->is_counted = true;
    /* Many may have been accepted at once, when visitor_is_full() had not heard of the others. */
    if (atomic_fetch_add(&v->service->session_count, 1) >= v->listener->limits.session_max ||
        atomic_load(&v->server->session_count) > v->server->session_max)
        return too_many();
    if (!v->is_ip)
        return FINE;
    struct conf_limits limits = v->listener->limits;
    if (v->is_trusted || v->is_local)
        limits.address_session_max = INT64_MAX;
    struct fault f = clients_enter(v->server->clients, &v->ip, &limits, &v->is_known);
    v->has_entered = !f.kind;
    return f;
}

struct fault visitor_enter(struct visitor *v)
{
    struct fault f = FINE;
    v->is_ip = endpoint_ip(conn_peer(v->conn), &v->ip);
    if (v->is_ip && conf_networks_contain(&v->listener->proxy_from, &v->ip)) {
        f = read_proxy_header(v);
        v->is_ip = endpoint_ip(conn_peer(v->conn), &v->ip);
    }
    if (f.kind)
        return f;
    v->is_trusted = v->listener->role == CONF_ROLE_LOCAL ||
                    (v->is_ip && conf_networks_contain(&v->listener->trust, &v->ip));
    v->is_local = v->is_ip && ip_is_loopback(&v->ip);
    return count_in(v);
}

__attribute__((noinline)) struct fault visitor_start_tls(struct visitor *v,
                                                         const char *failure_event)
{
    struct fault f = conn_start_tls_server(
        v->conn, v->live->server_tls, visitor_deadline(v->listener->limits.command_timeout_ms));
    if (f.kind)
        visitor_tell(v, failure_event, &f);
    return f;
}

/* After a wait. In the clear the loop's word will do; under TLS what came may be half a record. */
static bool has_got_input(struct conn *c)
{
    return conn_is_tls(c) ? conn_has_input(c) : conn_may_have_input(c);
}

struct fault visitor_wait_input(struct visitor *v, int64_t deadline_ms)
{
    bool is_quiet = false;
    for (bool has = conn_has_input(v->conn); !has && !atomic_load(&v->server->is_draining);
         has = has_got_input(v->conn)) {
        int64_t quiet_ms = visitor_deadline(QUIET_MS);
        bool is_last = is_quiet || quiet_ms >= deadline_ms;
        struct fault f = conn_wait_input(v->conn, is_last ? deadline_ms : quiet_ms);
        if (f.kind && (is_last || task_is_cancelled()))
            return f;
        /* Woken for nothing, as by a part of a TLS record, the stack may have been used again. */
        is_quiet = f.kind;
        if (is_quiet)
            task_trim_stack();
    }
    return FINE;
}

struct fault visitor_count_commands(struct visitor *v, uint32_t said)
{
    uint32_t more = said - v->counted_commands;
    v->counted_commands = said;
    if (more == 0 || v->is_local || v->is_trusted || !v->is_ip)
        return FINE;
    return clients_command(v->server->clients, &v->ip, more, &v->listener->limits);
}

bool visitor_is_to_leave(const struct visitor *v)
{
    return atomic_load(&v->server->is_draining) && !conn_has_input(v->conn);
}

void visitor_begin_event(const struct visitor *v, struct event *e, const char *name)
{
    char text[ENDPOINT_TEXT_MAX];
    event_begin(e, v->server->log, name);
    event_text(e, "session", str_from(v->id));
    event_text(e, "listener", str_from(v->service->name));
    event_text(e, "client", endpoint_text(conn_peer(v->conn), text));
}

__attribute__((noinline)) void visitor_tell(const struct visitor *v, const char *name,
                                            const struct fault *f)
{
    struct event e;
    visitor_begin_event(v, &e, name);
    if (f)
        event_fault(&e, f);
    event_end(&e);
}

void visitor_tell_refused(const struct visitor *v, const char *name, const struct fault *f)
{
    if (is_told(v->service))
        visitor_tell(v, name, f);
}

void visitor_close(struct visitor *v)
{
    tell_untold(v->service);
    if (v->has_entered)
        clients_leave(v->server->clients, &v->ip);
    if (v->is_counted)
        atomic_fetch_sub(&v->service->session_count, 1);
    conn_close(v->conn);
    atomic_fetch_sub(&v->server->session_count, 1);
    live_drop(v->server->live, v->live);
}
