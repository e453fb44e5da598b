/* SPDX-License-Identifier: ISC */
/*
 * smtp_client.c - the client's side of SMTP and LMTP, without I/O (RFC 5321, 2033, 2920, 3030)
 *
 * Two cursors run over the same ordered steps: what has been said, and what has been answered. The
 * steps between them are the ring of expected replies. A server that pipelines lets the first
 * cursor run ahead to DATA, and past the body to the next message; with one that does not, each
 * reply lets it go one step on.
 */
#include "proto/smtp_client.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/dialogue.h"
#include "proto/smtp_capability.h"
#include "proto/smtp_reply.h"

enum command {
    COMMAND_GREETING,
    COMMAND_EHLO,
    COMMAND_HELO,
    COMMAND_STARTTLS,
    COMMAND_AUTH,
    COMMAND_MAIL,
    COMMAND_RCPT,
    COMMAND_DATA,
    COMMAND_FINAL, /* the reply or, in LMTP, replies to the body */
    COMMAND_RSET,
    COMMAND_QUIT
};

static const struct {
    const char *name;
    enum smtp_client_step step;
} commands[] = {
    [COMMAND_GREETING] = {"greeting", SMTP_CLIENT_STEP_GREETING},
    [COMMAND_EHLO] = {"EHLO", SMTP_CLIENT_STEP_HELLO},
    [COMMAND_HELO] = {"HELO", SMTP_CLIENT_STEP_HELLO},
    [COMMAND_STARTTLS] = {"STARTTLS", SMTP_CLIENT_STEP_HELLO},
    [COMMAND_AUTH] = {"AUTH", SMTP_CLIENT_STEP_HELLO},
    [COMMAND_MAIL] = {"MAIL", SMTP_CLIENT_STEP_MAIL},
    [COMMAND_RCPT] = {"RCPT", SMTP_CLIENT_STEP_RCPT},
    [COMMAND_DATA] = {"DATA", SMTP_CLIENT_STEP_DATA},
    [COMMAND_FINAL] = {"end of data", SMTP_CLIENT_STEP_END},
    [COMMAND_RSET] = {"RSET", SMTP_CLIENT_STEP_HELLO},
    [COMMAND_QUIT] = {"QUIT", SMTP_CLIENT_STEP_HELLO},
};

enum { LINE_MAX_BYTES = 4096, REPLY_MAX_BYTES = 2048, REPLY_MAX_LINES = 100 };

static void say_expecting(struct smtp_client *c, enum command command, uint32_t index,
                          struct smtp_client_mail *mail)
{
    if (c->expect_count == c->expect_size) {
        size_t size = c->expect_size ? c->expect_size * 2 : 8;
        struct smtp_client_expect *grown = malloc(size * sizeof *grown);
        if (!grown)
            abort();
        for (size_t i = 0; i < c->expect_count; i++)
            grown[i] = c->expect[(c->expect_first + i) % c->expect_size];
        free(c->expect);
        c->expect = grown;
        c->expect_first = 0;
        c->expect_size = size;
    }
    c->expect[(c->expect_first + c->expect_count++) % c->expect_size] =
        (struct smtp_client_expect){(uint8_t)command, index, mail};
}

static const struct smtp_client_expect *expected(const struct smtp_client *c)
{
    return c->expect_count ? &c->expect[c->expect_first] : NULL;
}

static struct smtp_client_expect pop_expected(struct smtp_client *c)
{
    struct smtp_client_expect e = c->expect[c->expect_first];
    c->expect_first = (c->expect_first + 1) % c->expect_size;
    c->expect_count--;
    return e;
}

/* Appends a command line that may be shown to people. */
static void say_line(struct smtp_client *c, size_t start)
{
    dialogue_note(&c->dialogue, "C: ", str_skip(buf_str(&c->out), start));
    buf_append(&c->out, STR("\r\n"));
}

static void say(struct smtp_client *c, struct str text)
{
    size_t start = c->out.used;
    buf_append(&c->out, text);
    say_line(c, start);
}

static void say_hello(struct smtp_client *c, enum command command)
{
    size_t start = c->out.used;
    struct str verb = c->options->is_lmtp       ? STR("LHLO ")
                      : command == COMMAND_EHLO ? STR("EHLO ")
                                                : STR("HELO ");
    buf_append(&c->out, verb);
    buf_append(&c->out, c->options->hello_name);
    say_line(c, start);
    say_expecting(c, command, 0, NULL);
}

void smtp_client_init(struct smtp_client *c, const struct smtp_client_options *options)
{
    *c = (struct smtp_client){.options = options,
                              .out = buf_make(1 << 20),
                              .line = buf_make(LINE_MAX_BYTES),
                              .reply = buf_make(REPLY_MAX_BYTES),
                              .dialogue = buf_make(SMTP_CLIENT_DIALOGUE_MAX),
                              .challenge = buf_make(LINE_MAX_BYTES)};
    say_expecting(c, COMMAND_GREETING, 0, NULL);
}

void smtp_client_free(struct smtp_client *c)
{
    buf_free(&c->out);
    buf_free(&c->line);
    buf_free(&c->reply);
    buf_free(&c->dialogue);
    buf_free(&c->challenge);
    free(c->expect);
    c->expect = NULL;
    c->expect_count = c->expect_size = 0;
}

struct str smtp_client_output(const struct smtp_client *c)
{
    return buf_str(&c->out);
}

void smtp_client_sent(struct smtp_client *c, size_t n)
{
    buf_consume(&c->out, n);
}

size_t smtp_client_outstanding(const struct smtp_client *c)
{
    return c->expect_count;
}

enum smtp_client_step smtp_client_step(const struct smtp_client *c)
{
    const struct smtp_client_expect *e = expected(c);
    return e ? commands[e->command].step : SMTP_CLIENT_STEP_NONE;
}

const char *smtp_client_step_name(const struct smtp_client *c)
{
    const struct smtp_client_expect *e = expected(c);
    return e ? commands[e->command].name : "no command";
}

void smtp_client_starttls(struct smtp_client *c)
{
    say(c, STR("STARTTLS"));
    say_expecting(c, COMMAND_STARTTLS, 0, NULL);
}

void smtp_client_tls_started(struct smtp_client *c)
{
    c->capabilities = 0;
    c->size_limit = 0;
    c->rcpt_max = c->mail_max = 0;
    buf_free(&c->line);
    dialogue_note(&c->dialogue, "", STR("(TLS)"));
    say_hello(c, COMMAND_EHLO);
}

void smtp_client_auth(struct smtp_client *c, const char *mechanism, const struct str *initial)
{
    buf_append(&c->out, STR("AUTH "));
    buf_append(&c->out, str_from(mechanism));
    if (initial) {
        buf_append(&c->out, STR(" "));
        buf_append(&c->out, initial->n ? *initial : STR("="));
    }
    buf_append(&c->out, STR("\r\n"));
    dialogue_note(&c->dialogue, "C: AUTH ", str_from(mechanism));
    say_expecting(c, COMMAND_AUTH, 0, NULL);
}

void smtp_client_auth_response(struct smtp_client *c, struct str base64)
{
    buf_append(&c->out, base64);
    buf_append(&c->out, STR("\r\n"));
    dialogue_note(&c->dialogue, "C: ", STR("(response)"));
    say_expecting(c, COMMAND_AUTH, 0, NULL);
}

void smtp_client_quit(struct smtp_client *c)
{
    say(c, STR("QUIT"));
    say_expecting(c, COMMAND_QUIT, 0, NULL);
}

static bool has(const struct smtp_client *c, unsigned capability)
{
    return (c->capabilities & capability) != 0;
}

bool smtp_client_is_chunked(const struct smtp_client *c)
{
    return c->options->may_chunk && has(c, SMTP_HAS_CHUNKING) && has(c, SMTP_HAS_PIPELINING);
}

static void say_mail(struct smtp_client *c, struct smtp_client_mail *m)
{
    size_t start = c->out.used;
    buf_append(&c->out, STR("MAIL FROM:<"));
    buf_append(&c->out, m->sender);
    buf_append(&c->out, STR(">"));
    if (has(c, SMTP_HAS_SIZE)) {
        buf_append(&c->out, STR(" SIZE="));
        buf_append_number(&c->out, (int64_t)m->size_bytes);
    }
    if (m->is_8bit && has(c, SMTP_HAS_8BITMIME))
        buf_append(&c->out, STR(" BODY=8BITMIME"));
    if (m->is_utf8)
        buf_append(&c->out, STR(" SMTPUTF8"));
    if (m->is_tls_required && has(c, SMTP_HAS_REQUIRETLS))
        buf_append(&c->out, STR(" REQUIRETLS"));
    if (has(c, SMTP_HAS_DSN) && m->ret.n > 0) {
        buf_append(&c->out, STR(" RET="));
        buf_append(&c->out, m->ret);
    }
    if (has(c, SMTP_HAS_DSN) && m->envid.n > 0) {
        buf_append(&c->out, STR(" ENVID="));
        buf_append(&c->out, m->envid);
    }
    say_line(c, start);
    say_expecting(c, COMMAND_MAIL, 0, m);
}

static void say_rcpt(struct smtp_client *c, struct smtp_client_mail *m, uint32_t index)
{
    const struct smtp_client_rcpt *r = &m->rcpt[index];
    size_t start = c->out.used;
    buf_append(&c->out, STR("RCPT TO:<"));
    buf_append(&c->out, r->path);
    buf_append(&c->out, STR(">"));
    if (has(c, SMTP_HAS_DSN) && r->notify.n > 0) {
        buf_append(&c->out, STR(" NOTIFY="));
        buf_append(&c->out, r->notify);
    }
    if (has(c, SMTP_HAS_DSN) && r->orcpt.n > 0) {
        buf_append(&c->out, STR(" ORCPT="));
        buf_append(&c->out, r->orcpt);
    }
    say_line(c, start);
    say_expecting(c, COMMAND_RCPT, index, m);
}

static void say_data(struct smtp_client *c, struct smtp_client_mail *m)
{
    say(c, STR("DATA"));
    say_expecting(c, COMMAND_DATA, 0, m);
}

static void say_bdat(struct smtp_client *c, struct smtp_client_mail *m)
{
    size_t start = c->out.used;
    buf_append(&c->out, STR("BDAT "));
    buf_append_number(&c->out, (int64_t)m->size_bytes);
    buf_append(&c->out, STR(" LAST"));
    say_line(c, start);
    assert(c->due == SMTP_CLIENT_MORE);
    c->due = SMTP_CLIENT_BODY;
    c->due_mail = m;
}

bool smtp_client_may_begin(const struct smtp_client *c)
{
    if (c->is_broken || c->due != SMTP_CLIENT_MORE ||
        c->mails_under_way >= SMTP_CLIENT_PIPELINE_MAX)
        return false;
    const struct smtp_client_expect *e = expected(c);
    if (!e)
        return true;
    return has(c, SMTP_HAS_PIPELINING) && c->expect_count == 1 && e->command == COMMAND_FINAL;
}

void smtp_client_begin(struct smtp_client *c, struct smtp_client_mail *m)
{
    assert(smtp_client_may_begin(c) && m->rcpt_count > 0);
    if (c->expect_count == 0)
        c->dialogue.used = 0;
    m->accepted_count = m->final_count = 0;
    m->is_failed = false;
    m->mail_fault = FINE;
    c->mails_under_way++;
    say_mail(c, m);
    if (!has(c, SMTP_HAS_PIPELINING))
        return;
    for (size_t i = 0; i < m->rcpt_count; i++)
        say_rcpt(c, m, (uint32_t)i);
    if (smtp_client_is_chunked(c))
        say_bdat(c, m);
    else
        say_data(c, m);
}

void smtp_client_body_sent(struct smtp_client *c, struct smtp_client_mail *m)
{
    dialogue_note(&c->dialogue, "C: ", STR("(message)"));
    say_expecting(c, COMMAND_FINAL, 0, m);
}

/* The reply just read as a fault: code, enhanced code where its class fits, text. */
static struct fault reply_fault(const struct smtp_client *c)
{
    struct fault_status status = {0};
    struct str text = buf_str(&c->reply), rest;
    if (fault_status_parse(text, &status, &rest) && status.class == c->reply_code / 100)
        text = rest;
    else
        status = (struct fault_status){0};
    struct fault f = fault_make(c->reply_code, status, STR_FMT, STR_ARG(text));
    f.is_answer = true;
    return f;
}

static enum smtp_client_event_kind after_hello(struct smtp_client *c, enum command command,
                                               struct smtp_client_event *out)
{
    if (c->reply_code / 100 == 2)
        return SMTP_CLIENT_READY;
    c->capabilities = 0;
    /* Only a server that does not know EHLO is asked again with HELO. */
    bool is_unknown = c->reply_code == 500 || c->reply_code == 502;
    if (command == COMMAND_EHLO && is_unknown && !c->options->is_lmtp) {
        say_hello(c, COMMAND_HELO);
        return SMTP_CLIENT_MORE;
    }
    out->fault = reply_fault(c);
    return SMTP_CLIENT_REFUSED;
}

/* The message has ended without a body; the server may still hold the transaction. */
static enum smtp_client_event_kind give_up(struct smtp_client *c, struct smtp_client_mail *m,
                                           bool needs_reset, struct smtp_client_event *out)
{
    if (needs_reset) {
        say(c, STR("RSET"));
        say_expecting(c, COMMAND_RSET, 0, NULL);
    }
    c->mails_under_way--;
    out->mail = m;
    out->fault = m->mail_fault;
    return SMTP_CLIENT_DONE;
}

static enum smtp_client_event_kind after_mail(struct smtp_client *c, struct smtp_client_mail *m,
                                              struct smtp_client_event *out)
{
    if (c->reply_code / 100 != 2)
        m->mail_fault = reply_fault(c);
    if (has(c, SMTP_HAS_PIPELINING))
        return SMTP_CLIENT_MORE;
    if (m->mail_fault.kind)
        return give_up(c, m, false, out);
    say_rcpt(c, m, 0);
    return SMTP_CLIENT_MORE;
}

/* The message ends with the next feed: this one's event is about a recipient. */
static void finish_later(struct smtp_client *c, struct smtp_client_mail *m)
{
    c->due = SMTP_CLIENT_DONE;
    c->due_mail = m;
}

static enum smtp_client_event_kind after_rcpt(struct smtp_client *c, struct smtp_client_mail *m,
                                              uint32_t index, struct smtp_client_event *out)
{
    if (m->mail_fault.kind)
        return SMTP_CLIENT_MORE;
    out->mail = m;
    out->index = index;
    if (c->reply_code / 100 != 2)
        out->fault = reply_fault(c);
    if (c->reply_code / 100 == 2) {
        m->is_accepted[index] = 1;
        m->accepted_count++;
    }
    if (!has(c, SMTP_HAS_PIPELINING)) {
        if (index + 1 < m->rcpt_count)
            say_rcpt(c, m, index + 1);
        else if (m->accepted_count > 0)
            say_data(c, m);
        else
            finish_later(c, m);
    }
    return SMTP_CLIENT_RCPT;
}

static enum smtp_client_event_kind after_data(struct smtp_client *c, struct smtp_client_mail *m,
                                              struct smtp_client_event *out)
{
    if (c->reply_code / 100 != 3) {
        if (!m->mail_fault.kind && m->accepted_count > 0)
            m->mail_fault = reply_fault(c);
        return give_up(c, m, true, out);
    }
    out->mail = m;
    if (m->accepted_count > 0)
        return SMTP_CLIENT_BODY;
    /* Nobody is left to send to, yet the server waits (RFC 2920 section 3.1): end it at once. */
    m->is_failed = true;
    say(c, STR("."));
    say_expecting(c, COMMAND_FINAL, 0, m);
    return SMTP_CLIENT_MORE;
}

static size_t accepted_at(const struct smtp_client_mail *m, size_t number)
{
    for (size_t i = 0; i < m->rcpt_count; i++)
        if (m->is_accepted[i] && number-- == 0)
            return i;
    return m->rcpt_count;
}

static enum smtp_client_event_kind after_final(struct smtp_client *c, struct smtp_client_mail *m,
                                               struct smtp_client_event *out)
{
    out->mail = m;
    out->fault = reply_fault(c);
    /* Where nobody was accepted, LMTP answers a chunk once, too: to say so. */
    if (c->options->is_lmtp && m->accepted_count > 0) {
        out->index = accepted_at(m, m->final_count++);
        if (m->final_count == m->accepted_count)
            finish_later(c, m);
        return SMTP_CLIENT_RCPT;
    }
    c->mails_under_way--;
    /* What the server says of a chunk behind a refused MAIL, or for nobody, is not its result. */
    if (m->is_failed || m->mail_fault.kind || m->accepted_count == 0)
        out->fault = m->mail_fault;
    return SMTP_CLIENT_DONE;
}

static enum smtp_client_event_kind broken(struct smtp_client *c, struct smtp_client_event *out,
                                          struct fault f)
{
    c->is_broken = true;
    out->fault = f;
    return SMTP_CLIENT_BROKEN;
}

static enum smtp_client_event_kind after_auth(struct smtp_client *c, struct smtp_client_event *out)
{
    if (c->reply_code == 334) {
        c->challenge.used = 0;
        buf_append(&c->challenge, buf_str(&c->reply));
        out->data = buf_str(&c->challenge);
        return SMTP_CLIENT_CHALLENGE;
    }
    out->fault = reply_fault(c);
    return SMTP_CLIENT_AUTH;
}

/* Acts on a whole reply to the command it answers. */
static enum smtp_client_event_kind act(struct smtp_client *c, struct smtp_client_event *out)
{
    const struct smtp_client_expect e = *expected(c);
    /* LMTP answers a body once for each recipient (RFC 2033 section 4.2). */
    bool has_more = e.command == COMMAND_FINAL && c->options->is_lmtp && !e.mail->is_failed &&
                    e.mail->final_count + 1 < e.mail->accepted_count;
    if (!has_more)
        pop_expected(c);
    if (c->reply_code == 421 && e.command != COMMAND_GREETING)
        return broken(c, out, reply_fault(c));
    switch ((enum command)e.command) {
    case COMMAND_GREETING:
        if (c->reply_code / 100 == 2) {
            say_hello(c, COMMAND_EHLO);
            return SMTP_CLIENT_MORE;
        }
        out->fault = reply_fault(c);
        return SMTP_CLIENT_REFUSED;
    case COMMAND_EHLO:
    case COMMAND_HELO:
        return after_hello(c, (enum command)e.command, out);
    case COMMAND_STARTTLS:
        out->fault = reply_fault(c);
        return SMTP_CLIENT_TLS;
    case COMMAND_AUTH:
        return after_auth(c, out);
    case COMMAND_MAIL:
        return after_mail(c, e.mail, out);
    case COMMAND_RCPT:
        return after_rcpt(c, e.mail, e.index, out);
    case COMMAND_DATA:
        return after_data(c, e.mail, out);
    case COMMAND_FINAL:
        return after_final(c, e.mail, out);
    case COMMAND_RSET:
    case COMMAND_QUIT:
        return SMTP_CLIENT_MORE;
    }
    return SMTP_CLIENT_MORE;
}

/* Only DATA and AUTH are told to go on, and DATA has no other good answer. */
static bool is_answer_to(enum command command, unsigned code)
{
    if (code / 100 == 3)
        return command == COMMAND_DATA || (command == COMMAND_AUTH && code == 334);
    return code / 100 != 2 || command != COMMAND_DATA;
}

/* Takes a reply line without its end. False when it is none, or none to what was asked. */
/* The first word of the answer to the hello (RFC 5321 section 4.1.1.1). */
static void note_server_name(struct smtp_client *c, struct str text)
{
    struct str name = str_head(str_word(&text), SMTP_CLIENT_NAME_MAX - 1);
    if (name.n > 0)
        memcpy(c->server_name, name.p, name.n);
    c->server_name[name.n] = '\0';
}

static bool take_line(struct smtp_client *c, struct str line, bool *is_last)
{
    struct smtp_reply_line reply;
    const struct smtp_client_expect *e = expected(c);
    if (!smtp_reply_parse(line, &reply) || (c->reply_code != 0 && c->reply_code != reply.code) ||
        !is_answer_to((enum command)e->command, reply.code))
        return false;
    struct str text = reply.text;
    bool is_first = c->reply_code == 0;
    c->reply_code = reply.code;
    *is_last = reply.is_last;
    if (e->command == COMMAND_EHLO && reply.code == 250 && !is_first)
        smtp_client_learn(c, text);
    if (e->command == COMMAND_EHLO && is_first)
        note_server_name(c, text);
    if (!is_first) {
        /* Every line may repeat the enhanced code; one is enough. */
        struct fault_status status;
        fault_status_parse(text, &status, &text);
        buf_append_byte(&c->reply, ' ');
    }
    buf_append(&c->reply, str_head(text, REPLY_MAX_BYTES - c->reply.used));
    return ++c->reply_lines <= REPLY_MAX_LINES;
}

/* Gives an event that needs no further reply, if there is one. */
static bool take_due(struct smtp_client *c, struct smtp_client_event *out)
{
    struct smtp_client_mail *m = c->due_mail;
    enum smtp_client_event_kind due = c->due;
    if (due == SMTP_CLIENT_MORE)
        return false;
    c->due = SMTP_CLIENT_MORE;
    out->mail = m;
    out->kind = due;
    if (due == SMTP_CLIENT_DONE)
        out->kind = give_up(c, m, m->accepted_count == 0, out);
    return true;
}

/* Moves bytes up to and including a line feed into c->line; true when a line is complete. */
static bool gather_line(struct smtp_client *c, struct str *in, struct str *line, bool *is_too_long)
{
    size_t n = str_index(*in, '\n');
    bool is_whole = n < in->n;
    struct str piece = str_head(*in, is_whole ? n + 1 : n);
    *in = str_skip(*in, piece.n);
    *is_too_long = !buf_append(&c->line, piece);
    if (!is_whole)
        return false;
    *line = str_head(buf_str(&c->line), c->line.used - 1);
    if (line->n > 0 && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}

size_t smtp_client_feed(struct smtp_client *c, struct str in, struct smtp_client_event *out)
{
    size_t given = in.n;
    *out = (struct smtp_client_event){.kind = SMTP_CLIENT_MORE};
    if (c->is_broken)
        return 0;
    while (out->kind == SMTP_CLIENT_MORE && !take_due(c, out) && in.n > 0) {
        struct str line;
        bool is_too_long, is_last = false;
        bool is_whole = gather_line(c, &in, &line, &is_too_long);
        if (is_whole && !is_too_long)
            dialogue_note(&c->dialogue, "S: ", line);
        if (is_too_long || (is_whole && (!expected(c) || !take_line(c, line, &is_last)))) {
            struct fault f = fault_make(451, FAULT_STATUS(4, 5, 0),
                                        "the server broke the protocol in its reply to %s",
                                        smtp_client_step_name(c));
            out->kind = broken(c, out, f);
            break;
        }
        if (is_whole)
            c->line.used = 0;
        if (!is_last)
            continue;
        out->kind = act(c, out);
        if (out->kind == SMTP_CLIENT_MORE)
            *out = (struct smtp_client_event){.kind = SMTP_CLIENT_MORE};
        c->reply.used = 0;
        c->reply_code = 0;
        c->reply_lines = 0;
    }
    return given - in.n;
}
