/* SPDX-License-Identifier: ISC */
/*
 * settle.c - what came of an attempt: done, later, never; and who must be told
 *
 * A notice is accepted by the queue before the outcome that it is about is recorded: a crash in
 * between sends it twice, never not at all. Notices have the null sender, so nothing is ever said
 * about a notice (RFC 3461 section 5.2, RFC 3464, RFC 5321 section 4.5.5). One that REQUIRETLS keeps
 * from going on is followed by another that brings nothing back (RFC 8689 section 5).
 */
#include <stdlib.h>

#include "directory/full.h"
#include "event/event.h"
#include "mail/dsn.h"
#include "mail/dsn_redact.h"
#include "mail/header.h"
#include "net/loop.h"
#include "net/offload.h"
#include "os/clock.h"
#include "os/random.h"
#include "send/internal.h"
#include "sign/signing.h"

enum {
    ARENA_LIMIT = 64 << 20,
    RETURN_LIMIT = 100 << 10, /* larger originals come back as their header section */
    HEADER_LIMIT = 256 << 10,
    NOTICE_LIMIT = 16 << 20,
    NOTICE_RCPTS = 1000,     /* what is to be told of more makes more notices */
    CROWDED_PAUSE_MS = 1000, /* the server took some recipients and wants the others apart */
    LOCAL_PAUSE_MS = 5000
};

struct verdict {
    struct job *job;
    struct live *live;
    struct arena arena;
    uint32_t *left; /* recipients for the next attempt */
    size_t left_count;
    struct dsn_recipient *told;   /* what the notice is about */
    size_t told_count, told_done; /* those before told_done have been told */
    struct queue_rcpt *bare;      /* of a notice: they get it without what it is about */
    size_t bare_count;
    const struct fault *trouble; /* why the last of those left was deferred; else NULL */
    bool is_expired, is_delay_noticed, is_crowded;
    struct buf original; /* the message, or its header section; empty when it cannot be read */
    struct fault original_fault;
};

static int64_t real_now_ms(const struct job *j)
{
    return loop_real_ms(j->sender->owner);
}

static const struct queue_rcpt *rcpt_of(const struct job *j, size_t i)
{
    const struct queue_delivery *d = j->delivery;
    return &d->message->envelope.rcpt[d->rcpt[i]];
}

static void tell_event(const struct verdict *v, size_t i, const char *name)
{
    const struct job *j = v->job;
    char id[QUEUE_ID_TEXT_MAX];
    struct event e;
    event_begin(&e, j->sender->options.log, name);
    event_text(&e, "message", queue_id_text(j->delivery->message->id, id));
    event_text(&e, "session", j->delivery->message->envelope.session);
    event_text(&e, "from", j->delivery->message->envelope.sender);
    event_text(&e, "to", rcpt_of(j, i)->address);
    if (j->remote[0])
        event_text(&e, "remote", str_from(j->remote));
    event_number(&e, "attempt", j->delivery->attempts + 1);
    event_number(&e, "ms", loop_now_ms(j->sender->owner) - j->started_ms);
    event_fault(&e, &j->result[i]);
    event_end(&e);
}

/* "550 5.1.1 No such user" as DSNs and people want to see it. */
static struct str reply_text(struct arena *a, const struct fault *f)
{
    const char *text = f->is_private ? "trouble on our own server" : f->text;
    if (f->status.class)
        return arena_printf(a, "%u %u.%u.%u %s", f->reply, f->status.class, f->status.subject,
                            f->status.detail, text);
    return arena_printf(a, "%u %s", f->reply, text);
}

/*
 * The status of what came of it. A fault without one has its class alone (RFC 3463 section 3.1); a
 * host that refused for good may not have been the last word (carrier.c), then the class says so. A
 * policy of the domain that forbade to send it, until it was given up, has refused it for good.
 */
static struct fault_status status_of(const struct fault *f, enum dsn_action action)
{
    struct fault_status status = f->status;
    bool is_forbidden = action == DSN_FAILED && !f->is_answer && status.subject == 7;
    status.class = f->kind == FAULT_LATER && !is_forbidden ? 4 : 5;
    return status;
}

/* The server that was talked to: a host. The path of a socket on this machine is nobody's business.
 */
static struct str remote_mta(const struct job *j)
{
    struct str remote = str_from(j->remote);
    return str_starts(remote, STR("unix:")) ? STR_NONE : remote;
}

static void add_told(struct verdict *v, size_t i, enum dsn_action action)
{
    struct job *j = v->job;
    const struct fault *f = &j->result[i];
    const struct queue_rcpt *r = rcpt_of(j, i);
    struct address *final = arena_alloc(&v->arena, sizeof *final);
    if (!address_parse(&v->arena, r->address, ADDRESS_ALLOW_POSTMASTER | ADDRESS_ALLOW_UTF8, final))
        return;
    bool is_success = action != DSN_FAILED && action != DSN_DELAYED;
    struct live *live = v->live;
    struct dsn_recipient *told = &v->told[v->told_count++];
    *told = (struct dsn_recipient){
        .final = final,
        .orcpt = r->orcpt,
        .action = action,
        .status = is_success ? FAULT_STATUS(2, 0, 0) : status_of(f, action),
        .remote_mta = remote_mta(j),
        .diagnostic = is_success ? STR_NONE : reply_text(&v->arena, f),
        .is_diagnostic_smtp = f->is_answer,
        .last_attempt = action == DSN_EXPANDED ? 0 : real_now_ms(j) / 1000,
    };
    if (action == DSN_DELAYED)
        told->will_retry_until =
            (j->delivery->message->envelope.arrival_ms + live->conf->queue.bounce_after_ms) / 1000;
}

/* RFC 3461 section 4.1: what the sender wants to hear; absent means failures and delays. */
static bool wants(const struct queue_rcpt *r, unsigned what)
{
    if ((r->notify & ~QUEUE_NOTIFY_FORWARDED) == 0)
        return what != DSN_NOTIFY_SUCCESS;
    return r->notify & what;
}

/* A notice that may not go where REQUIRETLS is not known. */
static bool is_held_by_tls(const struct verdict *v, const struct fault *f)
{
    const struct queue_envelope *e = &v->job->delivery->message->envelope;
    return e->sender.n == 0 && e->is_tls_required && f->kind == FAULT_NEVER &&
           f->status.subject == 7 && (f->status.detail == 10 || f->status.detail == 30);
}

/* What a mailbox of ours says of its room is what strangers are told about it (X.2.2, RFC 3463 section 3.3). */
static void note_room(const struct job *j, size_t i)
{
    struct full_mailboxes *full = j->sender->options.full;
    const struct fault *f = &j->result[i];
    struct str address = rcpt_of(j, i)->address;
    uint64_t size = j->delivery->message->body_size;
    if (!j->is_local || !full)
        return;
    if (!f->kind)
        full_mailboxes_remove(full, address, size);
    else if (f->kind == FAULT_LATER && f->status.subject == 2 && f->status.detail == 2)
        full_mailboxes_add(full, address, size, loop_now_ms(j->sender->owner));
}

static void judge_rcpt(struct verdict *v, size_t i)
{
    struct job *j = v->job;
    const struct fault *f = &j->result[i];
    const struct queue_rcpt *r = rcpt_of(j, i);
    if (r->notify & QUEUE_NOTIFY_EXPANDED) {
        tell_event(v, i, "delivery.expanded");
        add_told(v, i, DSN_EXPANDED);
        return;
    }
    note_room(j, i);
    switch (f->kind) {
    case FAULT_FINE:
        tell_event(v, i, "delivery.done");
        if (wants(r, DSN_NOTIFY_SUCCESS) && (j->is_local || !j->has_dsn))
            add_told(v, i, j->is_local ? DSN_DELIVERED : DSN_RELAYED);
        return;
    case FAULT_NEVER:
        tell_event(v, i, "delivery.failed");
        if (is_held_by_tls(v, f))
            v->bare[v->bare_count++] = *r;
        if (wants(r, DSN_NOTIFY_FAILURE))
            add_told(v, i, DSN_FAILED);
        return;
    case FAULT_LATER:
        if (v->is_expired) {
            tell_event(v, i, "delivery.expired");
            if (wants(r, DSN_NOTIFY_FAILURE))
                add_told(v, i, DSN_FAILED);
            return;
        }
        v->trouble = f;
        tell_event(v, i, "delivery.deferred");
        v->left[v->left_count++] = j->delivery->rcpt[i];
        if (v->is_delay_noticed && wants(r, DSN_NOTIFY_DELAY))
            add_told(v, i, DSN_DELAYED);
        return;
    }
}

/* Some recipients were taken and the others refused for their number alone (452, RFC 5321
 * 4.5.3.1.10): those go again at once. */
static bool is_crowded(const struct job *j)
{
    bool has_success = false, has_crowd = false;
    for (size_t i = 0; i < j->delivery->rcpt_count; i++) {
        has_success = has_success || !j->result[i].kind;
        has_crowd = has_crowd || (j->result[i].reply == 452 && j->result[i].status.subject == 5);
    }
    return has_success && has_crowd;
}

static void judge(struct verdict *v)
{
    struct job *j = v->job;
    const struct queue_envelope *e = &j->delivery->message->envelope;
    int64_t age = real_now_ms(j) - e->arrival_ms;
    int64_t notice_after = v->live->conf->queue.delay_notice_ms;
    v->is_expired = age > v->live->conf->queue.bounce_after_ms;
    v->is_delay_noticed = !j->delivery->is_delay_noticed && notice_after > 0 && age > notice_after;
    v->is_crowded = is_crowded(j);
    for (size_t i = 0; i < j->delivery->rcpt_count; i++)
        judge_rcpt(v, i);
}

static void read_original(void *arg)
{
    struct verdict *v = arg;
    const struct queue_message *m = v->job->delivery->message;
    /* What REQUIRETLS protects comes back as its header section alone (RFC 8689 section 5). */
    bool is_whole = m->body_size <= RETURN_LIMIT && !m->envelope.is_tls_required;
    v->original_fault = queue_read_body(v->job->sender->queue, m, 0,
                                        is_whole ? m->body_size : HEADER_LIMIT / 2, &v->original);
}

static void begin_notice_event(const struct verdict *v, struct event *e, const char *name)
{
    const struct queue_message *m = v->job->delivery->message;
    char about[QUEUE_ID_TEXT_MAX];
    event_begin(e, v->job->sender->options.log, name);
    event_text(e, "about", queue_id_text(m->id, about));
    event_text(e, "session", m->envelope.session);
    event_text(e, "to", m->envelope.sender);
}

/* A notice says what it has to say without the message too, when that cannot be read any more. */
static void get_original(struct verdict *v)
{
    struct event e;
    v->original = buf_make(HEADER_LIMIT);
    offload(read_original, v);
    if (!v->original_fault.kind)
        return;
    v->original.used = 0;
    begin_notice_event(v, &e, "notice.incomplete");
    event_fault(&e, &v->original_fault);
    event_end(&e);
}

static struct str unique_text(struct arena *a)
{
    return arena_printf(a, "%016llx", (unsigned long long)random_u64());
}

static struct fault write_notice(struct verdict *v, struct buf *out, bool *is_utf8)
{
    const struct job *j = v->job;
    const struct queue_message *m = j->delivery->message;
    struct address to;
    if (!address_parse(&v->arena, m->envelope.sender, ADDRESS_ALLOW_UTF8, &to))
        return fault_make(553, FAULT_STATUS(5, 1, 7), "the sender is not an address");
    int64_t now = real_now_ms(j) / 1000;
    struct str hostname = v->live->conf->hostname;
    size_t left = v->told_count - v->told_done;
    struct dsn dsn = {
        .hostname = hostname,
        .time = now,
        .offset_minutes = clock_zone_minutes(now),
        .message_id = arena_printf(&v->arena, STR_FMT "@" STR_FMT, STR_ARG(unique_text(&v->arena)),
                                   STR_ARG(hostname)),
        .boundary = arena_printf(&v->arena, "=_" STR_FMT, STR_ARG(unique_text(&v->arena))),
        .sender = &to,
        .envid = m->envelope.envid,
        .arrival = m->envelope.arrival_ms / 1000,
        .ret = m->envelope.is_tls_required ? DSN_RETURN_HEADERS : m->envelope.ret,
        .is_smtputf8 = m->envelope.is_utf8,
        .message = buf_str(&v->original),
        .is_message_whole = v->original.used == m->body_size,
        .message_limit = RETURN_LIMIT,
        .recipient = v->told + v->told_done,
        .recipient_count = left < NOTICE_RCPTS ? left : NOTICE_RCPTS,
    };
    *is_utf8 = dsn_is_utf8(&dsn);
    return dsn_append(out, &dsn)
               ? FINE
               : fault_make(552, FAULT_STATUS(5, 3, 4), "the notice is too large");
}

/* Puts the signatures of our domain on top; a notice that cannot be signed goes without. */
static void sign_notice(struct verdict *v, struct buf *text)
{
    const struct signing_order order = {.ring = v->job->sender->options.keys,
                                        .is_notice = true,
                                        .now_s = real_now_ms(v->job) / 1000};
    struct signing *signing = NULL;
    struct buf signed_text = buf_make(NOTICE_LIMIT);
    struct str section = str_head(buf_str(text), header_size(buf_str(text)));
    if (v->live->conf->signing == CONF_SIGNING_OFF || !order.ring)
        return;
    struct fault f = signing_begin(&order, 0, section, &signing);
    if (signing) {
        signing_add(signing, buf_str(text));
        f = signing_finish(signing, &signed_text);
    }
    if (signing && !f.kind && buf_append(&signed_text, buf_str(text))) {
        buf_free(text);
        *text = signed_text;
    } else {
        buf_free(&signed_text);
    }
    signing_free(signing);
    if (f.kind) {
        struct event e;
        begin_notice_event(v, &e, "notice.unsigned");
        event_fault(&e, &f);
        event_end(&e);
    }
}

/*
 * Writes a notice about the next recipients and gives it to the queue. LATER: not now, the same
 * notice again; NEVER: it cannot be, and nobody is told.
 */
static struct fault send_notice(struct verdict *v)
{
    struct job *j = v->job;
    struct queue *q = j->sender->queue;
    const struct queue_message *m = j->delivery->message;
    struct buf text = buf_make(NOTICE_LIMIT);
    struct queue_rcpt rcpt = {.address = m->envelope.sender, .notify = DSN_NOTIFY_NEVER};
    struct queue_envelope e = {.session = m->envelope.session,
                               .is_8bit = true,
                               .is_tls_required = m->envelope.is_tls_required,
                               .arrival_ms = real_now_ms(j),
                               .rcpt = &rcpt,
                               .rcpt_count = 1};
    uint64_t id = queue_new_id(q);
    struct fault f = write_notice(v, &text, &e.is_utf8);
    if (!f.kind)
        sign_notice(v, &text);
    if (!f.kind)
        f = queue_accept(q, id, &e, &text, 0);
    buf_free(&text);
    char id_text[QUEUE_ID_TEXT_MAX];
    struct event event;
    static const char *const names[] = {[FAULT_FINE] = "notice.accepted",
                                        [FAULT_LATER] = "notice.deferred",
                                        [FAULT_NEVER] = "notice.failed"};
    begin_notice_event(v, &event, names[f.kind]);
    event_text(&event, "message", queue_id_text(id, id_text));
    event_text(&event, "action", str_from(dsn_action_name(v->told[v->told_done].action)));
    event_fault(&event, &f);
    event_end(&event);
    return f;
}

/* Everything that comes from outside gets a trace field, a notice of our own has none. */
static bool is_ours(struct str notice)
{
    struct header_field f;
    return !header_find(notice, STR("Received"), &f);
}

static void read_notice(void *arg)
{
    struct verdict *v = arg;
    const struct queue_message *m = v->job->delivery->message;
    size_t n = m->body_size < NOTICE_LIMIT / 2 ? m->body_size : NOTICE_LIMIT / 2;
    v->original_fault = queue_read_body(v->job->sender->queue, m, 0, n, &v->original);
}

/*
 * Gives the queue a notice that says the same as this one and brings nothing back, for those whom this one must not
 * reach without TLS. LATER and NEVER as for send_notice.
 */
static struct fault send_bare_notice(struct verdict *v)
{
    struct queue *q = v->job->sender->queue;
    const struct queue_message *m = v->job->delivery->message;
    struct queue_envelope e = m->envelope;
    struct buf text = buf_make(NOTICE_LIMIT);
    uint64_t id = queue_new_id(q);
    e.is_tls_required = false;
    e.hold = STR_NONE;
    e.rcpt = v->bare;
    e.rcpt_count = v->bare_count;
    v->original = buf_make(NOTICE_LIMIT);
    offload(read_notice, v);
    struct fault f = v->original_fault;
    if (f.kind)
        f.kind = FAULT_NEVER;
    else if (!dsn_redact(&text, buf_str(&v->original)))
        f = fault_make(552, FAULT_STATUS(5, 3, 4), "the notice is too large");
    if (!f.kind && is_ours(buf_str(&text)))
        sign_notice(v, &text);
    if (!f.kind)
        f = queue_accept(q, id, &e, &text, 0);
    buf_free(&text);
    buf_free(&v->original);
    char id_text[QUEUE_ID_TEXT_MAX], about[QUEUE_ID_TEXT_MAX];
    struct event event;
    event_begin(&event, v->job->sender->options.log, "notice.redacted");
    event_text(&event, "about", queue_id_text(m->id, about));
    event_text(&event, "session", m->envelope.session);
    event_text(&event, "to", v->bare[0].address);
    event_text(&event, "message", queue_id_text(id, id_text));
    event_fault(&event, &f);
    event_end(&event);
    return f;
}

static void free_verdict(struct verdict *v)
{
    live_drop(v->job->sender->options.live, v->live);
    buf_free(&v->original);
    job_free(v->job);
    struct arena arena = v->arena;
    arena_free(&arena);
}

static void finish(struct verdict *v)
{
    struct job *j = v->job;
    struct queue_outcome outcome = {
        .left = v->left,
        .left_count = v->left_count,
        .trouble = v->trouble,
        .remote = str_from(j->remote),
        .dialogue = buf_str(&j->dialogue),
        .is_attempt = !v->is_crowded,
        .is_delay_noticed = v->is_delay_noticed,
        .pause_ms = v->is_crowded                    ? CROWDED_PAUSE_MS
                    : j->is_local && j->is_site_down ? LOCAL_PAUSE_MS
                                                     : 0,
    };
    queue_finish(j->sender->queue, j->delivery, &outcome);
    free_verdict(v);
}

/* The next thing that somebody is to be told; what is told or never can be counts as done. */
static struct fault tell_next(struct verdict *v)
{
    struct fault f = v->bare_count > 0 ? send_bare_notice(v) : send_notice(v);
    if (f.kind == FAULT_LATER)
        return f;
    if (v->bare_count > 0)
        v->bare_count = 0;
    else
        v->told_done += NOTICE_RCPTS;
    return FINE;
}

/*
 * A notice that cannot be accepted now (the disk is full) is tried again until it can; one that
 * never can is given up, and the delivery ends without it.
 */
static void notify_and_finish(void *arg)
{
    struct verdict *v = arg;
    int64_t pause_ms = 1000;
    if (v->told_count > 0)
        get_original(v);
    while (v->bare_count > 0 || v->told_done < v->told_count) {
        if (!tell_next(v).kind)
            continue;
        /* Shutting down: the delivery stays as it was, and after the restart it is tried anew. */
        if (task_sleep(pause_ms).kind) {
            free_verdict(v);
            return;
        }
        pause_ms = pause_ms < 60000 ? pause_ms * 2 : pause_ms;
    }
    finish(v);
}

void settle_job(struct job *j)
{
    struct arena arena = arena_make(ARENA_LIMIT);
    struct verdict *v = arena_alloc(&arena, sizeof *v);
    size_t count = j->delivery->rcpt_count;
    v->arena = arena;
    v->job = j;
    v->live = live_keep(j->sender->options.live);
    v->left = arena_alloc(&v->arena, count * sizeof *v->left);
    v->told = arena_alloc(&v->arena, count * sizeof *v->told);
    v->bare = arena_alloc(&v->arena, count * sizeof *v->bare);
    judge(v);
    if (j->delivery->message->envelope.sender.n == 0)
        v->told_count = 0;
    if (v->told_count == 0 && v->bare_count == 0)
        finish(v);
    else if (!task_start(j->sender->options.scope, "notice", notify_and_finish, v))
        abort();
}

void sender_bounce(struct sender *s, struct queue_delivery *d, const struct fault *fault)
{
    struct job *j = job_make(s, d);
    job_fail(j, fault);
    settle_job(j);
}
