/* SPDX-License-Identifier: ISC */
/*
 * pop3_session.c - one connection to the POP3 and POP3S listeners (RFC 1939, 2595, 5034)
 *
 * A straight line like smtp_session.c: enter, then read, feed the engine, act on its events, write
 * what it wants to say. Messages are removed in one place, at QUIT, and durably before it is
 * answered; a session that ends otherwise removes nothing.
 */
#include "serve/pop3_session.h"

#include <stdlib.h>

#include "net/loop.h"
#include "net/task.h"
#include "proto/pop3_server.h"
#include "serve/auth.h"
#include "serve/visitor.h"
#include "store/maildrop.h"

enum {
    IDLE_LEAST_MS = 600000, /* RFC 1939 section 3: at least 10 minutes */
    CHALLENGE_MAX = 16384,
    PIECE = POP3_CONTENT_MAX,
    READ_BYTES = 4 * PIECE,
};

struct pop3_session {
    struct visitor visitor;
    struct pop3_server engine;
    struct pop3_server_options options;
    struct auth *auth;
    bool is_auth_done; /* the last server message is out; its answer ends the login */
    struct maildrop *drop;
    struct pop3_message *message;
    size_t message_count;
    int64_t retrieved, removed;
    char account[320];
};

static int64_t patience_ms(const struct pop3_session *s)
{
    int64_t ms = s->visitor.listener->limits.command_timeout_ms;
    return ms > IDLE_LEAST_MS ? ms : IDLE_LEAST_MS;
}

static struct fault write_all(struct pop3_session *s, struct str text)
{
    return conn_write(s->visitor.conn, &text, 1, visitor_deadline(patience_ms(s)));
}

static struct fault flush(struct pop3_session *s)
{
    struct str output = pop3_server_output(&s->engine);
    if (output.n == 0)
        return FINE;
    struct fault f = write_all(s, output);
    if (!f.kind)
        pop3_server_sent(&s->engine, output.n);
    return f;
}

static void set_options(struct pop3_session *s)
{
    const struct conf_listener *l = s->visitor.listener;
    bool is_tls = conn_is_tls(s->visitor.conn);
    s->options = (struct pop3_server_options){
        .has_stls = l->tls == CONF_TLS_STARTTLS && s->visitor.live->server_tls,
        .may_clear_auth = l->clear_auth,
        .mechanisms = str_from(is_tls ? auth_mechanisms_tls : auth_mechanisms_clear),
        .error_max = (unsigned)l->limits.connection_error_max,
    };
}

static void end_auth(struct pop3_session *s)
{
    auth_free(s->auth);
    s->auth = NULL;
    s->is_auth_done = false;
}

static void tell_login(const struct pop3_session *s, const char *name, struct str account,
                       const struct fault *f)
{
    struct event e;
    visitor_begin_event(&s->visitor, &e, name);
    event_text(&e, "account", account);
    event_flag(&e, "tls", conn_is_tls(s->visitor.conn));
    if (f)
        event_fault(&e, f);
    else
        event_number(&e, "messages", (int64_t)s->message_count);
    event_end(&e);
}

static enum pop3_refusal refusal_for(const struct fault *f)
{
    if (f->reply == 450)
        return POP3_REFUSE_IN_USE;
    if (f->reply == 535 || f->reply == 504)
        return POP3_REFUSE_AUTH;
    return f->kind == FAULT_NEVER ? POP3_REFUSE_PERMANENT : POP3_REFUSE_TEMPORARY;
}

static __attribute__((noinline)) void refuse_login(struct pop3_session *s, struct str account,
                                                   const struct fault *f)
{
    if (f->reply == 535)
        clients_login_failed(s->visitor.server->clients, &s->visitor.ip, account,
                             &s->visitor.listener->limits);
    tell_login(s, "pop3.login.failed", account, f);
    pop3_server_refuse(&s->engine, refusal_for(f));
}

/* The table that the engine works on. */
static void take_list(struct pop3_session *s)
{
    const struct index_row *row = maildrop_rows(s->drop, &s->message_count);
    s->message = calloc(s->message_count + 1, sizeof *s->message);
    if (!s->message)
        abort();
    for (size_t i = 0; i < s->message_count; i++)
        s->message[i] = (struct pop3_message){.size_bytes = row[i].size_bytes, .uid = row[i].uid};
}

/* The client has proved who it is: opens its maildrop. */
static __attribute__((noinline)) void finish_login(struct pop3_session *s, struct str name)
{
    struct str login = str_head(name, sizeof s->account - 1);
    for (size_t i = 0; i < login.n; i++)
        s->account[i] = str_lower_byte(login.p[i]);
    struct str account = str_make(s->account, login.n);
    struct fault f = server_await_charge(s->visitor.server);
    if (!f.kind)
        f = maildrop_open(s->visitor.server->store, account, &s->drop);
    if (f.kind) {
        refuse_login(s, account, &f);
        return;
    }
    take_list(s);
    tell_login(s, "pop3.login", account, NULL);
    pop3_server_open(&s->engine, s->message, s->message_count, maildrop_uid_validity(s->drop));
}

static struct fault may_login(const struct pop3_session *s, struct str account)
{
    return clients_may_login(s->visitor.server->clients, &s->visitor.ip, account,
                             &s->visitor.listener->limits);
}

/* USER and PASS. */
static __attribute__((noinline)) void login(struct pop3_session *s, const struct pop3_event *e)
{
    struct fault f = may_login(s, e->user);
    if (!f.kind)
        f = auth_check(s->visitor.server->directory, e->user, e->password);
    if (f.kind)
        refuse_login(s, e->user, &f);
    else
        finish_login(s, e->user);
}

/* One step of a SASL login: a challenge, or the verdict. */
static __attribute__((noinline)) void step_auth(struct pop3_session *s, struct str response)
{
    struct buf challenge = buf_make(CHALLENGE_MAX);
    struct fault f = FINE;
    enum auth_step step = AUTH_DONE;
    if (!s->is_auth_done) {
        step = auth_step(s->auth, response, &challenge, &f);
        struct fault allowed = may_login(s, auth_account(s->auth));
        if (allowed.kind) { /* whether this password was right is not told either */
            step = AUTH_FAILED;
            f = allowed;
        }
    }
    if (step == AUTH_FAILED) {
        refuse_login(s, auth_account(s->auth), &f);
        end_auth(s);
    } else if (step == AUTH_DONE && challenge.used == 0) {
        finish_login(s, auth_account(s->auth));
        end_auth(s);
    } else {
        /* The last server message of SCRAM goes out as a challenge with an empty answer. */
        s->is_auth_done = step == AUTH_DONE;
        pop3_server_challenge(&s->engine, buf_str(&challenge));
    }
    buf_free(&challenge);
}

static __attribute__((noinline)) void begin_auth(struct pop3_session *s, const struct pop3_event *e)
{
    end_auth(s);
    struct fault f = may_login(s, STR_NONE);
    if (!f.kind)
        f = auth_start(s->visitor.server->directory, s->visitor.conn, e->mechanism, &s->auth);
    if (f.kind)
        refuse_login(s, STR_NONE, &f);
    else
        step_auth(s, e->data);
}

/* The answer goes out in the clear, then the handshake. False when the session is over. */
static bool upgrade(struct pop3_session *s)
{
    if (flush(s).kind || conn_unread(s->visitor.conn) > 0 ||
        visitor_start_tls(&s->visitor, "pop3.tls.failed").kind)
        return false;
    set_options(s);
    end_auth(s);
    pop3_server_tls_started(&s->engine);
    return true;
}

/* Sends what was read of a message. False when no more is wanted, or the stream is broken. */
static bool send_pieces(struct pop3_session *s, struct str text, struct fault *f)
{
    while (text.n > 0) {
        struct str piece = str_head(text, PIECE);
        text = str_skip(text, piece.n);
        bool goes_on = pop3_server_content(&s->engine, piece);
        *f = flush(s);
        if (!goes_on || f->kind)
            return false;
    }
    return true;
}

/* Sends a message, or its top. False when the session is over: half a message has no other end. */
static __attribute__((noinline)) bool send_message(struct pop3_session *s, size_t place)
{
    char *memory = malloc(READ_BYTES);
    if (!memory)
        abort();
    struct fault f = FINE;
    size_t got = READ_BYTES;
    bool has_begun = false;
    for (int64_t at = 0; got == READ_BYTES; at += (int64_t)got) {
        f = maildrop_read(s->drop, place, at, memory, READ_BYTES, &got);
        if (f.kind || !send_pieces(s, str_make(memory, got), &f))
            break;
        has_begun = true;
    }
    free(memory);
    if (f.kind) {
        visitor_tell(&s->visitor, "pop3.message.failed", &f);
        if (has_begun)
            return false;
        pop3_server_refuse(&s->engine, POP3_REFUSE_TEMPORARY);
        return true;
    }
    pop3_server_content_end(&s->engine);
    s->retrieved++;
    return true;
}

static __attribute__((noinline)) void update(struct pop3_session *s)
{
    size_t *places = calloc(s->message_count + 1, sizeof *places);
    size_t count = 0;
    if (!places)
        abort();
    for (size_t i = 0; i < s->message_count; i++)
        if (s->message[i].is_deleted)
            places[count++] = i;
    struct fault f = maildrop_remove(s->drop, places, count);
    free(places);
    if (f.kind)
        visitor_tell(&s->visitor, "pop3.update.failed", &f);
    else
        s->removed = (int64_t)count;
    /* Who hears the answer may come again at once. */
    maildrop_close(s->drop);
    s->drop = NULL;
    pop3_server_updated(&s->engine, !f.kind);
}

/* Acts on one event. False when the session is over. */
static __attribute__((noinline)) bool handle(struct pop3_session *s, const struct pop3_event *e)
{
    switch (e->kind) {
    case POP3_MORE:
        return true;
    case POP3_LOGIN:
        login(s, e);
        return true;
    case POP3_AUTH:
        begin_auth(s, e);
        return true;
    case POP3_AUTH_RESPONSE:
        step_auth(s, e->data);
        return true;
    case POP3_STLS:
        return upgrade(s);
    case POP3_CONTENT:
        return send_message(s, e->index);
    case POP3_UPDATE:
        update(s);
        return true;
    case POP3_CLOSE:
        return false;
    }
    return false;
}

static __attribute__((noinline)) bool is_over_limit(struct pop3_session *s)
{
    struct fault f = visitor_count_commands(&s->visitor, s->engine.line_count);
    if (!f.kind)
        return false;
    visitor_tell(&s->visitor, "pop3.session.dropped", &f);
    flush(s);
    write_all(s, STR("-ERR [SYS/TEMP] too many commands, try again in a minute\r\n"));
    return true;
}

/* Feeds the engine with what is unread. False when the session is over. */
static bool feed(struct pop3_session *s, struct str in)
{
    struct pop3_event e;
    bool is_stuck;
    do {
        size_t n = pop3_server_feed(&s->engine, in, &e);
        in = str_skip(in, n);
        is_stuck = n == 0 && e.kind == POP3_MORE && pop3_server_output(&s->engine).n == 0;
        /* What an event points to may be among the bytes; TLS wants them gone. */
        if (e.kind == POP3_STLS)
            conn_consume(s->visitor.conn, n);
        bool goes_on = !is_over_limit(s) && handle(s, &e);
        if (e.kind != POP3_STLS)
            conn_consume(s->visitor.conn, n);
        if (!goes_on)
            return false;
        if (e.kind == POP3_MORE && (n == 0 || in.n == 0) && flush(s).kind)
            return false;
    } while (!is_stuck);
    return true;
}

static void close_with(struct pop3_session *s, struct str line)
{
    flush(s);
    write_all(s, line);
}

static void talk(struct pop3_session *s)
{
    int64_t end = s->visitor.started_ms + s->visitor.listener->limits.session_timeout_ms;
    struct str in = STR_NONE;
    while (feed(s, in)) {
        int64_t deadline = visitor_deadline(patience_ms(s));
        struct fault f = visitor_wait_input(&s->visitor, deadline < end ? deadline : end);
        if (visitor_is_to_leave(&s->visitor) || (f.kind && task_is_cancelled())) {
            close_with(s, STR("-ERR [SYS/TEMP] shutting down\r\n"));
            return;
        }
        if (f.kind) {
            close_with(s, STR("-ERR [SYS/TEMP] timed out waiting for you\r\n"));
            return;
        }
        if (conn_read(s->visitor.conn, deadline, &in).kind || in.n == 0)
            return;
    }
    flush(s);
}

static __attribute__((noinline)) void leave(struct pop3_session *s)
{
    struct event e;
    maildrop_close(s->drop);
    end_auth(s);
    visitor_begin_event(&s->visitor, &e, "pop3.session.ended");
    if (s->message)
        event_text(&e, "account", str_from(s->account));
    event_number(&e, "messages", (int64_t)s->message_count);
    event_number(&e, "retrieved", s->retrieved);
    event_number(&e, "removed", s->removed);
    event_flag(&e, "tls", conn_is_tls(s->visitor.conn));
    event_number(&e, "ms", loop_now_ms(loop_current()) - s->visitor.started_ms);
    event_end(&e);
    free(s->message);
    visitor_close(&s->visitor);
}

#define NOT_NOW "-ERR [SYS/TEMP] not now, try again later\r\n"

struct str pop3_session_turn_away(const struct endpoint *peer, void *arg)
{
    visitor_tell_full(arg, peer, "pop3.session.refused");
    return STR(NOT_NOW);
}

static void serve(struct pop3_session *s)
{
    struct fault f = visitor_enter(&s->visitor);
    if (!f.kind && s->visitor.listener->tls == CONF_TLS_IMPLICIT &&
        visitor_start_tls(&s->visitor, "pop3.tls.failed").kind)
        return;
    if (f.kind) {
        visitor_tell_refused(&s->visitor, "pop3.session.refused", &f);
        if (f.reply == 421)
            write_all(s, STR(NOT_NOW));
        return;
    }
    set_options(s);
    pop3_server_init(&s->engine, &s->options, conn_is_tls(s->visitor.conn));
    talk(s);
    pop3_server_free(&s->engine);
}

void pop3_session_serve(struct conn *c, void *arg)
{
    struct pop3_session *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    if (visitor_open(&s->visitor, arg, c)) {
        serve(s);
        leave(s);
    }
    free(s);
}
