/* SPDX-License-Identifier: ISC */
/*
 * smtp_server.c - the server's side of SMTP, submission and LMTP: the session
 *
 * Cuts the input into lines or content by the phase, keeps the open question and the output. A line
 * that lies whole in the input is used in place; only an incomplete one is copied.
 */
#include "proto/smtp_server.h"

#include <assert.h>

#include "proto/smtp_engine.h"
#include "proto/smtp_reply.h"

enum {
    OUTPUT_ENOUGH = 16 * 1024, /* more than that must be sent before more is consumed */
    HELO_MAX = 256,
};

static size_t output_limit(const struct smtp_server_options *options)
{
    size_t rcpt = options->rcpt_limit > 0 ? options->rcpt_limit : 1 << 20;
    return (size_t)64 * 1024 + rcpt * SMTP_REPLY_LINE_MAX;
}

void smtp_server_init(struct smtp_server *s, const struct smtp_server_options *options, bool is_tls)
{
    *s = (struct smtp_server){
        .options = options,
        .line = buf_make(SMTP_AUTH_LINE_MAX + 1),
        .output = buf_make(output_limit(options)),
        .helo = buf_make(HELO_MAX),
        .scratch = arena_make((size_t)64 * 1024),
        .is_tls = is_tls,
    };
    smtp_engine_reset(s);
    smtp_engine_end_group(s);
}

void smtp_server_free(struct smtp_server *s)
{
    smtp_engine_reset(s);
    arena_free(&s->scratch);
    buf_free(&s->line);
    buf_free(&s->output);
    buf_free(&s->helo);
}

void smtp_server_greet(struct smtp_server *s)
{
    const struct smtp_server_options *o = s->options;
    struct fault f =
        fault_make(220, FAULT_STATUS(0, 0, 0), STR_FMT " %s" STR_FMT STR_FMT, STR_ARG(o->hostname),
                   o->kind == SMTP_LMTP ? "LMTP" : "ESMTP",
                   STR_ARG(o->greeting.n > 0 ? STR(" ") : STR("")), STR_ARG(o->greeting));
    smtp_engine_reply(s, &f);
}

struct str smtp_server_output(const struct smtp_server *s)
{
    return buf_str(&s->output);
}

void smtp_server_sent(struct smtp_server *s, size_t n)
{
    buf_consume(&s->output, n);
    s->reply_start = n <= s->reply_start ? s->reply_start - n : SIZE_MAX;
    if (s->output.used > 0)
        return;
    buf_free(&s->output);
    if (!s->question)
        s->is_waiting = false;
}

struct str smtp_server_helo(const struct smtp_server *s)
{
    return buf_str(&s->helo);
}

bool smtp_server_is_ended(const struct smtp_server *s)
{
    return s->phase == SMTP_PHASE_ENDED;
}

size_t smtp_server_answers_wanted(const struct smtp_server *s)
{
    return s->question ? s->answers_wanted : 0;
}

void smtp_engine_say(struct smtp_server *s, unsigned code, struct fault_status status,
                     struct str text)
{
    bool fits = smtp_reply_append(&s->output, code, status, text, s->transaction.is_utf8);
    assert(fits);
}

void smtp_engine_reply(struct smtp_server *s, const struct fault *f)
{
    smtp_engine_say(s, f->reply, f->status, fault_text(f));
}

void smtp_engine_reset(struct smtp_server *s)
{
    arena_free(&s->transaction.arena);
    s->transaction = (struct smtp_transaction){.arena = arena_make(4096)};
}

void smtp_engine_refuse(struct smtp_server *s, const struct fault *f)
{
    struct smtp_transaction *t = &s->transaction;
    if (!t->refusal)
        t->refusal = arena_alloc(&t->arena, sizeof *t->refusal);
    *t->refusal = *f;
}

void smtp_engine_end_group(struct smtp_server *s)
{
    s->is_waiting = true;
    s->reply_start = s->output.used;
}

bool smtp_engine_offers_auth(const struct smtp_server *s)
{
    return s->options->auth_mechanisms.n > 0 && (s->is_tls || s->options->is_auth_in_clear);
}

void smtp_engine_ask(struct smtp_server *s, struct smtp_event *out, enum smtp_event_kind kind)
{
    out->kind = s->question = kind;
    s->answers_wanted = 1;
}

void smtp_engine_close(struct smtp_server *s, struct smtp_event *out, const struct fault *reason)
{
    if (s->phase != SMTP_PHASE_TLS && reason->reply > 0)
        smtp_engine_reply(s, reason);
    smtp_engine_end(s, out, reason);
}

void smtp_engine_end(struct smtp_server *s, struct smtp_event *out, const struct fault *reason)
{
    out->kind = SMTP_EVENT_CLOSE;
    out->reason = *reason;
    smtp_engine_reset(s);
    s->phase = SMTP_PHASE_ENDED;
}

/* Counts an error; true when it is one too many. */
static bool has_erred_enough(struct smtp_server *s)
{
    s->error_count++;
    return s->options->error_limit > 0 && s->error_count >= s->options->error_limit;
}

void smtp_engine_error(struct smtp_server *s, struct smtp_event *out, const struct fault *f)
{
    if (!has_erred_enough(s)) {
        smtp_engine_reply(s, f);
        return;
    }
    struct fault reason = fault_make(421, FAULT_STATUS(4, 7, 0), "Too many errors, closing");
    smtp_engine_close(s, out, &reason);
}

void smtp_server_close(struct smtp_server *s, const struct fault *reason)
{
    if (s->phase == SMTP_PHASE_ENDED)
        return;
    struct smtp_event ignored;
    smtp_engine_close(s, &ignored, reason);
    s->question = SMTP_EVENT_NONE;
    s->is_close_due = false;
}

void smtp_server_tls_started(struct smtp_server *s)
{
    assert(s->phase == SMTP_PHASE_TLS);
    smtp_engine_reset(s);
    arena_free(&s->scratch);
    buf_free(&s->line);
    buf_free(&s->helo);
    s->phase = SMTP_PHASE_COMMAND;
    s->is_line_used = s->is_waiting = s->is_extended = s->is_authenticated = false;
    s->is_tls = true;
}

/* A reply in the making. */
struct draft {
    unsigned code;
    struct fault_status status;
    struct str text;
};

/* The standard reply to a question for each kind of verdict. */
static struct draft usual_reply(enum smtp_event_kind question, enum fault_kind kind)
{
    bool is_auth = question == SMTP_EVENT_AUTH || question == SMTP_EVENT_AUTH_RESPONSE;
    if (kind == FAULT_LATER) {
        if (is_auth || question == SMTP_EVENT_STARTTLS)
            return (struct draft){454, {4, 7, 0}, STR("Not available now, try again later")};
        return (struct draft){451, {4, 3, 0}, STR("Local trouble, try again later")};
    }
    if (question == SMTP_EVENT_UNKNOWN)
        return (struct draft){500, {5, 5, 1}, STR("Unknown command")};
    if (kind == FAULT_NEVER) {
        if (is_auth)
            return (struct draft){535, {5, 7, 8}, STR("Authentication failed")};
        return (struct draft){550, {5, 7, 1}, STR("Refused")};
    }
    if (is_auth)
        return (struct draft){235, {2, 7, 0}, STR("Authentication succeeded")};
    if (question == SMTP_EVENT_MAIL)
        return (struct draft){250, {2, 1, 0}, STR("Sender OK")};
    if (question == SMTP_EVENT_RCPT)
        return (struct draft){250, {2, 1, 5}, STR("Recipient OK")};
    if (question == SMTP_EVENT_STARTTLS)
        return (struct draft){220, {2, 0, 0}, STR("Ready to start TLS")};
    return (struct draft){250, {2, 0, 0}, STR("Message accepted")};
}

/* The verdict with a code that suits its kind, a status that suits the code, and a text. */
static struct draft complete(enum smtp_event_kind question, const struct fault *verdict)
{
    struct draft d = usual_reply(question, verdict->kind);
    if (verdict->kind == FAULT_FINE && question == SMTP_EVENT_STARTTLS)
        return d;
    if (verdict->reply / 100 == d.code / 100) {
        d.code = verdict->reply;
        d.status = verdict->status;
        if (d.status.class == 0)
            d.status = FAULT_STATUS(0, 0, 0);
        d.status.class = (uint16_t)(d.code / 100);
    }
    if (verdict->text[0] != '\0' && !verdict->is_private)
        d.text = fault_text(verdict);
    return d;
}

static void count_success(struct smtp_server *s, enum smtp_event_kind question)
{
    if (question == SMTP_EVENT_MAIL) {
        s->transaction.is_open = true;
        s->transaction.is_utf8 = s->is_asked_utf8;
        s->transaction_count++;
    } else if (question == SMTP_EVENT_RCPT) {
        s->transaction.rcpt_count++;
    } else if (question == SMTP_EVENT_AUTH || question == SMTP_EVENT_AUTH_RESPONSE) {
        s->is_authenticated = true;
    } else if (question == SMTP_EVENT_STARTTLS) {
        s->phase = SMTP_PHASE_TLS;
    } else if (question == SMTP_EVENT_MESSAGE) {
        s->transaction.has_success = true;
    }
}

static struct fault fault_from(const struct draft *d)
{
    return fault_make(d->code, d->status, STR_FMT, STR_ARG(d->text));
}

/* Replies to any question but the accepted HELLO and DATA. */
static void reply_verdict(struct smtp_server *s, enum smtp_event_kind question,
                          const struct fault *verdict)
{
    struct draft d = complete(question, verdict);
    bool is_auth = question == SMTP_EVENT_AUTH || question == SMTP_EVENT_AUTH_RESPONSE;
    if (is_auth)
        s->phase = SMTP_PHASE_COMMAND;
    if (verdict->kind == FAULT_FINE)
        count_success(s, question);
    else if (is_auth && verdict->kind == FAULT_NEVER && smtp_auth_failed(s))
        d = (struct draft){421, {4, 7, 0}, STR("Too many failed authentications, closing")};
    else if (question == SMTP_EVENT_RCPT && verdict->kind == FAULT_NEVER &&
             s->options->is_bad_rcpt_error && has_erred_enough(s))
        d = (struct draft){421, {4, 7, 0}, STR("Too many errors, closing")};
    if (question == SMTP_EVENT_UNKNOWN && has_erred_enough(s))
        d = (struct draft){421, {4, 7, 0}, STR("Too many errors, closing")};
    smtp_engine_say(s, d.code, d.status, d.text);
    if (d.code == 421 || d.code == 521) {
        struct fault f = fault_from(&d);
        s->is_close_due = true;
        smtp_engine_refuse(s, &f);
    }
}

void smtp_server_answer(struct smtp_server *s, const struct fault *verdict)
{
    enum smtp_event_kind question = s->question;
    assert(question != SMTP_EVENT_NONE && s->answers_wanted > 0);
    s->answers_wanted--;
    if (s->answers_wanted == 0)
        s->question = SMTP_EVENT_NONE;
    bool is_fine = verdict->kind == FAULT_FINE;
    if (question == SMTP_EVENT_HELLO && is_fine) {
        smtp_verbs_greeted(s);
        return;
    }
    if (question == SMTP_EVENT_DATA && !is_fine && s->transaction.has_bdat) {
        struct draft d = complete(question, verdict);
        struct fault f = fault_from(&d);
        smtp_engine_refuse(s, &f); /* told when the announced octets are gone */
    }
    if (question == SMTP_EVENT_DATA && (is_fine || s->transaction.has_bdat)) {
        smtp_content_start(s);
        return;
    }
    reply_verdict(s, question, verdict);
    if (question == SMTP_EVENT_MESSAGE && s->answers_wanted == 0)
        smtp_content_done(s);
}

/* What an event given out before pointed to is not needed any more. */
static void forget_event(struct smtp_server *s)
{
    if (s->is_line_used)
        buf_free(&s->line);
    s->is_line_used = false;
    arena_free(&s->scratch);
}

static size_t line_limit(const struct smtp_server *s, struct str line)
{
    return s->phase == SMTP_PHASE_AUTH ? SMTP_AUTH_LINE_MAX : smtp_verbs_line_limit(s, line);
}

static void answer_long_line(struct smtp_server *s, bool is_cut, struct smtp_event *out)
{
    bool is_auth = s->is_auth_line, is_response = s->phase == SMTP_PHASE_AUTH;
    s->line_count++;
    struct fault f = fault_make(500, is_auth ? FAULT_STATUS(5, 5, 6) : FAULT_STATUS(5, 5, 2),
                                is_auth ? "Authentication line too long" : "Line too long");
    if (is_cut) {
        smtp_engine_close(s, out, &f);
        return;
    }
    s->phase = SMTP_PHASE_COMMAND;
    if (is_auth)
        smtp_engine_end_group(s);
    if (is_response)
        out->kind = SMTP_EVENT_AUTH_ABORT;
    smtp_engine_error(s, out, &f);
}

static bool ends_with_cr(struct str s)
{
    return s.n > 0 && s.p[s.n - 1] == '\r';
}

/* Notes whether the line that is too long belongs to AUTH; drains it unless its end is there. */
static void start_drain(struct smtp_server *s, struct str line, bool is_complete,
                        struct smtp_event *out)
{
    s->is_auth_line = s->phase == SMTP_PHASE_AUTH || str_starts_nocase(line, STR("AUTH "));
    s->is_drain_of_response = s->phase == SMTP_PHASE_AUTH;
    buf_free(&s->line);
    if (!is_complete)
        s->phase = SMTP_PHASE_DRAIN;
    else
        answer_long_line(s, !s->is_drain_at_cr, out);
}

static size_t drain(struct smtp_server *s, struct str in, struct smtp_event *out)
{
    size_t lf = str_index(in, '\n');
    if (lf > 0)
        s->is_drain_at_cr = ends_with_cr(str_head(in, lf));
    if (lf == in.n)
        return in.n;
    s->phase = s->is_drain_of_response ? SMTP_PHASE_AUTH : SMTP_PHASE_COMMAND;
    answer_long_line(s, !s->is_drain_at_cr, out);
    return lf + 1;
}

/* A line that is cut by a bare LF ends the session: what stands behind it may be the rest of what
 * somebody else was to say, and must not be run as a command. */
static void run_line(struct smtp_server *s, struct str line, struct smtp_event *out)
{
    bool is_response = s->phase == SMTP_PHASE_AUTH;
    bool is_cut = line.n < 2 || line.p[line.n - 2] != '\r';
    s->line_count++;
    if (is_cut || str_has(str_head(line, line.n - 2), '\r') || str_has(line, '\0')) {
        struct fault f =
            fault_make(500, FAULT_STATUS(5, 5, 2), "Lines must end with CRLF and be plain text");
        if (is_cut) {
            smtp_engine_close(s, out, &f);
            return;
        }
        s->phase = SMTP_PHASE_COMMAND;
        if (is_response) {
            smtp_engine_end_group(s);
            out->kind = SMTP_EVENT_AUTH_ABORT;
        }
        smtp_engine_error(s, out, &f);
        return;
    }
    line.n -= 2;
    if (is_response)
        smtp_auth_response(s, line, out);
    else
        smtp_verbs_run(s, line, out);
}

/* Consumes one line or what there is of it. */
static size_t feed_line(struct smtp_server *s, struct str in, struct smtp_event *out)
{
    forget_event(s);
    size_t n = str_index(in, '\n');
    bool is_complete = n < in.n;
    n += is_complete;
    struct str line = str_head(in, n), piece = str_head(in, n - is_complete);
    s->is_drain_at_cr = ends_with_cr(piece.n > 0 ? piece : buf_str(&s->line));
    if (!is_complete || s->line.used > 0) {
        bool fits = buf_append(&s->line, str_head(line, s->line.limit - s->line.used));
        assert(fits);
        line = buf_str(&s->line);
    }
    if (line.n > SMTP_COMMAND_MAX && line.n > line_limit(s, line)) {
        start_drain(s, line, is_complete, out);
    } else if (is_complete) {
        s->is_line_used = s->line.used > 0;
        run_line(s, line, out);
    }
    return n;
}

/* Octets that came before the reply they depend on: they take that reply's place with 554. */
static void close_early_talker(struct smtp_server *s, struct smtp_event *out)
{
    struct fault f = fault_make(554, FAULT_STATUS(5, 5, 0), "You must wait for the reply");
    if (s->reply_start < s->output.used)
        s->output.used = s->reply_start;
    smtp_engine_close(s, out, &f);
}

static bool is_reply_awaited(const struct smtp_server *s)
{
    return s->options->may_talk_early && s->is_waiting && s->phase != SMTP_PHASE_ENDED &&
           s->phase != SMTP_PHASE_TLS;
}

static size_t step(struct smtp_server *s, struct str in, struct smtp_event *out)
{
    if (s->phase != SMTP_PHASE_ENDED && (s->is_waiting || s->phase == SMTP_PHASE_TLS)) {
        if (s->phase == SMTP_PHASE_TLS && s->is_waiting)
            s->phase =
                SMTP_PHASE_COMMAND; /* the 220 has not left yet: an answer in clear is right */
        close_early_talker(s, out);
        return in.n;
    }
    switch ((enum smtp_phase)s->phase) {
    case SMTP_PHASE_DRAIN:
        return drain(s, in, out);
    case SMTP_PHASE_DATA:
    case SMTP_PHASE_BDAT:
        forget_event(s);
        return smtp_content_feed(s, in, out);
    case SMTP_PHASE_COMMAND:
    case SMTP_PHASE_AUTH:
        return feed_line(s, in, out);
    case SMTP_PHASE_TLS:
    case SMTP_PHASE_ENDED:
        break;
    }
    return in.n;
}

size_t smtp_server_feed(struct smtp_server *s, struct str in, struct smtp_event *out)
{
    *out = (struct smtp_event){.kind = SMTP_EVENT_NONE};
    if (s->question)
        return 0;
    if (s->is_close_due) {
        out->kind = SMTP_EVENT_CLOSE;
        out->reason = *s->transaction.refusal;
        s->is_close_due = false;
        s->phase = SMTP_PHASE_ENDED;
        smtp_engine_reset(s);
        return in.n;
    }
    size_t used = 0;
    while (out->kind == SMTP_EVENT_NONE) {
        if (s->phase == SMTP_PHASE_BDAT && s->transaction.chunk_left == 0)
            smtp_content_finish_chunk(s, out);
        else if (used < in.n && s->output.used < OUTPUT_ENOUGH && !is_reply_awaited(s))
            used += step(s, str_skip(in, used), out);
        else
            break;
    }
    return used;
}
