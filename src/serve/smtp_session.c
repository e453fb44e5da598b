/* SPDX-License-Identifier: ISC */
/*
 * smtp_session.c - one connection to the MX, submission and submissions listeners
 *
 * A straight line: enter, greet, then read, feed the engine, act on its events, write what it wants
 * to say. Replies are collected until the input is used up. What each event means for the mail is
 * in session_mail.c.
 */
#include "serve/smtp_session.h"

#include <stdlib.h>

#include "net/loop.h"
#include "os/clock.h"
#include "proto/proxy.h"
#include "serve/session.h"

enum { QUIET_MS = 1000, PROXY_TIMEOUT_MS = 10000 };

static int64_t deadline_after(int64_t ms)
{
    return loop_now_ms(loop_current()) + ms;
}

static struct fault flush(struct session *s)
{
    struct str output = smtp_server_output(&s->engine);
    if (output.n == 0)
        return FINE;
    struct fault f =
        conn_write(s->conn, &output, 1, deadline_after(s->listener->limits.command_timeout_ms));
    if (!f.kind)
        smtp_server_sent(&s->engine, output.n);
    return f;
}

static __attribute__((noinline)) void tell(const struct session *s, const char *name,
                                           const struct fault *f)
{
    struct event e;
    char text[ENDPOINT_TEXT_MAX];
    event_begin(&e, s->server->log, name);
    event_text(&e, "session", str_from(s->id));
    event_text(&e, "listener", str_from(s->service->name));
    event_text(&e, "client", endpoint_text(conn_peer(s->conn), text));
    if (f)
        event_fault(&e, f);
    event_end(&e);
}

/* The functions with large locals are kept out of line, so that a session that waits does not hold
 * their frames: an idle connection costs one page of stack. */

/* What the engine may offer at this point of the session. */
static void set_options(struct session *s)
{
    const struct conf_limits *limits = &s->listener->limits;
    bool is_submission = s->listener->role != CONF_ROLE_MX;
    bool is_tls = conn_is_tls(s->conn);
    s->options = (struct smtp_server_options){
        .kind = is_submission ? SMTP_SUBMISSION : SMTP_MX,
        .hostname = s->live->conf->hostname,
        .greeting = STR("Eilbote"),
        .size_limit = (uint64_t)limits->message_size_bytes,
        .rcpt_limit = (uint32_t)limits->recipient_max,
        .mail_limit = (uint32_t)limits->connection_message_max,
        .line_limit = (uint32_t)limits->line_size_bytes,
        .error_limit = (uint32_t)limits->connection_error_max,
        .auth_failure_limit = 3,
        .auth_mechanisms = is_submission && is_tls ? str_from(auth_mechanisms_tls) : STR_NONE,
        .is_auth_required = is_submission && !s->is_trusted,
        .has_starttls = s->listener->tls == CONF_TLS_STARTTLS && s->live->server_tls,
        .is_tls_required = is_submission && s->listener->tls == CONF_TLS_STARTTLS && !s->is_trusted,
        .has_smtputf8 = true,
        .has_chunking = true,
        .has_dsn = true,
        .has_limits = true,
    };
}

static struct fault start_tls(struct session *s)
{
    struct fault f = conn_start_tls_server(s->conn, s->live->server_tls,
                                           deadline_after(s->listener->limits.command_timeout_ms));
    if (f.kind)
        tell(s, "smtp.tls.failed", &f);
    else
        set_options(s);
    return f;
}

static void end_auth(struct session *s)
{
    auth_free(s->auth);
    s->auth = NULL;
}

static __attribute__((noinline)) void finish_login(struct session *s)
{
    struct str account = str_head(auth_account(s->auth), sizeof s->account_text);
    memcpy(s->account_text, account.p, account.n);
    s->account = str_make(s->account_text, account.n);
    smtp_server_answer(&s->engine, &FINE);
    end_auth(s);
    struct event e;
    event_begin(&e, s->server->log, "smtp.login");
    event_text(&e, "session", str_from(s->id));
    event_text(&e, "account", s->account);
    event_end(&e);
}

static __attribute__((noinline)) void refuse_login(struct session *s, const struct fault *f)
{
    clients_login_failed(s->server->clients, &s->ip, auth_account(s->auth), &s->listener->limits);
    tell(s, "smtp.login.failed", f);
    smtp_server_answer(&s->engine, f);
    end_auth(s);
}

/* One step of a login: a challenge, or the verdict. */
static __attribute__((noinline)) void step_auth(struct session *s, struct str response)
{
    if (s->is_auth_done) {
        s->is_auth_done = false;
        finish_login(s);
        return;
    }
    struct buf challenge = buf_make(16384);
    struct fault f = FINE;
    enum auth_step step = auth_step(s->auth, response, &challenge, &f);
    struct fault allowed =
        clients_may_login(s->server->clients, &s->ip, auth_account(s->auth), &s->listener->limits);
    if (step == AUTH_FAILED || allowed.kind) {
        refuse_login(s, step == AUTH_FAILED ? &f : &allowed);
    } else if (step == AUTH_DONE && challenge.used == 0) {
        finish_login(s);
    } else {
        /* The last server message of SCRAM goes out as a challenge with an empty answer. */
        s->is_auth_done = step == AUTH_DONE;
        smtp_server_challenge(&s->engine, buf_str(&challenge));
    }
    buf_free(&challenge);
}

static __attribute__((noinline)) void begin_auth(struct session *s, const struct smtp_event *e)
{
    struct fault f = clients_may_login(s->server->clients, &s->ip, STR_NONE, &s->listener->limits);
    s->is_auth_done = false;
    if (!f.kind)
        f = auth_start(s->server->directory, s->conn, e->auth.mechanism, &s->auth);
    if (f.kind) {
        smtp_server_answer(&s->engine, &f);
        return;
    }
    step_auth(s, e->auth.response);
}

static void answer(struct session *s, struct fault f)
{
    smtp_server_answer(&s->engine, &f);
}

/* Acts on one event. False when the session is over. */
static __attribute__((noinline)) bool handle(struct session *s, const struct smtp_event *e)
{
    switch (e->kind) {
    case SMTP_EVENT_NONE:
    case SMTP_EVENT_STARTTLS:
        return true;
    case SMTP_EVENT_HELLO:
        session_forget(s);
        answer(s, FINE);
        return true;
    case SMTP_EVENT_MAIL:
        answer(s, session_mail(s, &e->mail));
        return true;
    case SMTP_EVENT_RCPT:
        answer(s, session_rcpt(s, &e->rcpt));
        return true;
    case SMTP_EVENT_DATA:
        answer(s, session_data(s));
        return true;
    case SMTP_EVENT_CONTENT:
        intake_add(&s->transaction.intake, e->content);
        return true;
    case SMTP_EVENT_MESSAGE: {
        struct fault f = session_message(s);
        if (!f.kind && s->is_ip && !s->is_known) {
            s->is_known = true;
            clients_trust(s->server->clients, &s->ip, true);
        }
        answer(s, f);
        session_forget(s);
        return true;
    }
    case SMTP_EVENT_AUTH:
        begin_auth(s, e);
        return true;
    case SMTP_EVENT_AUTH_RESPONSE:
        step_auth(s, e->auth.response);
        return true;
    case SMTP_EVENT_AUTH_ABORT:
        end_auth(s);
        return true;
    case SMTP_EVENT_RESET:
        session_forget(s);
        return true;
    case SMTP_EVENT_QUIT:
        return false;
    case SMTP_EVENT_CLOSE:
        tell(s, "smtp.session.dropped", &e->reason);
        if (s->is_ip)
            clients_trust(s->server->clients, &s->ip, false);
        return false;
    }
    return false;
}

/* The answer to STARTTLS goes out in the clear, then the handshake; nothing may be in between. */
static bool upgrade(struct session *s)
{
    answer(s, FINE);
    if (conn_unread(s->conn) > 0)
        return true; /* the next feed refuses what is pending */
    if (flush(s).kind || start_tls(s).kind)
        return false;
    session_forget(s);
    smtp_server_tls_started(&s->engine);
    return true;
}

/* Counts commands against the client's allowance. */
static __attribute__((noinline)) bool is_over_limit(struct session *s, const struct smtp_event *e)
{
    if (s->is_local || s->is_trusted || !s->is_ip || e->kind == SMTP_EVENT_CONTENT ||
        e->kind == SMTP_EVENT_NONE)
        return false;
    struct fault f = clients_command(s->server->clients, &s->ip, &s->listener->limits);
    if (!f.kind)
        return false;
    smtp_server_close(&s->engine, &f);
    tell(s, "smtp.session.dropped", &f);
    return true;
}

/* Feeds the engine with what was read. False when the session is over. */
static bool feed(struct session *s, struct str in)
{
    struct smtp_event e;
    do {
        size_t n = smtp_server_feed(&s->engine, in, &e);
        bool goes_on = !is_over_limit(s, &e) && handle(s, &e);
        conn_consume(s->conn, n);
        in = str_skip(in, n);
        if (!goes_on)
            return false;
        if (e.kind == SMTP_EVENT_STARTTLS && !upgrade(s))
            return false;
        /* The engine wants its reply sent before it looks at more. */
        if (e.kind == SMTP_EVENT_NONE && in.n > 0 && flush(s).kind)
            return false;
    } while (in.n > 0 || e.kind != SMTP_EVENT_NONE);
    return true;
}

/* Waits for input; a session that is quiet for a moment gives the stack's depths back. */
static struct fault wait_for_input(struct session *s, int64_t deadline_ms)
{
    struct fault f = conn_wait_input(s->conn, deadline_after(QUIET_MS));
    if (!f.kind || task_is_cancelled() || conn_has_input(s->conn))
        return f.kind && task_is_cancelled() ? f : FINE;
    task_trim_stack();
    return conn_wait_input(s->conn, deadline_ms);
}

static void close_with(struct session *s, struct fault f)
{
    smtp_server_close(&s->engine, &f);
    flush(s);
}

/* When the role shuts down, a session ends as soon as it has no transaction open. */
static bool is_to_end(const struct session *s)
{
    return atomic_load(&s->server->is_draining) && !s->engine.transaction.is_open &&
           !conn_has_input(s->conn);
}

static void talk(struct session *s)
{
    const struct conf_limits *limits = &s->listener->limits;
    int64_t session_end = s->started_ms + limits->session_timeout_ms;
    for (;;) {
        if (flush(s).kind)
            return;
        bool is_in_content = s->transaction.intake.queue != NULL;
        int64_t patience = is_in_content ? limits->data_timeout_ms : limits->command_timeout_ms;
        int64_t deadline = deadline_after(patience);
        struct fault f = wait_for_input(s, deadline < session_end ? deadline : session_end);
        if (is_to_end(s)) {
            close_with(s, fault_make(421, FAULT_STATUS(4, 3, 2), "shutting down"));
            return;
        }
        struct str in = STR_NONE;
        if (!f.kind)
            f = conn_read(s->conn, deadline, &in);
        if (f.kind && task_is_cancelled())
            close_with(s, fault_make(421, FAULT_STATUS(4, 3, 2), "shutting down"));
        else if (f.kind && !conn_has_input(s->conn))
            close_with(s, fault_make(421, FAULT_STATUS(4, 4, 2), "timed out waiting for you"));
        if (f.kind || in.n == 0)
            return;
        if (!feed(s, in)) {
            flush(s);
            return;
        }
    }
}

/* Nobody may speak before we have greeted. */
static __attribute__((noinline)) bool greet(struct session *s)
{
    int64_t delay = s->listener->limits.greeting_delay_ms;
    bool is_mx = s->listener->role == CONF_ROLE_MX;
    if (is_mx && !s->is_known && !s->is_trusted && delay > 0) {
        int64_t until = deadline_after(delay);
        while (loop_now_ms(loop_current()) < until && !conn_has_input(s->conn))
            if (conn_wait_input(s->conn, until).kind && task_is_cancelled())
                return false;
    }
    bool is_local_role = s->listener->role == CONF_ROLE_LOCAL;
    if (!is_local_role && !conn_is_tls(s->conn) && conn_has_input(s->conn)) {
        struct str in;
        struct fault f = fault_make(554, FAULT_STATUS(5, 5, 0), "you spoke before the greeting");
        if (!conn_read(s->conn, deadline_after(delay), &in).kind && in.n > 0) {
            tell(s, "smtp.session.dropped", &f);
            close_with(s, f);
        }
        return false;
    }
    smtp_server_greet(&s->engine);
    return true;
}

/* Reads the PROXY header that a trusted balancer sends first, and believes it. */
static __attribute__((noinline)) struct fault read_proxy_header(struct session *s)
{
    char header[PROXY_HEADER_MAX];
    size_t have = 0, size = 0;
    int64_t deadline = deadline_after(PROXY_TIMEOUT_MS);
    enum proxy_result result = PROXY_MORE;
    struct ip_endpoint source = {0};
    while (result == PROXY_MORE) {
        struct str in;
        struct fault f = conn_read(s->conn, deadline, &in);
        if (f.kind)
            return f;
        size_t take = in.n < sizeof header - have ? in.n : sizeof header - have;
        memcpy(header + have, in.p, take);
        result = take == 0 ? PROXY_BAD : proxy_parse(str_make(header, have + take), &size, &source);
        size_t used = result == PROXY_MORE || result == PROXY_BAD ? take : size - have;
        conn_consume(s->conn, used);
        have += used;
    }
    if (result == PROXY_BAD)
        return fault_make(421, FAULT_STATUS(4, 3, 5), "malformed PROXY header");
    if (result == PROXY_SOURCE) {
        struct endpoint peer = endpoint_from_ip(&source.address, source.port);
        conn_set_peer(s->conn, &peer);
    }
    return FINE;
}

/* Finds out who is there, and whether he may come in. */
static __attribute__((noinline)) struct fault enter(struct session *s)
{
    struct fault f = FINE;
    s->is_ip = endpoint_ip(conn_peer(s->conn), &s->ip);
    if (s->is_ip && conf_networks_contain(&s->listener->proxy_from, &s->ip)) {
        f = read_proxy_header(s);
        s->is_ip = endpoint_ip(conn_peer(s->conn), &s->ip);
    }
    if (f.kind)
        return f;
    s->is_trusted = s->listener->role == CONF_ROLE_LOCAL ||
                    (s->is_ip && conf_networks_contain(&s->listener->trust, &s->ip));
    s->is_local = s->is_ip && ip_is_loopback(&s->ip);
    if (atomic_fetch_add(&s->service->session_count, 1) >= s->listener->limits.session_max)
        f = fault_make(421, FAULT_STATUS(4, 3, 2), "too many connections, try again later");
    if (!f.kind && s->is_ip) {
        struct conf_limits limits = s->listener->limits;
        if (s->is_trusted || s->is_local)
            limits.address_session_max = INT64_MAX;
        f = clients_enter(s->server->clients, &s->ip, &limits, &s->is_known);
        s->has_entered = !f.kind;
    }
    if (!f.kind && s->listener->tls == CONF_TLS_IMPLICIT)
        f = start_tls(s);
    return f;
}

static __attribute__((noinline)) void leave(struct session *s)
{
    session_forget(s);
    end_auth(s);
    if (s->has_entered)
        clients_leave(s->server->clients, &s->ip);
    atomic_fetch_sub(&s->service->session_count, 1);
    struct event e;
    char text[ENDPOINT_TEXT_MAX];
    event_begin(&e, s->server->log, "smtp.session.ended");
    event_text(&e, "session", str_from(s->id));
    event_text(&e, "listener", str_from(s->service->name));
    event_text(&e, "client", endpoint_text(conn_peer(s->conn), text));
    event_text(&e, "helo", smtp_server_helo(&s->engine));
    event_number(&e, "messages", s->engine.message_count);
    event_flag(&e, "tls", conn_is_tls(s->conn));
    event_number(&e, "ms", loop_now_ms(loop_current()) - s->started_ms);
    event_end(&e);
    smtp_server_free(&s->engine);
    conn_close(s->conn);
    live_drop(s->server->live, s->live);
}

static struct session *open_session(struct service *service, struct conn *c)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->server = service->server;
    s->service = service;
    s->live = live_keep(service->server->live);
    s->listener = service_conf(service, s->live->conf);
    s->conn = c;
    s->started_ms = loop_now_ms(loop_current());
    server_session_id(s->server, s->id);
    return s;
}

static __attribute__((noinline)) void refuse(struct session *s, struct fault f)
{
    tell(s, "smtp.session.refused", &f);
    if (f.reply == 421)
        close_with(s, f);
}

/* True when the client may be talked to. */
static __attribute__((noinline)) bool start(struct session *s)
{
    struct fault f = enter(s);
    set_options(s);
    smtp_server_init(&s->engine, &s->options, conn_is_tls(s->conn));
    if (f.kind) {
        refuse(s, f);
        return false;
    }
    return greet(s);
}

void smtp_session_serve(struct conn *c, void *arg)
{
    struct session *s = open_session(arg, c);
    if (s->listener) {
        if (start(s))
            talk(s);
        leave(s);
    } else {
        /* A reload has taken the listener away while this connection was on its way. */
        live_drop(s->server->live, s->live);
        conn_close(c);
    }
    free(s);
}
