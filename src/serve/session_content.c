/* SPDX-License-Identifier: ISC */
/*
 * session_content.c - what a message gets on its way in: our trace field, what submission adds, and for mail of
 * strangers what the checks say of it
 */
#include "mail/header.h"
#include "mail/received.h"
#include "net/offload.h"
#include "os/clock.h"
#include "serve/inspection_report.h"
#include "serve/key_cache.h"
#include "serve/greylist_book.h"
#include "serve/session.h"
#include "serve/submit.h"

void session_append_received(const struct session *s, const struct address *recipient,
                             struct buf *out)
{
    char ip[IP_TEXT_MAX], id[QUEUE_ID_TEXT_MAX];
    int64_t now = clock_real_ms() / 1000;
    struct conn *c = s->visitor.conn;
    struct received r = {
        .helo = smtp_server_helo(&s->engine),
        .client_name = s->gate ? str_from(s->gate->client_name) : STR_NONE,
        .client_ip = s->visitor.is_ip ? ip_format(&s->visitor.ip, ip) : STR_NONE,
        .hostname = s->visitor.live->conf->hostname,
        .is_lmtp = s->options.kind == SMTP_LMTP,
        .is_extended = s->engine.is_extended,
        .is_tls = conn_is_tls(c),
        .is_authenticated = s->account.n > 0,
        .is_utf8 = s->transaction.envelope.is_utf8,
        .tls_version = str_from(conn_tls_version(c)),
        .tls_cipher = str_from(conn_tls_cipher(c)),
        .id = queue_id_text(s->transaction.id, id),
        .recipient = recipient,
        .time = now,
        .offset_minutes = clock_zone_minutes(now),
    };
    received_append(out, &r);
}

void session_ask_client_name(struct session *s)
{
    bool is_first = s->gate && !s->gate->is_name_known;
    if (!s->gate || s->visitor.listener->role != CONF_ROLE_MX)
        return;
    gate_client_name(s->gate);
    struct fault f = fault_make(451, FAULT_STATUS(4, 4, 3), STR_FMT, STR_ARG(s->gate->name.reason));
    if (is_first && s->gate->is_name_failed)
        visitor_tell(&s->visitor, "smtp.name.failed", &f);
}

static void add_trace(struct session *s)
{
    struct transaction *t = &s->transaction;
    struct buf field = buf_make(RECEIVED_FIELD_MAX);
    session_append_received(s, t->asked_rcpts == 1 ? &t->only_rcpt : NULL, &field);
    t->trace_size = field.used;
    intake_add(&t->intake, buf_str(&field));
    buf_free(&field);
}

/*
 * Puts the empty line where the header section ends with a line that is no field: a reader that skips such a line would
 * find fields behind it that nobody has checked, and in front of the first line it would become a part of our trace field.
 */
static void keep_apart(const struct session *s, struct buf *content)
{
    struct str message = str_skip(buf_str(content), s->transaction.trace_size);
    size_t end = header_gap(message);
    if (end == message.n)
        return;
    end += s->transaction.trace_size;
    struct buf apart = buf_make(content->limit);
    buf_append(&apart, str_head(buf_str(content), end));
    buf_append(&apart, STR("\r\n"));
    buf_append(&apart, str_skip(buf_str(content), end));
    buf_free(content);
    *content = apart;
}

/* The header section may go on behind what is here, with a Bcc field perhaps. */
static bool is_header_open(struct str content)
{
    struct header_field field;
    struct header_iterator i = header_iterate(content);
    while (header_next(&i, &field))
        ;
    return !i.has_separator && !str_has(i.rest, '\n');
}

/* Whether the message comes from somebody who must be believed by what the checks say alone. */
static bool is_inspected(const struct session *s)
{
    const struct visitor *v = &s->visitor;
    return v->listener->role == CONF_ROLE_MX &&
           v->listener->authentication != CONF_AUTHENTICATION_OFF && v->is_ip && !v->is_local &&
           !v->is_trusted && s->account.n == 0;
}

static bool has_forged(struct str content, struct str hostname)
{
    struct header_field field;
    struct header_iterator i = header_iterate(content);
    while (header_next(&i, &field))
        if (inspection_is_forged(field.name, field.value, hostname))
            return true;
    return false;
}

/* Takes away the fields that only we may write; false when there are none. */
static bool drop_forged(const struct session *s, struct buf *content)
{
    struct str hostname = s->visitor.live->conf->hostname;
    if (!has_forged(buf_str(content), hostname))
        return false;
    struct buf kept = buf_make(content->limit);
    struct header_field field;
    struct header_iterator i = header_iterate(buf_str(content));
    while (header_next(&i, &field))
        if (!inspection_is_forged(field.name, field.value, hostname))
            buf_append(&kept, field.whole);
    if (i.has_separator)
        buf_append(&kept, STR("\r\n"));
    buf_append(&kept, i.rest);
    buf_free(content);
    *content = kept;
    return true;
}

static struct fault refuse_large_header(void)
{
    return fault_make(552, FAULT_STATUS(5, 3, 4), "the header section is larger than %d bytes",
                      INTAKE_MEMORY_MAX);
}

/* Where the header section ends is plain to all, and the end is here. */
static struct fault bound_header(const struct session *s, struct buf *content)
{
    keep_apart(s, content);
    if (content->used >= INTAKE_MEMORY_MAX && is_header_open(buf_str(content)))
        return refuse_large_header();
    return FINE;
}

/* The checks get the header section as it came, below our own field. */
static struct fault begin_inspection(void *arg, struct buf *content)
{
    struct session *s = arg;
    struct transaction *t = &s->transaction;
    struct fault f = bound_header(s, content);
    if (f.kind)
        return f;
    struct str message = str_skip(buf_str(content), t->trace_size);
    size_t size = header_size(message);
    t->inspection = inspection_begin(str_head(message, size), clock_real_ms() / 1000);
    t->unread_header =
        drop_forged(s, content) ? header_size(buf_str(content)) : t->trace_size + size;
    return FINE;
}

static void read_for_inspection(void *arg, struct str piece)
{
    struct session *s = arg;
    size_t header = s->transaction.unread_header;
    if (header > piece.n)
        header = piece.n;
    s->transaction.unread_header -= header;
    inspection_read(s->transaction.inspection, str_skip(piece, header));
}

static void begin_check_event(const struct session *s, struct event *e, const char *name,
                              const char *result, struct str domain)
{
    char id[QUEUE_ID_TEXT_MAX];
    session_begin_event(s, e, name);
    event_text(e, "message", queue_id_text(s->transaction.id, id));
    event_text(e, "result", str_from(result));
    if (domain.n > 0)
        event_text(e, "domain", domain);
}

static void end_check_event(struct event *e, struct str reason)
{
    if (reason.n > 0)
        event_text(e, "reason", reason);
    event_end(e);
}

__attribute__((noinline)) static void tell_signature(const struct session *s,
                                                     const struct dkim_verdict *v)
{
    struct event e;
    begin_check_event(s, &e, "check.dkim", dkim_result_name(v->result), v->domain);
    if (v->selector.n > 0)
        event_text(&e, "selector", v->selector);
    end_check_event(&e, str_from(v->reason));
}

/* Each verdict with its reason. Its events are not to lie on the stack while the checks run. */
__attribute__((noinline)) static void tell_inspection(const struct session *s,
                                                      const struct inspection *i)
{
    static const char *const actions[] = {[INSPECTION_TAKE] = "take",
                                          [INSPECTION_MARK_JUNK] = "mark",
                                          [INSPECTION_REFUSE] = "refuse"};
    struct event e;
    begin_check_event(s, &e, "check.spf", spf_result_name(i->spf.result), i->spf.domain);
    if (i->spf.mechanism.n > 0)
        event_text(&e, "mechanism", i->spf.mechanism);
    end_check_event(&e, i->spf.reason);
    for (size_t k = 0; k < dkim_verify_count(i->dkim); k++)
        tell_signature(s, dkim_verify_verdict(i->dkim, k));
    if (i->arc->result != ARC_NONE) {
        begin_check_event(s, &e, "check.arc", arc_result_name(i->arc->result), STR_NONE);
        end_check_event(&e, str_from(i->arc->reason));
    }
    begin_check_event(s, &e, "check.dmarc", dmarc_result_name(i->dmarc.result), i->dmarc.author);
    event_text(&e, "policy", str_from(dmarc_policy_name(i->dmarc.policy)));
    event_text(&e, "action", str_from(actions[i->action]));
    if (i->is_list)
        event_flag(&e, "list", true);
    if (i->vouched_by.n > 0)
        event_text(&e, "vouched", i->vouched_by);
    if (i->history.n > 0)
        event_text(&e, "history", i->history);
    end_check_event(&e, i->dmarc.reason);
}

struct history {
    const struct session *session;
    struct str author;
    int64_t days;
    struct fault fault;
};

static void ask_history(void *arg)
{
    struct history *h = arg;
    const struct session *s = h->session;
    h->fault = greylist_book_days(s->visitor.server->greylist, s->visitor.listener->policy,
                                  &s->visitor.ip, h->author, clock_real_ms(), &h->days);
}

static void add_history(void *arg)
{
    struct history *h = arg;
    const struct session *s = h->session;
    h->fault = greylist_book_praise(s->visitor.server->greylist, s->visitor.listener->policy,
                                    &s->visitor.ip, h->author, clock_real_ms());
}

static void tell_history(const struct history *h)
{
    struct event e;
    if (!h->fault.kind)
        return;
    session_begin_event(h->session, &e, "policy.failed");
    event_fault(&e, &h->fault);
    event_end(&e);
}

static int64_t count_days(void *arg, struct str author)
{
    struct history h = {.session = arg, .author = author};
    if (h.session->visitor.server->greylist)
        offload(ask_history, &h);
    tell_history(&h);
    return h.days;
}

/* What is genuine and not marked speaks for its domain's mail from the network that it came from. */
static void praise(const struct session *s, const struct inspection *i)
{
    struct history h = {.session = s, .author = i->dmarc.author};
    struct greylist_book *book = s->visitor.server->greylist;
    if (!book || i->action != INSPECTION_TAKE || i->dmarc.result != DMARC_PASS ||
        greylist_book_has_praised(book, &s->visitor.ip, h.author, clock_real_ms()))
        return;
    offload(add_history, &h);
    tell_history(&h);
}

/* All of the message is here: what the checks say decides, and stands on top of it. */
static struct fault judge(void *arg, struct buf *top)
{
    struct session *s = arg;
    const struct conf_listener *listener = s->visitor.listener;
    struct inspection *i = s->transaction.inspection;
    struct inspection_visit visit = {
        .ip = s->visitor.ip,
        .helo = smtp_server_helo(&s->engine),
        .sender = s->transaction.envelope.sender,
        .client_name = s->gate ? str_from(s->gate->client_name) : STR_NONE,
        .hostname = s->visitor.live->conf->hostname,
        .now_s = clock_real_ms() / 1000,
        .deadline_ms = visitor_deadline(INSPECTION_TIME_MS - (s->gate ? s->gate->asked_ms : 0)),
        .questions_asked = s->gate ? s->gate->questions : 0,
        .mark = s->gate ? gate_mark(s->gate) : STR_NONE,
        .resolver = s->visitor.server->resolver,
        .opener = key_cache_opener(s->visitor.server->opened_keys),
        .forwarders = listener->trusted_forwarders.item,
        .forwarder_count = listener->trusted_forwarders.count,
        .count_days = count_days,
        .arg = s,
        .history_days = listener->history_days,
        .may_refuse = listener->authentication == CONF_AUTHENTICATION_REFUSE,
        .may_mark = listener->authentication >= CONF_AUTHENTICATION_MARK,
    };
    inspection_decide(i, &visit);
    praise(s, i);
    tell_inspection(s, i);
    if (i->action == INSPECTION_REFUSE)
        return i->fault;
    if (!inspection_append(i, &visit, top))
        return fault_make(451, FAULT_STATUS(4, 3, 0), "the verdicts have no room");
    return FINE;
}

void session_report_inspection(const struct session *s, const struct fault *outcome)
{
    const struct inspection *i = s->transaction.inspection;
    const struct inspection_visit visit = {.ip = s->visitor.ip,
                                           .sender = s->transaction.envelope.sender,
                                           .now_s = clock_real_ms() / 1000};
    /* No report about reports: two servers would tell each other of theirs for ever. */
    bool is_report = s->transaction.is_report && s->transaction.asked_rcpts == 1;
    struct report_store *reports = s->visitor.server->reports;
    if (i && reports && s->visitor.live->conf->reports.is_sending && !is_report &&
        outcome->kind != FAULT_LATER)
        inspection_report(i, &visit, reports);
}

/* What the policy marks where nobody looks any closer. */
static struct fault put_mark(void *arg, struct buf *top)
{
    const struct session *s = arg;
    struct str mark = s->gate ? gate_mark(s->gate) : STR_NONE;
    return mark.n == 0 || header_append(top, STR(INSPECTION_MARK), mark)
               ? FINE
               : fault_make(451, FAULT_STATUS(4, 3, 0), "the mark has no room");
}

/* Nobody writes in our name, whoever he is: who is believed may hand on what strangers wrote (RFC 8601 section 5). */
static struct fault prepare_trusted(void *arg, struct buf *content)
{
    const struct session *s = arg;
    struct fault f = bound_header(s, content);
    if (!f.kind)
        drop_forged(s, content);
    return f;
}

/* Adds what RFC 6409 lets a submission server add; the trace field stays in front. */
static struct fault repair(void *arg, struct buf *content)
{
    struct session *s = arg;
    char id[QUEUE_ID_TEXT_MAX];
    int64_t now = clock_real_ms() / 1000;
    struct fault f = prepare_trusted(s, content);
    if (f.kind)
        return f;
    struct buf repaired = buf_make(content->limit);
    if (submit_repair(buf_str(content), s->visitor.live->conf->hostname,
                      queue_id_text(s->transaction.id, id), now, clock_zone_minutes(now),
                      &repaired)) {
        buf_free(content);
        *content = repaired;
    }
    return FINE;
}

/* Mail of ours that goes unsigned although its author's domain is ours. */
static void tell_unsigned(const struct session *s, const struct fault *f)
{
    char id[QUEUE_ID_TEXT_MAX];
    struct event e;
    session_begin_event(s, &e, "message.unsigned");
    event_text(&e, "message", queue_id_text(s->transaction.id, id));
    event_fault(&e, f);
    event_end(&e);
}

/* The signatures are made over what leaves: after every repair, without the first skip octets. */
static struct fault begin_signing(struct session *s, struct str content, size_t skip)
{
    struct transaction *t = &s->transaction;
    int wish = s->visitor.live->conf->signing;
    const struct signing_order order = {
        .ring = s->visitor.server->keys, .account = s->account, .now_s = clock_real_ms() / 1000};
    if (wish == CONF_SIGNING_OFF)
        return FINE;
    struct str message = str_skip(content, skip);
    struct fault f =
        signing_begin(&order, skip, str_head(message, header_size(message)), &t->signing);
    if (!f.kind || wish == CONF_SIGNING_REQUIRED)
        return f;
    tell_unsigned(s, &f);
    return FINE;
}

static struct fault prepare_submission(void *arg, struct buf *content)
{
    struct session *s = arg;
    struct fault f = repair(arg, content);
    /* Filters have the last word on what is signed. */
    return f.kind || s->filtering ? f
                                  : begin_signing(s, buf_str(content), s->transaction.trace_size);
}

static void read_for_signing(void *arg, struct str piece)
{
    struct session *s = arg;
    if (s->transaction.signing)
        signing_add(s->transaction.signing, piece);
}

static struct fault sign(void *arg, struct buf *top)
{
    struct session *s = arg;
    struct signing *signing = s->transaction.signing;
    struct fault f = signing ? signing_finish(signing, top) : FINE;
    if (!f.kind || s->visitor.live->conf->signing == CONF_SIGNING_REQUIRED)
        return f;
    tell_unsigned(s, &f);
    return FINE;
}

static void read_memory_for_signing(void *arg)
{
    struct session *s = arg;
    read_for_signing(s, buf_str(&s->transaction.intake.content));
}

struct file_signing {
    struct session *session;
    struct buf head;
    struct fault fault;
};

/* The next piece of the content in the file, from the offset on. */
static bool load_piece(struct file_signing *j, uint64_t offset)
{
    struct intake *i = &j->session->transaction.intake;
    uint64_t left = i->file_size - offset;
    size_t size = left < j->head.limit ? (size_t)left : j->head.limit, got = 0;
    j->head.used = 0;
    if (size == 0 || !buf_reserve(&j->head, size))
        return false;
    j->fault = file_read_at(i->file, j->head.data, size, (int64_t)(i->file_start + offset), &got);
    j->head.used = got;
    return !j->fault.kind && got > 0;
}

static void load_first(void *arg)
{
    load_piece(arg, 0);
}

static void read_file_for_signing(void *arg)
{
    struct file_signing *j = arg;
    for (uint64_t offset = 0; load_piece(j, offset); offset += j->head.used)
        read_for_signing(j->session, buf_str(&j->head));
}

static struct fault sign_file(struct session *s)
{
    struct file_signing j = {.session = s, .head = buf_make(INTAKE_MEMORY_MAX + INTAKE_TOP_MAX)};
    offload(load_first, &j);
    struct fault f = j.fault;
    if (!f.kind)
        f = begin_signing(s, buf_str(&j.head), 0);
    if (!f.kind && s->transaction.signing) {
        offload(read_file_for_signing, &j);
        f = j.fault;
    }
    buf_free(&j.head);
    return f;
}

struct fault session_sign(struct session *s, struct intake *i, struct buf *top)
{
    if (!session_is_submission(s))
        return FINE;
    struct fault f = i->file ? sign_file(s) : begin_signing(s, buf_str(&i->content), 0);
    if (!f.kind && !i->file && s->transaction.signing)
        offload(read_memory_for_signing, s);
    return f.kind ? f : sign(s, top);
}

/* Keeps the report that the mail brings, after the others have judged it. */
static struct fault judge_report(void *arg, struct buf *top)
{
    struct session *s = arg;
    struct transaction *t = &s->transaction;
    char id[QUEUE_ID_TEXT_MAX];
    const struct inspection *i = t->inspection;
    struct fault f = FINE;
    if (i)
        f = judge(s, top);
    else if (session_is_submission(s))
        f = sign(s, top);
    if (f.kind)
        return f;
    struct str sender = t->envelope.sender;
    struct report_visit visit = {
        .submitter = i ? i->dmarc.author : str_skip(sender, str_last_index(sender, '@') + 1),
        .is_authentic = i && i->dmarc.result == DMARC_PASS,
        .is_mail_too = t->envelope.rcpt_count > 0,
        .now_s = clock_real_ms() / 1000,
        .message = queue_id_text(t->id, id),
        .session = str_from(s->visitor.id),
    };
    return report_intake_finish(t->report, &visit);
}

void session_begin_content(struct session *s)
{
    session_ask_client_name(s);
    add_trace(s);
    if (is_inspected(s))
        s->transaction.intake.reader = (struct intake_reader){
            .prepare = begin_inspection, .read = read_for_inspection, .judge = judge, .arg = s};
    else if (session_is_submission(s))
        s->transaction.intake.reader = (struct intake_reader){
            .prepare = prepare_submission, .read = read_for_signing, .judge = sign, .arg = s};
    else
        s->transaction.intake.reader =
            (struct intake_reader){.prepare = prepare_trusted, .judge = put_mark, .arg = s};
    if (s->transaction.is_report) {
        struct intake_reader *reader = &s->transaction.intake.reader;
        s->transaction.report = report_intake_make(s->visitor.server, reader, judge_report);
    }
    if (s->filtering) {
        s->transaction.intake.reader.edit = session_filter_content;
        s->transaction.intake.reader.edit_arg = s;
    }
}
