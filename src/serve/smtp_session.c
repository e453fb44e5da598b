/* SPDX-License-Identifier: ISC */
/*
 * smtp_session.c - one connection to the MX, submission and submissions listeners
 *
 * A straight line: enter, greet, then read, feed the engine, act on its events, write what it wants
 * to say. Replies are collected until the input is used up. What each event means for the mail is
 * in session_mail.c.
 */
#include "serve/smtp_session.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/loop.h"
#include "serve/session.h"

enum { LMTP_SIZE_MORE = 64 << 10 };

static struct fault flush(struct session *s)
{
    struct str output = smtp_server_output(&s->engine);
    if (output.n == 0)
        return FINE;
    struct fault f = conn_write(s->visitor.conn, &output, 1,
                                visitor_deadline(s->visitor.listener->limits.command_timeout_ms));
    if (!f.kind)
        smtp_server_sent(&s->engine, output.n);
    return f;
}

/* The functions with large locals are kept out of line, so that a session that waits does not hold
 * their frames: an idle connection costs one page of stack. */

/* What the engine may offer at this point of the session. */
static void set_options(struct session *s)
{
    const struct conf_limits *limits = &s->visitor.listener->limits;
    int role = s->visitor.listener->role;
    bool is_lmtp = role == CONF_ROLE_LMTP;
    bool is_submission = role != CONF_ROLE_MX && !is_lmtp;
    bool is_tls = conn_is_tls(s->visitor.conn);
    s->options = (struct smtp_server_options){
        .kind = is_lmtp         ? SMTP_LMTP
                : is_submission ? SMTP_SUBMISSION
                                : SMTP_MX,
        .hostname = s->visitor.live->conf->hostname,
        .greeting = STR("Eilbote"),
        /* The mail server that took the message has added its trace fields since. */
        .size_limit = (uint64_t)limits->message_size_bytes + (is_lmtp ? LMTP_SIZE_MORE : 0),
        .rcpt_limit = (uint32_t)limits->recipient_max,
        .mail_limit = is_lmtp ? 0 : (uint32_t)limits->connection_message_max,
        .line_limit = (uint32_t)limits->line_size_bytes,
        .command_limit = (uint32_t)limits->command_size_bytes,
        .error_limit = (uint32_t)limits->connection_error_max,
        .is_bad_rcpt_error = role == CONF_ROLE_MX && !s->visitor.is_trusted,
        .auth_failure_limit = 3,
        .auth_mechanisms = is_submission && is_tls ? str_from(auth_mechanisms_tls) : STR_NONE,
        .is_auth_required = is_submission && !s->visitor.is_trusted,
        .has_starttls =
            s->visitor.listener->tls == CONF_TLS_STARTTLS && s->visitor.live->server_tls,
        .is_tls_required = is_submission && s->visitor.listener->tls == CONF_TLS_STARTTLS &&
                           !s->visitor.is_trusted,
        .has_smtputf8 = true,
        .has_chunking = true,
        .has_dsn = !is_lmtp,
        .has_limits = !is_lmtp,
        .has_requiretls = !is_lmtp,
        .is_asked_of_unknown = s->visitor.listener->milter_names.count > 0,
        .may_talk_early = role == CONF_ROLE_LOCAL,
    };
}

static struct fault start_tls(struct session *s)
{
    struct fault f = visitor_start_tls(&s->visitor, "smtp.tls.failed");
    if (!f.kind)
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
    event_begin(&e, s->visitor.server->log, "smtp.login");
    event_text(&e, "session", str_from(s->visitor.id));
    event_text(&e, "account", s->account);
    event_end(&e);
}

static __attribute__((noinline)) void refuse_login(struct session *s, const struct fault *f)
{
    clients_login_failed(s->visitor.server->clients, &s->visitor.ip, auth_account(s->auth),
                         &s->visitor.listener->limits);
    if (s->gate)
        gate_login_failed(s->gate, auth_account(s->auth));
    session_note_refusal(s, f);
    visitor_tell(&s->visitor, "smtp.login.failed", f);
    smtp_server_answer(&s->engine, f);
    end_auth(s);
}

static struct fault may_login(struct session *s, struct str account)
{
    struct fault f = clients_may_login(s->visitor.server->clients, &s->visitor.ip, account,
                                       &s->visitor.listener->limits);
    return f.kind || !s->gate ? f : gate_may_login(s->gate, account);
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
    struct fault allowed = may_login(s, auth_account(s->auth));
    if (step == AUTH_FAILED || allowed.kind) {
        /* Who is locked out does not learn whether this password was right. */
        refuse_login(s, allowed.kind ? &allowed : &f);
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
    struct fault f = may_login(s, STR_NONE);
    s->is_auth_done = false;
    snprintf(s->auth_mechanism, sizeof s->auth_mechanism, STR_FMT, STR_ARG(e->auth.mechanism));
    if (!f.kind)
        f = auth_start(s->visitor.server->directory, s->visitor.conn, e->auth.mechanism, &s->auth);
    if (f.kind) {
        smtp_server_answer(&s->engine, &f);
        return;
    }
    step_auth(s, e->auth.response);
}

static void answer(struct session *s, struct fault f)
{
    session_note_refusal(s, &f);
    smtp_server_answer(&s->engine, &f);
}

static struct fault greet_back(struct session *s, const struct smtp_event *e)
{
    struct fault f = session_greet_gate(s, e);
    return f.kind ? f : session_filter_helo(s, e->hello.name);
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
        answer(s, greet_back(s, e));
        return true;
    case SMTP_EVENT_MAIL:
        answer(s, s->handlers->mail(s, &e->mail));
        return true;
    case SMTP_EVENT_RCPT:
        answer(s, s->handlers->rcpt(s, &e->rcpt));
        return true;
    case SMTP_EVENT_DATA:
        answer(s, s->handlers->data(s));
        return true;
    case SMTP_EVENT_CONTENT:
        intake_add(&s->transaction.intake, e->content);
        return true;
    case SMTP_EVENT_MESSAGE: {
        bool is_good = s->handlers->message(s);
        if (is_good && s->visitor.is_ip && !s->visitor.is_known) {
            s->visitor.is_known = true;
            clients_trust(s->visitor.server->clients, &s->visitor.ip, true);
        }
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
    case SMTP_EVENT_UNKNOWN:
        answer(s, session_filter_unknown(s, e->command));
        return true;
    case SMTP_EVENT_RESET:
        session_forget(s);
        return true;
    case SMTP_EVENT_QUIT:
        return false;
    case SMTP_EVENT_CLOSE:
        visitor_tell(&s->visitor, "smtp.session.dropped", &e->reason);
        if (s->visitor.is_ip)
            clients_trust(s->visitor.server->clients, &s->visitor.ip, false);
        return false;
    }
    return false;
}

/* The answer to STARTTLS goes out in the clear, then the handshake; nothing may be in between. */
static bool upgrade(struct session *s)
{
    answer(s, FINE);
    if (conn_unread(s->visitor.conn) > 0)
        return true; /* the next feed refuses what is pending */
    if (flush(s).kind || start_tls(s).kind)
        return false;
    session_forget(s);
    smtp_server_tls_started(&s->engine);
    return true;
}

/* Counts commands against the client's allowance. */
static __attribute__((noinline)) bool is_over_limit(struct session *s)
{
    struct fault f = visitor_count_commands(&s->visitor, s->engine.line_count);
    if (!f.kind)
        return false;
    smtp_server_close(&s->engine, &f);
    visitor_tell(&s->visitor, "smtp.session.dropped", &f);
    return true;
}

/* Feeds the engine with what was read. False when the session is over. */
static bool feed(struct session *s, struct str in)
{
    struct smtp_event e;
    do {
        size_t n = smtp_server_feed(&s->engine, in, &e);
        bool goes_on = !is_over_limit(s) && handle(s, &e);
        conn_consume(s->visitor.conn, n);
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

/* What talk() calls stands apart from it where it needs room: a session that waits has one page of stack. */
static __attribute__((noinline)) void close_with(struct session *s, const struct fault *f)
{
    smtp_server_close(&s->engine, f);
    flush(s);
}

static __attribute__((noinline)) void shut_down(struct session *s)
{
    struct fault f = fault_make(421, FAULT_STATUS(4, 3, 2), "shutting down");
    close_with(s, &f);
}

static __attribute__((noinline)) void time_out(struct session *s)
{
    struct fault f = fault_make(421, FAULT_STATUS(4, 4, 2), "timed out waiting for you");
    close_with(s, &f);
}

/* When the role shuts down, a session ends as soon as it has no transaction open. */
static bool is_to_end(const struct session *s)
{
    return !s->engine.transaction.is_open && visitor_is_to_leave(&s->visitor);
}

/* Sends what is there to be sent, after it was held up as long as is due. False when the session is over: a reply that
 * has waited long enough goes out, and then nothing more. */
static __attribute__((noinline)) bool reply(struct session *s)
{
    struct fault held = session_hold_up(s);
    if (held.kind) {
        visitor_tell(&s->visitor, "smtp.session.dropped", &held);
        smtp_server_close(&s->engine, &held);
    }
    return !flush(s).kind && !held.kind;
}

/* Waits for the client and reads what it says; false when it says nothing any more. */
static __attribute__((noinline)) bool hear(struct session *s, int64_t session_end, struct str *in)
{
    const struct conf_limits *limits = &s->visitor.listener->limits;
    bool is_in_content = intake_is_open(&s->transaction.intake);
    int64_t deadline =
        visitor_deadline(is_in_content ? limits->data_timeout_ms : limits->command_timeout_ms);
    struct fault f = FINE;
    if (!is_to_end(s))
        f = visitor_wait_input(&s->visitor, deadline < session_end ? deadline : session_end);
    if (is_to_end(s)) {
        shut_down(s);
        return false;
    }
    if (!f.kind)
        f = conn_read(s->visitor.conn, deadline, in);
    if (f.kind && task_is_cancelled())
        shut_down(s);
    else if (f.kind && !conn_has_input(s->visitor.conn))
        time_out(s);
    return !f.kind && in->n > 0;
}

static void talk(struct session *s)
{
    int64_t session_end = s->visitor.started_ms + s->visitor.listener->limits.session_timeout_ms;
    struct str in = STR_NONE;
    while (reply(s) && hear(s, session_end, &in))
        if (!feed(s, in)) {
            flush(s);
            return;
        }
}

/* Nobody may speak before we have greeted. */
static __attribute__((noinline)) bool greet(struct session *s)
{
    int64_t delay = s->visitor.listener->limits.greeting_delay_ms;
    bool is_mx = s->visitor.listener->role == CONF_ROLE_MX;
    if (is_mx && !s->visitor.is_known && !s->visitor.is_trusted && delay > 0) {
        int64_t until = visitor_deadline(delay);
        while (loop_now_ms(loop_current()) < until && !conn_has_input(s->visitor.conn))
            if (conn_wait_input(s->visitor.conn, until).kind && task_is_cancelled())
                return false;
    }
    bool is_local = s->visitor.listener->role == CONF_ROLE_LOCAL;
    if (!is_local && !conn_is_tls(s->visitor.conn) && conn_has_input(s->visitor.conn)) {
        struct str in;
        struct fault f = fault_make(554, FAULT_STATUS(5, 5, 0), "you spoke before the greeting");
        if (!conn_read(s->visitor.conn, visitor_deadline(delay), &in).kind && in.n > 0) {
            visitor_tell(&s->visitor, "smtp.session.dropped", &f);
            close_with(s, &f);
        }
        return false;
    }
    smtp_server_greet(&s->engine);
    return true;
}

static __attribute__((noinline)) void leave(struct session *s)
{
    session_forget(s);
    end_auth(s);
    session_close_filters(s);
    struct event e;
    visitor_begin_event(&s->visitor, &e, "smtp.session.ended");
    event_text(&e, "helo", smtp_server_helo(&s->engine));
    if (s->gate && s->gate->client_name)
        event_text(&e, "name", str_from(s->gate->client_name));
    event_number(&e, "messages", s->engine.message_count);
    event_flag(&e, "tls", conn_is_tls(s->visitor.conn));
    event_number(&e, "ms", loop_now_ms(loop_current()) - s->visitor.started_ms);
    event_end(&e);
    smtp_server_free(&s->engine);
    gate_free(s->gate);
    visitor_close(&s->visitor);
}

static __attribute__((noinline)) void refuse(struct session *s, const struct fault *f)
{
    visitor_tell_refused(&s->visitor, "smtp.session.refused", f);
    if (f->reply == 421 || f->reply == 554)
        close_with(s, f);
}

/* True when the client may be talked to. */
static __attribute__((noinline)) bool start(struct session *s)
{
    struct fault f = visitor_enter(&s->visitor);
    if (!f.kind)
        f = session_open_gate(s);
    if (!f.kind && s->visitor.listener->tls == CONF_TLS_IMPLICIT)
        f = start_tls(s);
    set_options(s);
    smtp_server_init(&s->engine, &s->options, conn_is_tls(s->visitor.conn));
    if (!f.kind)
        f = session_open_filters(s);
    if (f.kind) {
        refuse(s, &f);
        return false;
    }
    return greet(s);
}

void session_serve(struct service *service, struct conn *c, const struct session_handlers *handlers)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->handlers = handlers;
    if (visitor_open(&s->visitor, service, c)) {
        if (start(s))
            talk(s);
        leave(s);
    }
    free(s);
}

struct str smtp_session_turn_away(const struct endpoint *peer, void *arg)
{
    visitor_tell_full(arg, peer, "smtp.session.refused");
    return STR("421 4.3.2 " VISITOR_TOO_MANY "\r\n");
}

void smtp_session_serve(struct conn *c, void *arg)
{
    session_serve(arg, c, &session_mail_handlers);
}
