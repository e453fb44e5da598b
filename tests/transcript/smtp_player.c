/* SPDX-License-Identifier: ISC */
/*
 * smtp_player.c - drives the SMTP server engine the way a session does, and writes down what
 * happens
 */
#include "smtp_player.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define LIMIT ((size_t)1 << 26)

void player_start(struct player *p, const struct smtp_server_options *options, bool is_tls,
                  void (*decide)(struct player *, enum smtp_event_kind), void *arg)
{
    *p = (struct player){.wire = buf_make(LIMIT),
                         .events = buf_make(LIMIT),
                         .content = buf_make(LIMIT),
                         .decide = decide,
                         .arg = arg};
    smtp_server_init(&p->server, options, is_tls);
    smtp_server_greet(&p->server);
}

void player_stop(struct player *p)
{
    smtp_server_free(&p->server);
    buf_free(&p->wire);
    buf_free(&p->events);
    buf_free(&p->content);
}

static void must(bool is_true)
{
    if (!is_true)
        abort();
}

static void escape(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\r' || c == '\n')
            must(buf_append(out, c == '\r' ? STR("\\r") : STR("\\n")));
        else if (c < 0x20 || c == 0x7F || c == '\\')
            must(buf_printf(out, "\\x%02X", c));
        else
            must(buf_append_byte(out, (char)c));
    }
}

static void log_content(struct player *p)
{
    if (p->content.used == 0)
        return;
    must(buf_append(&p->events, STR("CONTENT ")));
    escape(&p->events, buf_str(&p->content));
    must(buf_append(&p->events, STR("\n")));
    buf_free(&p->content);
}

static void log_mail(struct buf *out, const struct smtp_mail *m)
{
    must(buf_append(out, STR("MAIL ")) && address_print_path(out, &m->sender));
    if (m->size > 0)
        must(buf_printf(out, " size=%llu", (unsigned long long)m->size));
    must(buf_append(out, m->is_8bit ? STR(" 8bit") : STR("")));
    must(buf_append(out, m->is_utf8 ? STR(" utf8") : STR("")));
    if (m->ret != DSN_RETURN_DEFAULT)
        must(buf_append(out, m->ret == DSN_RETURN_FULL ? STR(" ret=full") : STR(" ret=hdrs")));
    if (m->envid.n > 0)
        must(buf_append(out, STR(" envid=")) && buf_append(out, m->envid));
    if (m->auth.n > 0)
        must(buf_append(out, STR(" auth=")) && buf_append(out, m->auth));
}

static void log_auth(struct buf *out, const struct smtp_event *e)
{
    must(buf_append(out, e->kind == SMTP_EVENT_AUTH ? STR("AUTH ") : STR("AUTH_RESPONSE")));
    must(buf_append(out, e->auth.mechanism));
    if (e->auth.has_response) {
        must(buf_append(out, STR(" [")));
        escape(out, e->auth.response);
        must(buf_append(out, STR("]")));
    }
}

static void log_event(struct player *p, const struct smtp_event *e)
{
    struct buf *out = &p->events;
    switch (e->kind) {
    case SMTP_EVENT_NONE:
    case SMTP_EVENT_CONTENT:
        return;
    case SMTP_EVENT_HELLO:
        must(buf_append(out, STR("HELLO ")) && buf_append(out, e->hello.name) &&
             buf_append(out, e->hello.is_extended ? STR(" extended") : STR("")) &&
             buf_append(out, e->hello.is_valid ? STR("") : STR(" invalid")));
        break;
    case SMTP_EVENT_MAIL:
        log_mail(out, &e->mail);
        break;
    case SMTP_EVENT_RCPT:
        must(buf_append(out, STR("RCPT ")) && address_print_path(out, &e->rcpt.address));
        if (e->rcpt.notify)
            must(buf_printf(out, " notify=%u", e->rcpt.notify));
        if (e->rcpt.orcpt.n > 0)
            must(buf_append(out, STR(" orcpt=")) && buf_append(out, e->rcpt.orcpt));
        break;
    case SMTP_EVENT_DATA:
        must(buf_append(out, STR("DATA")));
        if (e->data.is_bdat)
            must(buf_printf(out, " bdat=%llu", (unsigned long long)e->data.chunk_size));
        break;
    case SMTP_EVENT_MESSAGE:
        must(buf_append(out, STR("MESSAGE")));
        break;
    case SMTP_EVENT_AUTH:
    case SMTP_EVENT_AUTH_RESPONSE:
        log_auth(out, e);
        break;
    case SMTP_EVENT_AUTH_ABORT:
        must(buf_append(out, STR("AUTH_ABORT")));
        break;
    case SMTP_EVENT_STARTTLS:
        must(buf_append(out, STR("STARTTLS")));
        break;
    case SMTP_EVENT_UNKNOWN:
        must(buf_append(out, STR("UNKNOWN ")) && buf_append(out, e->command));
        break;
    case SMTP_EVENT_RESET:
        must(buf_append(out, STR("RESET")));
        break;
    case SMTP_EVENT_QUIT:
        must(buf_append(out, STR("QUIT")));
        break;
    case SMTP_EVENT_CLOSE:
        must(buf_printf(out, "CLOSE %u", e->reason.reply));
        break;
    }
    must(buf_append(out, STR("\n")));
}

void player_feed(struct player *p, struct str piece)
{
    struct smtp_event e;
    do {
        size_t n = smtp_server_feed(&p->server, piece, &e);
        must(n <= piece.n);
        piece = str_skip(piece, n);
        if (e.kind == SMTP_EVENT_CONTENT)
            must(e.content.n > 0 && buf_append(&p->content, e.content));
        else if (e.kind == SMTP_EVENT_RESET)
            p->content.used = 0; /* how much came before the refusal depends on the cuts */
        else if (e.kind != SMTP_EVENT_NONE)
            log_content(p);
        log_event(p, &e);
        if (e.kind == SMTP_EVENT_QUIT || e.kind == SMTP_EVENT_CLOSE) {
            must(!p->is_finished && smtp_server_is_ended(&p->server));
            p->is_finished = true;
        }
        while (smtp_server_answers_wanted(&p->server) > 0)
            p->decide(p, e.kind);
        if (e.kind == SMTP_EVENT_NONE && piece.n > 0)
            player_flush(p, SIZE_MAX);
    } while (piece.n > 0 || e.kind != SMTP_EVENT_NONE);
}

void player_flush(struct player *p, size_t piece)
{
    while (smtp_server_output(&p->server).n > 0) {
        struct str out = str_head(smtp_server_output(&p->server), piece);
        must(buf_append(&p->wire, out));
        smtp_server_sent(&p->server, out.n);
    }
}
