/* SPDX-License-Identifier: ISC */
/*
 * milters.c - the mail filters of a session, asked in their order
 */
#include "serve/milters.h"

#include <stdlib.h>

#include "net/task.h"

enum { HELO_MAX = 255 };

struct milters {
    struct milters_host host;
    struct milters_client client;
    char helo[HELO_MAX];
    size_t helo_size;
    bool is_discarded;
    size_t count;
    struct milter_link link[];
};

struct milters *milters_make(const struct conf_milter *const *conf, size_t count,
                             const struct milters_host *host)
{
    struct milters *m = calloc(1, sizeof *m + count * sizeof m->link[0]);
    if (!m)
        abort();
    m->host = *host;
    m->count = count;
    for (size_t i = 0; i < count; i++)
        m->link[i].conf = conf[i];
    return m;
}

void milters_free(struct milters *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++)
        milter_link_close(&m->link[i]);
    free(m);
}

bool milters_has_discarded(const struct milters *m)
{
    return m->is_discarded;
}

static struct milter_macros macros(const struct milters *m)
{
    return m->host.macros(m->host.arg);
}

static void tell(const struct milters *m, const struct milter_link *l, const char *stage,
                 const char *result, const struct fault *f)
{
    m->host.tell(m->host.arg, l->conf, stage, result, f);
}

/* What a failed filter means for what is going on: it waits, or goes on without. */
static struct fault after_failure(const struct milter_link *l)
{
    if (l->conf->on_failure == CONF_FAILURE_ACCEPT)
        return FINE;
    return fault_make(451, FAULT_STATUS(4, 7, 1),
                      "a mail filter is not available, try again later");
}

static struct fault fail(const struct milters *m, struct milter_link *l, const char *stage,
                         const struct fault *f)
{
    l->has_failed = true;
    milter_link_abort(l);
    milter_link_close(l);
    if (task_is_cancelled())
        return fault_make(421, FAULT_STATUS(4, 3, 2), "shutting down");
    tell(m, l, stage, l->conf->on_failure == CONF_FAILURE_ACCEPT ? "accept" : "defer", f);
    return after_failure(l);
}

/* What an answer means: the fault that refuses, or FINE and what the filter is not to hear any more. */
static struct fault decide(struct milters *m, struct milter_link *l, const char *stage,
                           const struct milter_event *e, bool is_session)
{
    static const char *const results[] = {
        [MILTER_ACCEPT] = "accept",   [MILTER_REJECT] = "reject", [MILTER_TEMPFAIL] = "tempfail",
        [MILTER_DISCARD] = "discard", [MILTER_REPLY] = "reply",   [MILTER_SHUTDOWN] = "shutdown"};
    if (e->kind == MILTER_CONTINUE || e->kind == MILTER_SKIP)
        return FINE;
    tell(m, l, stage, results[e->kind], e->fault.kind ? &e->fault : NULL);
    if (e->kind == MILTER_DISCARD)
        m->is_discarded = true;
    else if (e->kind == MILTER_ACCEPT && is_session)
        l->is_session_accepted = true;
    else if (e->kind == MILTER_ACCEPT)
        l->is_message_accepted = true;
    return e->fault;
}

static struct fault ask(struct milters *m, struct milter_link *l, const char *stage,
                        bool is_session)
{
    struct milter_event e;
    int64_t timeout = l->conf->command_timeout_ms;
    struct fault f = milter_link_ask(l, timeout, milter_link_end(timeout), &e);
    return f.kind ? fail(m, l, stage, &f) : decide(m, l, stage, &e, is_session);
}

/* Whether the filter has something to hear. */
static bool is_listening(const struct milter_link *l)
{
    return l->conn && !l->is_session_accepted && !l->is_message_accepted;
}

static struct fault greet(struct milters *m, struct milter_link *l)
{
    struct str name = str_make(m->helo, m->helo_size);
    if (m->helo_size == 0 || !is_listening(l))
        return FINE;
    milter_helo(&l->engine, name, macros(m));
    return ask(m, l, "helo", true);
}

/* Tells the filter of the client from the beginning, when it has not heard of it. */
static struct fault introduce(struct milters *m, struct milter_link *l)
{
    const struct milters_client *c = &m->client;
    if (l->has_session || l->is_session_accepted)
        return FINE;
    struct fault f = milter_link_open(l);
    if (f.kind)
        return fail(m, l, "open", &f);
    l->has_failed = false;
    l->has_session = true;
    milter_connect(&l->engine, c->name, c->family, c->port, c->address, macros(m));
    f = ask(m, l, "connect", true);
    return f.kind ? f : greet(m, l);
}

struct fault milters_connect(struct milters *m, const struct milters_client *client)
{
    struct fault f = FINE;
    m->client = *client;
    for (size_t i = 0; i < m->count && !f.kind; i++) {
        struct milter_link *l = &m->link[i];
        f = introduce(m, l);
        if (f.kind && l->has_failed && !task_is_cancelled())
            f = FINE; /* it may be back when there is a message */
    }
    if (f.kind == FAULT_LATER)
        f.reply = 421;
    return f;
}

struct fault milters_helo(struct milters *m, struct str name)
{
    struct fault f = FINE;
    name = str_head(name, sizeof m->helo);
    memcpy(m->helo, name.p, name.n);
    m->helo_size = name.n;
    for (size_t i = 0; i < m->count && !f.kind; i++) {
        struct milter_link *l = &m->link[i];
        f = greet(m, l);
        if (f.kind && l->has_failed && !task_is_cancelled())
            f = FINE;
    }
    return f;
}

static struct fault begin_message(struct milters *m, struct milter_link *l, const struct str *words,
                                  size_t count)
{
    l->is_message_accepted = l->has_failed = false;
    if (l->conn && conn_has_input(l->conn))
        milter_link_close(l); /* the filter has ended it since */
    struct fault f = introduce(m, l);
    if (f.kind || !is_listening(l))
        return f;
    l->has_message = true;
    milter_mail(&l->engine, words, count, macros(m));
    return ask(m, l, "mail", false);
}

struct fault milters_mail(struct milters *m, const struct str *words, size_t count)
{
    struct fault f = FINE;
    m->is_discarded = false;
    for (size_t i = 0; i < m->count && !f.kind && !m->is_discarded; i++)
        f = begin_message(m, &m->link[i], words, count);
    if (f.kind)
        milters_abort(m);
    return f;
}

/* What a filter that has failed means for the rest of its message. */
static struct fault check_failed(const struct milter_link *l)
{
    return l->has_failed ? after_failure(l) : FINE;
}

struct fault milters_rcpt(struct milters *m, const struct str *words, size_t count)
{
    struct fault f = FINE;
    for (size_t i = 0; i < m->count && !f.kind && !m->is_discarded; i++) {
        struct milter_link *l = &m->link[i];
        f = check_failed(l);
        if (f.kind || !is_listening(l))
            continue;
        milter_rcpt(&l->engine, words, count, macros(m));
        f = ask(m, l, "rcpt", false);
    }
    return f;
}

void milters_refused_rcpt(struct milters *m, const struct str *words, size_t count)
{
    for (size_t i = 0; i < m->count && !m->is_discarded; i++) {
        struct milter_link *l = &m->link[i];
        struct milter_event e;
        int64_t timeout = l->conf->command_timeout_ms;
        if (!is_listening(l) || !l->has_message || !(l->engine.steps & MILTER_WANTS_REFUSED))
            continue;
        milter_rcpt(&l->engine, words, count, macros(m));
        struct fault f = milter_link_ask(l, timeout, milter_link_end(timeout), &e);
        if (f.kind)
            fail(m, l, "rcpt", &f);
    }
}

struct fault milters_data(struct milters *m)
{
    struct fault f = FINE;
    for (size_t i = 0; i < m->count && !f.kind && !m->is_discarded; i++) {
        struct milter_link *l = &m->link[i];
        f = check_failed(l);
        if (f.kind || !is_listening(l))
            continue;
        milter_data(&l->engine, macros(m));
        f = ask(m, l, "data", false);
    }
    return f;
}

/* What a filter says to a command that is none changes nothing else: neither its taking it, nor its failing at it. */
static struct fault ask_unknown(struct milters *m, struct milter_link *l, struct str command)
{
    struct milter_event e;
    int64_t timeout = l->conf->command_timeout_ms;
    milter_unknown(&l->engine, command);
    struct fault f = milter_link_ask(l, timeout, milter_link_end(timeout), &e);
    if (f.kind)
        fail(m, l, "unknown", &f);
    if (f.kind || !e.fault.kind)
        return FINE;
    tell(m, l, "unknown", "reply", &e.fault);
    return e.fault;
}

struct fault milters_unknown(struct milters *m, struct str command)
{
    struct fault f = FINE;
    for (size_t i = 0; i < m->count && !f.kind && !m->is_discarded; i++) {
        struct milter_link *l = &m->link[i];
        bool has_ended = l->conn && !l->has_message && conn_has_input(l->conn);
        if (is_listening(l) && !has_ended)
            f = ask_unknown(m, l, command);
    }
    return f;
}

/* The content of one message, for one filter. */
struct showing {
    struct milters *milters;
    struct milter_link *link;
    struct draft *draft;
    int64_t end_ms;
    struct milter_event answer; /* CONTINUE while it goes on */
};

/* False when there is a verdict, or a fault. */
static bool say_on(struct showing *s, struct fault *f)
{
    *f = milter_link_ask(s->link, s->link->conf->content_timeout_ms, s->end_ms, &s->answer);
    return !f->kind && (s->answer.kind == MILTER_CONTINUE || s->answer.kind == MILTER_SKIP);
}

static bool show_header(struct showing *s, struct fault *f)
{
    const struct header_edit *h = &s->draft->header;
    bool goes_on = true;
    for (size_t i = 0; i < h->count && goes_on; i++) {
        if (h->item[i].is_hidden)
            continue;
        milter_field(&s->link->engine, h->item[i].name, h->item[i].value);
        goes_on = say_on(s, f);
    }
    if (!goes_on)
        return false;
    milter_end_of_header(&s->link->engine, macros(s->milters));
    return say_on(s, f);
}

static bool show_body(struct showing *s, struct fault *f)
{
    struct buf chunk = buf_make(MILTER_CHUNK_MAX);
    uint64_t offset = 0;
    bool goes_on = true, has_more = true;
    while (goes_on && has_more && milter_wants_body(&s->link->engine)) {
        chunk.used = 0;
        *f = draft_read(s->draft, offset, MILTER_CHUNK_MAX, &chunk);
        offset += chunk.used;
        has_more = chunk.used > 0;
        goes_on = !f->kind;
        if (goes_on && has_more) {
            milter_body(&s->link->engine, buf_str(&chunk));
            goes_on = say_on(s, f);
        }
    }
    buf_free(&chunk);
    return goes_on;
}

static bool is_edit(enum milter_event_kind kind)
{
    return kind >= MILTER_ADD_RCPT && kind <= MILTER_QUARANTINE;
}

/* The end of the message, the edits, the verdict. */
static struct fault show_end(struct showing *s)
{
    struct milter_link *l = s->link;
    int64_t timeout = l->conf->end_timeout_ms, end = milter_link_end(timeout);
    milter_end(&l->engine, macros(s->milters));
    for (;;) {
        struct fault f = milter_link_ask(l, timeout, end, &s->answer);
        if (f.kind || !is_edit(s->answer.kind))
            return f;
        f = draft_collect(s->draft, &s->answer);
        if (f.kind)
            return f;
    }
}

/* The filter has said all it wants: all of it, or none. */
static struct fault take_edits(struct showing *s)
{
    struct draft *d = s->draft;
    struct milters *m = s->milters;
    bool has_space = s->link->engine.steps & MILTER_LEADING_SPACE;
    bool has_edits = d->edit_count > 0 || d->has_new_body;
    struct fault f = m->host.apply(m->host.arg, s->link->conf, d->edit, d->edit_count);
    if (f.kind)
        return fail(m, s->link, "end", &f);
    if (has_edits)
        tell(m, s->link, "end", "edit", NULL);
    return draft_keep(d, has_space);
}

static struct fault show(struct showing *s)
{
    struct milter_link *l = s->link;
    struct milters *m = s->milters;
    struct fault f = FINE;
    s->end_ms = milter_link_end(l->conf->content_timeout_ms);
    bool is_over = !show_header(s, &f) || !show_body(s, &f);
    if (!is_over)
        f = show_end(s);
    if (f.kind) {
        draft_drop(s->draft);
        return fail(m, l, is_over ? "content" : "end", &f);
    }
    l->has_message = is_over; /* nobody need tell it that the message has ended when it said so */
    f = decide(m, l, is_over ? "content" : "end", &s->answer, false);
    if (!f.kind && !is_over && !m->is_discarded)
        return take_edits(s);
    draft_drop(s->draft);
    return f;
}

struct fault milters_content(struct milters *m, struct draft *draft)
{
    struct fault f = FINE;
    for (size_t i = 0; i < m->count && !f.kind && !m->is_discarded; i++) {
        struct milter_link *l = &m->link[i];
        f = check_failed(l);
        if (f.kind || !is_listening(l))
            continue;
        struct showing s = {.milters = m, .link = l, .draft = draft};
        f = show(&s);
    }
    return f;
}

void milters_abort(struct milters *m)
{
    for (size_t i = 0; i < m->count; i++)
        milter_link_abort(&m->link[i]);
}
