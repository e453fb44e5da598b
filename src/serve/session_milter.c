/* SPDX-License-Identifier: ISC */
/*
 * session_milter.c - what the mail filters of the listener are told of a session, and what becomes of their words
 *
 * A filter sees the message as it will be stored, our Authentication-Results on top, but not our trace field. What it
 * wants of the recipients, the sender and the content happens at once, after its verdict.
 */
#include <stdio.h>
#include <stdlib.h>

#include "mail/address.h"
#include "proto/smtp_params.h"
#include "serve/milters.h"
#include "serve/session.h"

enum {
    MACROS_MAX = 32,
    WORDS_MAX = 8,
    TEXT_MAX = 16 << 10, /* octets of the parameters and macros of a command */
};

struct filtering {
    struct milters *milters;
    struct milter_macro macro[MACROS_MAX];
    size_t macro_count;
    char ip[IP_TEXT_MAX], local_ip[IP_TEXT_MAX], port[8], local_port[8], id[QUEUE_ID_TEXT_MAX];
    char bracketed[IP_TEXT_MAX + 2], name[320];
    struct arena arena; /* of the present command */
    struct str sender, rcpt, rcpt_host, rcpt_mailer;
};

static void add_macro(struct filtering *f, const char *name, unsigned stages, struct str value)
{
    if (f->macro_count < MACROS_MAX)
        f->macro[f->macro_count++] = (struct milter_macro){name, value, stages};
}

enum {
    AT_CONNECT = 1U << MILTER_CONNECT,
    AT_HELO = 1U << MILTER_HELO,
    AT_MAIL = 1U << MILTER_MAIL,
    AT_RCPT = 1U << MILTER_RCPT,
    AT_ALL_OF_MESSAGE =
        AT_MAIL | AT_RCPT | 1U << MILTER_DATA | 1U << MILTER_END_OF_HEADER | 1U << MILTER_END,
};

static struct str domain_of(struct str address)
{
    return str_skip(address, str_last_index(address, '@') + 1);
}

static void add_client_macros(const struct session *s, struct filtering *f)
{
    struct str name = str_from(f->name);
    add_macro(f, "j", AT_CONNECT, s->visitor.live->conf->hostname);
    add_macro(f, "v", AT_CONNECT, STR("Eilbote"));
    add_macro(f, "_", AT_CONNECT, str_from(f->bracketed));
    add_macro(f, "{daemon_name}", AT_CONNECT, str_from(s->visitor.service->name));
    add_macro(f, "{daemon_addr}", AT_CONNECT, str_from(f->local_ip));
    add_macro(f, "{daemon_port}", AT_CONNECT, str_from(f->local_port));
    add_macro(f, "{if_addr}", AT_CONNECT, str_from(f->local_ip));
    add_macro(f, "{if_name}", 0, s->visitor.live->conf->hostname);
    add_macro(f, "{client_addr}", AT_CONNECT, str_from(f->ip));
    add_macro(f, "{client_name}", AT_CONNECT, name.n > 0 ? name : STR("unknown"));
    add_macro(f, "{client_ptr}", AT_CONNECT, name.n > 0 ? name : STR("unknown"));
    add_macro(f, "{client_port}", AT_CONNECT, str_from(f->port));
    add_macro(f, "{client_resolve}", 0, name.n > 0 ? STR("OK") : STR("FAIL"));
    add_macro(f, "s", 0, smtp_server_helo(&s->engine));
    add_macro(f, "{tls_version}", AT_HELO, str_from(conn_tls_version(s->visitor.conn)));
    add_macro(f, "{cipher}", AT_HELO, str_from(conn_tls_cipher(s->visitor.conn)));
}

static struct milter_macros give_macros(void *arg)
{
    const struct session *s = arg;
    struct filtering *f = s->filtering;
    f->macro_count = 0;
    add_client_macros(s, f);
    if (s->transaction.id > 0)
        add_macro(f, "i", AT_ALL_OF_MESSAGE, queue_id_text(s->transaction.id, f->id));
    if (s->account.n > 0)
        add_macro(f, "{auth_type}", AT_MAIL, str_from(s->auth_mechanism));
    add_macro(f, "{auth_authen}", AT_MAIL, s->account);
    add_macro(f, "{auth_author}", 0, s->account);
    add_macro(f, "{mail_addr}", AT_MAIL, f->sender);
    add_macro(f, "{mail_host}", AT_MAIL, domain_of(f->sender));
    add_macro(f, "{mail_mailer}", AT_MAIL, STR("esmtp"));
    add_macro(f, "{rcpt_addr}", AT_RCPT, f->rcpt);
    add_macro(f, "{rcpt_host}", AT_RCPT, f->rcpt_host);
    add_macro(f, "{rcpt_mailer}", AT_RCPT, f->rcpt_mailer);
    return (struct milter_macros){f->macro, f->macro_count};
}

/* Its event is not to lie on the stack while a filter thinks. */
static __attribute__((noinline)) void tell(void *arg, const struct conf_milter *conf,
                                           const char *stage, const char *result,
                                           const struct fault *f)
{
    const struct session *s = arg;
    char id[QUEUE_ID_TEXT_MAX];
    struct event e;
    bool is_failure = f && strcmp(result, "defer") == 0;
    is_failure |= f && strcmp(result, "accept") == 0;
    session_begin_event(s, &e, is_failure ? "milter.failed" : "milter.decision");
    if (s->transaction.id > 0)
        event_text(&e, "message", queue_id_text(s->transaction.id, id));
    event_text(&e, "milter", conf->name);
    event_text(&e, "stage", str_from(stage));
    event_text(&e, is_failure ? "action" : "result", str_from(result));
    if (f)
        event_fault(&e, f);
    event_end(&e);
}

/* The path that a filter names: with its brackets, or without. */
static bool read_path(struct session *s, struct arena *arena, struct str text,
                      struct address *address)
{
    unsigned allow =
        ADDRESS_ALLOW_NULL | (s->transaction.envelope.is_utf8 ? ADDRESS_ALLOW_UTF8 : 0);
    text = str_trim(text);
    if (text.n > 0 && text.p[0] == '<')
        return address_parse_path(arena, &text, allow, address) && text.n == 0;
    if (text.n == 0) {
        *address = (struct address){.kind = ADDRESS_NULL, .is_null = true};
        return true;
    }
    return address_parse(arena, text, allow, address);
}

static bool is_about_rcpt(const struct draft_edit *e)
{
    return e->kind == MILTER_ADD_RCPT || e->kind == MILTER_DELETE_RCPT;
}

/* The parameters as they would stand behind the address, which is text that has been read before. */
static struct fault read_params(struct session *s, struct arena *arena, const struct draft_edit *e,
                                const struct address *a, struct smtp_mail *mail,
                                struct smtp_rcpt *rcpt)
{
    struct smtp_server_options options = s->options;
    options.has_dsn = options.has_smtputf8 = true;
    options.size_limit = 0;
    bool is_utf8 = s->transaction.envelope.is_utf8, is_rcpt = is_about_rcpt(e);
    struct str address = a->is_null ? STR_NONE : address_text(arena, a);
    struct str text = arena_printf(arena, "%s:<" STR_FMT "> " STR_FMT, is_rcpt ? "TO" : "FROM",
                                   STR_ARG(address), STR_ARG(str_trim(e->value)));
    struct fault f =
        is_rcpt
            ? smtp_params_rcpt(&options, true, is_utf8, arena, str_trim(text), rcpt)
            : smtp_params_mail(&options, true, s->engine.is_tls, true, arena, str_trim(text), mail);
    return f.kind ? fault_make(451, FAULT_STATUS(4, 7, 1),
                               "the filter names <" STR_FMT "> with parameters that cannot be: %s",
                               STR_ARG(str_head(address, 100)), f.text)
                  : FINE;
}

/* What an edit about the envelope means, tried or done. */
static struct fault edit_envelope(struct session *s, struct arena *arena,
                                  const struct draft_edit *e, bool is_trial)
{
    struct transaction *t = &s->transaction;
    struct address a;
    struct smtp_mail mail = {0};
    struct smtp_rcpt rcpt = {0};
    if (!read_path(s, arena, e->name, &a) || (a.is_null && is_about_rcpt(e)))
        return fault_make(451, FAULT_STATUS(4, 7, 1), "the filter names <" STR_FMT ">, no address",
                          STR_ARG(str_head(e->name, 100)));
    bool has_params = e->kind != MILTER_DELETE_RCPT && str_trim(e->value).n > 0;
    struct fault f = has_params ? read_params(s, arena, e, &a, &mail, &rcpt) : FINE;
    if (f.kind)
        return f;
    rcpt.address = a;
    if (e->kind == MILTER_ADD_RCPT)
        return session_add_rcpt(s, &rcpt, is_trial);
    if (is_trial)
        return FINE;
    if (e->kind == MILTER_DELETE_RCPT)
        return session_delete_rcpt(s, &a);
    t->envelope.sender = address_text(&t->arena, &a);
    if (has_params) {
        t->envelope.ret = (uint8_t)mail.ret;
        t->envelope.envid = arena_copy(&t->arena, mail.envid);
    }
    return FINE;
}

/* Whether all that is about the envelope can be done. */
static struct fault try_edits(struct session *s, struct arena *arena,
                              const struct draft_edit *edits, size_t count)
{
    struct fault f = FINE;
    for (size_t i = 0; i < count && !f.kind; i++)
        if (is_about_rcpt(&edits[i]) || edits[i].kind == MILTER_SET_SENDER)
            f = edit_envelope(s, arena, &edits[i], true);
    return f;
}

static void do_edit(struct session *s, struct arena *arena, const struct conf_milter *conf,
                    const struct draft_edit *e)
{
    struct transaction *t = &s->transaction;
    if (e->kind == MILTER_QUARANTINE) {
        struct str name = str_head(conf->name, 60);
        struct str reason = str_head(e->value, ENVELOPE_HOLD_MAX - 100);
        t->envelope.hold =
            arena_printf(&t->arena, "quarantined by the filter " STR_FMT ": " STR_FMT,
                         STR_ARG(name), STR_ARG(reason));
    } else if (is_about_rcpt(e) || e->kind == MILTER_SET_SENDER) {
        edit_envelope(s, arena, e, false);
    }
}

static struct fault apply(void *arg, const struct conf_milter *conf, const struct draft_edit *edits,
                          size_t count)
{
    struct session *s = arg;
    struct arena arena = arena_make(1 << 20);
    struct fault f = try_edits(s, &arena, edits, count);
    for (size_t i = 0; i < count && !f.kind; i++)
        do_edit(s, &arena, conf, &edits[i]);
    arena_free(&arena);
    return f;
}

static struct milters_client describe_client(struct session *s)
{
    struct filtering *f = s->filtering;
    struct visitor *v = &s->visitor;
    struct endpoint local = conn_local(v->conn);
    struct ip_address own;
    if (!v->is_ip) {
        snprintf(f->name, sizeof f->name, "localhost");
        return (struct milters_client){STR("localhost"), 'L', 0, v->listener->path};
    }
    if (endpoint_ip(&local, &own)) {
        ip_format(&own, f->local_ip);
        snprintf(f->local_port, sizeof f->local_port, "%u", endpoint_port(&local));
    }
    uint16_t port = endpoint_port(conn_peer(v->conn));
    struct str ip = ip_format(&v->ip, f->ip);
    snprintf(f->port, sizeof f->port, "%u", port);
    snprintf(f->bracketed, sizeof f->bracketed, "[" STR_FMT "]", STR_ARG(ip));
    session_ask_client_name(s);
    if (s->gate && s->gate->client_name)
        snprintf(f->name, sizeof f->name, "%s", s->gate->client_name);
    return (struct milters_client){.name = str_from(f->name[0] ? f->name : f->bracketed),
                                   .family = ip_is_v4(&v->ip) ? '4' : '6',
                                   .port = port,
                                   .address = ip};
}

struct fault session_open_filters(struct session *s)
{
    const struct conf_listener *l = s->visitor.listener;
    const struct milters_host host = {
        .macros = give_macros, .tell = tell, .apply = apply, .arg = s};
    if (l->milter_names.count == 0)
        return FINE;
    s->filtering = calloc(1, sizeof *s->filtering);
    if (!s->filtering)
        abort();
    s->filtering->arena = arena_make(TEXT_MAX);
    s->filtering->milters = milters_make(l->milter, l->milter_names.count, &host);
    struct milters_client client = describe_client(s);
    struct fault f = milters_connect(s->filtering->milters, &client);
    if (f.kind == FAULT_NEVER)
        f.reply = 554;
    return f;
}

struct fault session_filter_helo(struct session *s, struct str name)
{
    return s->filtering ? milters_helo(s->filtering->milters, name) : FINE;
}

/* The path in its brackets. */
static struct str path_of(struct filtering *f, const struct address *a)
{
    struct str text = address_text(&f->arena, a);
    return arena_printf(&f->arena, "<" STR_FMT ">", STR_ARG(text));
}

static struct str parameter(struct filtering *f, const char *name, struct str value)
{
    return arena_printf(&f->arena, "%s=" STR_FMT, name, STR_ARG(value));
}

struct fault session_filter_mail(struct session *s, const struct smtp_mail *mail)
{
    struct filtering *f = s->filtering;
    struct str word[WORDS_MAX];
    size_t n = 0;
    if (!f)
        return FINE;
    arena_free(&f->arena);
    f->sender = address_text(&s->transaction.arena, &mail->sender);
    f->rcpt = f->rcpt_host = f->rcpt_mailer = STR_NONE;
    word[n++] = path_of(f, &mail->sender);
    if (mail->size > 0)
        word[n++] = arena_printf(&f->arena, "SIZE=%llu", (unsigned long long)mail->size);
    if (mail->is_8bit)
        word[n++] = STR("BODY=8BITMIME");
    if (mail->is_utf8)
        word[n++] = STR("SMTPUTF8");
    if (mail->is_tls_required)
        word[n++] = STR("REQUIRETLS");
    if (mail->ret != DSN_RETURN_DEFAULT)
        word[n++] = mail->ret == DSN_RETURN_FULL ? STR("RET=FULL") : STR("RET=HDRS");
    if (mail->envid.n > 0)
        word[n++] = parameter(f, "ENVID", mail->envid);
    return milters_mail(f->milters, word, n);
}

/* The parameters as they would be said. */
static size_t rcpt_words(struct filtering *f, const struct smtp_rcpt *rcpt, struct str *word)
{
    size_t n = 0;
    arena_free(&f->arena);
    f->rcpt = address_text(&f->arena, &rcpt->address);
    f->rcpt_host = rcpt->address.domain;
    f->rcpt_mailer = STR("esmtp");
    word[n++] = path_of(f, &rcpt->address);
    if (rcpt->notify & DSN_NOTIFY_NEVER)
        word[n++] = STR("NOTIFY=NEVER");
    else if (rcpt->notify) {
        static const char *const kinds[] = {"SUCCESS", "FAILURE", "DELAY"};
        struct buf list = buf_make(64);
        for (size_t i = 0; i < 3; i++)
            if (rcpt->notify & (unsigned)DSN_NOTIFY_SUCCESS << i)
                buf_printf(&list, "%s%s", list.used ? "," : "", kinds[i]);
        word[n++] = parameter(f, "NOTIFY", buf_str(&list));
        buf_free(&list);
    }
    if (rcpt->orcpt.n > 0)
        word[n++] = parameter(f, "ORCPT", rcpt->orcpt);
    return n;
}

struct fault session_filter_rcpt(struct session *s, const struct smtp_rcpt *rcpt)
{
    struct filtering *f = s->filtering;
    struct str word[WORDS_MAX];
    return f ? milters_rcpt(f->milters, word, rcpt_words(f, rcpt, word)) : FINE;
}

void session_filter_refused_rcpt(struct session *s, const struct smtp_rcpt *rcpt,
                                 const struct fault *fault)
{
    struct filtering *f = s->filtering;
    struct str word[WORDS_MAX];
    if (!f)
        return;
    size_t n = rcpt_words(f, rcpt, word);
    f->rcpt_mailer = STR("error");
    f->rcpt_host = arena_printf(&f->arena, "%u.%u.%u", fault->status.class, fault->status.subject,
                                fault->status.detail);
    f->rcpt = arena_copy(&f->arena, fault_text(fault));
    milters_refused_rcpt(f->milters, word, n);
}

struct fault session_filter_data(struct session *s)
{
    return s->filtering ? milters_data(s->filtering->milters) : FINE;
}

struct fault session_filter_unknown(struct session *s, struct str command)
{
    return s->filtering ? milters_unknown(s->filtering->milters, command) : FINE;
}

struct fault session_filter_content(void *arg, struct intake *i, struct buf *top)
{
    struct session *s = arg;
    struct milters *m = s->filtering->milters;
    uint64_t limit = (uint64_t)s->visitor.listener->limits.message_size_bytes;
    struct draft d;
    struct fault f = draft_begin(&d, i, buf_str(top), s->transaction.trace_size, limit);
    if (!f.kind)
        f = milters_content(m, &d);
    s->transaction.is_discarded = milters_has_discarded(m);
    if (!f.kind)
        f = draft_apply(&d, top);
    draft_free(&d);
    return f.kind ? f : session_sign(s, i, top);
}

void session_end_filtered_message(struct session *s)
{
    struct filtering *f = s->filtering;
    if (!f)
        return;
    milters_abort(f->milters);
    f->sender = f->rcpt = f->rcpt_host = f->rcpt_mailer = STR_NONE;
    arena_free(&f->arena);
}

void session_close_filters(struct session *s)
{
    struct filtering *f = s->filtering;
    if (!f)
        return;
    milters_free(f->milters);
    arena_free(&f->arena);
    free(f);
    s->filtering = NULL;
}
