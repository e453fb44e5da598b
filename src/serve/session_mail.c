/* SPDX-License-Identifier: ISC */
/*
 * session_mail.c - what we do about MAIL, DATA and the end of the message
 *
 * take_message is where the promise is made: when it returns FINE, envelope and content are on
 * stable storage (queue_accept waits for the journal), and only then is 250 said.
 */
#include <stdlib.h>

#include "directory/edit.h"
#include "mail/header.h"
#include "mail/received.h"
#include "net/offload.h"
#include "os/clock.h"
#include "serve/session.h"

enum {
    ARENA_LIMIT = 17 << 20, /* of a transaction: ENVELOPE_RCPT_MAX addresses with their ORCPT */
};

void session_forget(struct session *s)
{
    intake_drop(&s->transaction.intake);
    session_end_filtered_message(s);
    inspection_free(s->transaction.inspection);
    signing_free(s->transaction.signing);
    report_intake_free(s->transaction.report);
    map_free(&s->transaction.rcpt_seen);
    struct arena arena = s->transaction.arena;
    arena_free(&arena);
    s->transaction = (struct transaction){.arena = arena_make(ARENA_LIMIT)};
}

bool session_is_submission(const struct session *s)
{
    return s->options.kind == SMTP_SUBMISSION;
}

void session_begin_event(const struct session *s, struct event *e, const char *name)
{
    event_begin(e, s->visitor.server->log, name);
    event_text(e, "session", str_from(s->visitor.id));
}

struct may_send {
    struct directory *directory;
    struct str account, local, domain;
    bool may;
    struct fault fault;
};

static void ask_may_send(void *arg)
{
    struct may_send *m = arg;
    m->fault = directory_may_send_as(m->directory, m->account, m->local, m->domain, &m->may);
}

/* An authenticated sender uses its own addresses and aliases, or the null path of notices. */
static struct fault check_sender(struct session *s, const struct address *sender)
{
    if (s->account.n == 0 || sender->is_null)
        return FINE;
    struct may_send m = {.directory = s->visitor.server->directory,
                         .account = s->account,
                         .local = sender->local,
                         .domain = sender->domain};
    offload(ask_may_send, &m);
    if (m.fault.kind)
        return m.fault;
    return m.may ? FINE
                 : fault_make(550, FAULT_STATUS(5, 7, 1),
                              "this sender address does not belong to your account");
}

static struct fault on_mail(struct session *s, const struct smtp_mail *mail)
{
    struct server *server = s->visitor.server;
    struct fault f = server_may_begin(server);
    if (f.kind)
        return f;
    if (session_is_submission(s) && s->account.n == 0 && !s->visitor.is_trusted)
        return fault_make(530, FAULT_STATUS(5, 7, 0), "authentication required");
    f = check_sender(s, &mail->sender);
    if (f.kind)
        return f;
    session_forget(s);
    struct transaction *t = &s->transaction;
    f = session_pass_mail(s, address_text(&t->arena, &mail->sender));
    if (f.kind)
        return f;
    t->id = queue_new_id(server->queue);
    t->announced_size = mail->size;
    t->envelope = (struct queue_envelope){
        .sender = address_text(&t->arena, &mail->sender),
        .envid = arena_copy(&t->arena, mail->envid),
        .session = str_from(s->visitor.id),
        .account = s->account,
        .ret = (uint8_t)mail->ret,
        .is_8bit = mail->is_8bit,
        .is_utf8 = mail->is_utf8,
        .is_tls_required = mail->is_tls_required,
        .arrival_ms = clock_real_ms(),
    };
    f = session_filter_mail(s, mail);
    if (f.kind)
        session_forget(s);
    return f;
}

static struct fault make_body_file(void *owner, uint64_t id, struct file **out)
{
    return queue_body_file(owner, id, out);
}

static struct fault sync_body_file(void *owner, uint64_t id, struct file *file)
{
    return queue_body_sync(owner, id, file);
}

static struct fault discard_body_file(void *owner, uint64_t id)
{
    return queue_body_discard(owner, id);
}

static const struct intake_place queue_place = {make_body_file, sync_body_file, discard_body_file,
                                                INTAKE_TOP_MAX};

static struct fault on_data(struct session *s)
{
    struct transaction *t = &s->transaction;
    if (server_is_disk_low(s->visitor.server))
        return fault_make(452, FAULT_STATUS(4, 3, 1), "insufficient system storage");
    int64_t limit = s->visitor.live->conf->queue.in_flight_bytes;
    if (atomic_load(&s->visitor.server->in_flight_bytes) >= limit)
        return fault_make(452, FAULT_STATUS(4, 3, 1),
                          "too much mail is being received, try again later");
    struct fault f = session_filter_data(s);
    if (f.kind)
        return f;
    intake_start(&t->intake, &queue_place, s->visitor.server->queue, t->id,
                 &s->visitor.server->in_flight_bytes, limit, t->announced_size);
    session_begin_content(s);
    return FINE;
}

static void tell_message(const struct session *s, const struct transaction *t, uint64_t size,
                         const struct fault *f)
{
    char id[QUEUE_ID_TEXT_MAX];
    struct event e;
    session_begin_event(s, &e, f->kind ? "message.refused" : "message.accepted");
    event_text(&e, "message", queue_id_text(t->id, id));
    event_text(&e, "from", t->envelope.sender);
    event_number(&e, "recipients", (int64_t)(t->envelope.rcpt_count - t->alias_count));
    for (size_t i = 0; i < t->envelope.rcpt_count && i < 3; i++)
        if (!(t->envelope.rcpt[i].notify & QUEUE_NOTIFY_EXPANDED))
            event_text(&e, "to", t->envelope.rcpt[i].address);
    event_number(&e, "size", (int64_t)size);
    if (f->kind)
        event_fault(&e, f);
    event_end(&e);
}

static void discard_body(void *arg)
{
    struct session *s = arg;
    queue_body_discard(s->visitor.server->queue, s->transaction.id);
}

static struct fault accept_message(void *arg, struct buf *content, uint64_t file_size)
{
    struct session *s = arg;
    struct transaction *t = &s->transaction;
    /* A report, which has been read; or a filter wants nobody to have it. */
    if (t->envelope.rcpt_count == 0 || t->is_discarded) {
        if (file_size > 0)
            offload(discard_body, s);
        else
            buf_free(content);
        return FINE;
    }
    return queue_accept(s->visitor.server->queue, t->id, &t->envelope, content, file_size);
}

struct fault session_check_loop(const struct transaction *t)
{
    if (header_count(intake_header(&t->intake), STR("Received"), RECEIVED_LOOP_LIMIT + 1) <=
        RECEIVED_LOOP_LIMIT)
        return FINE;
    return fault_make(554, FAULT_STATUS(5, 4, 6), "mail loop: more than %d Received fields",
                      RECEIVED_LOOP_LIMIT);
}

/* "TLS-Required: No", once, where REQUIRETLS was not given (RFC 8689 section 3). */
static bool is_tls_optional(const struct transaction *t)
{
    struct header_field field;
    struct str header = intake_header(&t->intake);
    return !t->envelope.is_tls_required && header_count(header, STR("TLS-Required"), 2) == 1 &&
           header_find(header, STR("TLS-Required"), &field) &&
           str_equal_nocase(str_trim(field.value), STR("No"));
}

static struct fault take_message(struct session *s)
{
    struct transaction *t = &s->transaction;
    char id[QUEUE_ID_TEXT_MAX];
    uint64_t size = intake_size(&t->intake);
    struct fault f = session_check_loop(t);
    t->envelope.is_tls_optional = is_tls_optional(t);
    if (!f.kind)
        f = session_check_room(s, size);
    if (!f.kind)
        f = intake_finish(&t->intake, accept_message, s);
    tell_message(s, t, size, &f);
    session_report_inspection(s, &f);
    if (f.kind)
        return f;
    session_count_bytes(s, (int64_t)size);
    queue_pace(s->visitor.server->queue);
    struct str text = queue_id_text(t->id, id);
    return fault_make(250, FAULT_STATUS(2, 0, 0), "accepted as " STR_FMT, STR_ARG(text));
}

static bool on_message(struct session *s)
{
    struct fault f = take_message(s);
    session_note_refusal(s, &f);
    smtp_server_answer(&s->engine, &f);
    return !f.kind;
}

const struct session_handlers session_mail_handlers = {on_mail, session_on_rcpt, on_data,
                                                       on_message};
