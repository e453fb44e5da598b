/* SPDX-License-Identifier: ISC */
/*
 * courier.c - the reports of a day that has ended go to who wants them
 */
#include "report/courier.h"

#include "check/report_destination.h"
#include "event/event.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "net/inquiry.h"
#include "net/offload.h"
#include "os/clock.h"
#include "os/random.h"
#include "report/letter.h"
#include "report/outbox.h"
#include "sign/signing.h"

enum {
    QUESTIONS_MAX = 100,
    TIME_MS = 30000,
    ANSWERS_LIMIT = QUESTIONS_MAX * INQUIRY_ANSWER_BYTES,
    TICKETS_ARENA = 16 << 20,
    TRIP_ARENA = 1 << 20,
    TO_MAX = LETTER_RECIPIENTS_MAX * (REPORT_ADDRESS_MAX + 2),
    BUSY_MS = 50
};

/* One report on its way. */
struct trip {
    struct courier *courier;
    struct live *live;
    struct report_draft draft;
    struct report_author by;
    struct arena arena;
    struct queue_rcpt rcpt[LETTER_RECIPIENTS_MAX];
    uint64_t limit_bytes[LETTER_RECIPIENTS_MAX];
    size_t rcpt_count;
    bool is_dns_down;
    struct buf packed;
    struct fault fault;
    int64_t now_s;
};

static void tell(struct trip *t, const char *name, const struct fault *f)
{
    struct event e;
    event_begin(&e, t->courier->log, name);
    event_text(&e, "kind", str_from(report_kind_name(t->draft.ticket.kind)));
    event_text(&e, "domain", t->draft.ticket.domain);
    event_text(&e, "report", t->by.report_id);
    for (size_t i = 0; i < t->rcpt_count; i++)
        event_text(&e, "to", t->rcpt[i].address);
    if (f)
        event_fault(&e, f);
    event_end(&e);
}

/* Adds an address that is one, once. */
static void add_recipient(struct trip *t, const struct report_uri *uri)
{
    struct address address;
    if (!address_parse(&t->arena, str_make(uri->address, uri->address_n), 0, &address) ||
        t->rcpt_count == LETTER_RECIPIENTS_MAX)
        return;
    struct str text = address_text(&t->arena, &address);
    for (size_t i = 0; i < t->rcpt_count; i++)
        if (str_equal_nocase(t->rcpt[i].address, text))
            return;
    t->limit_bytes[t->rcpt_count] = uri->limit_bytes;
    t->rcpt[t->rcpt_count++] = (struct queue_rcpt){.address = text, .notify = DSN_NOTIFY_NEVER};
}

static enum report_consent ask_consent(struct trip *t, struct report_uri *uri)
{
    if (t->draft.ticket.kind == REPORT_TLS)
        return REPORT_CONSENT_GIVEN; /* RFC 8460 asks for none */
    struct arena arena = arena_make(ANSWERS_LIMIT);
    struct inquiry inquiry = {.resolver = t->courier->resolver,
                              .deadline_ms = clock_now_ms() + TIME_MS};
    struct asker asker = inquiry_asker(&inquiry, &arena, QUESTIONS_MAX);
    enum report_consent consent = report_destination_check(t->draft.ticket.domain, uri, &asker);
    arena_free(&arena);
    return consent;
}

/* Everybody who may be told, up to a bound. */
static void find_recipients(struct trip *t)
{
    struct report_uri uri;
    struct str rest = t->draft.rua;
    for (size_t i = 0; i < LETTER_RECIPIENTS_MAX && report_uri_next(&rest, &uri); i++) {
        if (uri.is_https)
            continue;
        enum report_consent consent = ask_consent(t, &uri);
        t->is_dns_down |= consent == REPORT_CONSENT_UNKNOWN;
        if (consent == REPORT_CONSENT_GIVEN)
            add_recipient(t, &uri);
    }
}

static struct fault append_letter(struct trip *t, struct buf *out)
{
    struct buf to = buf_make(TO_MAX);
    struct letter letter = {
        .draft = &t->draft,
        .by = &t->by,
        .boundary = arena_printf(&t->arena, "=_%016llx", (unsigned long long)random_u64()),
        .time_s = t->now_s,
        .zone_minutes = clock_zone_minutes(t->now_s)};
    for (size_t i = 0; i < t->rcpt_count; i++)
        buf_printf(&to, "%s" STR_FMT, i > 0 ? ", " : "", STR_ARG(t->rcpt[i].address));
    letter.to = buf_str(&to);
    bool is_good = letter_append(&letter, buf_str(&t->packed), out);
    buf_free(&to);
    return is_good ? FINE : fault_make(552, FAULT_STATUS(5, 3, 4), "the report is too large");
}

/* Leaves out who wants none that large; true when somebody was. */
static bool leave_out(struct trip *t, uint64_t size)
{
    size_t kept = 0;
    bool has_left = false;
    for (size_t i = 0; i < t->rcpt_count; i++) {
        bool fits = size <= t->limit_bytes[i];
        has_left |= !fits;
        t->rcpt[kept] = t->rcpt[i];
        t->limit_bytes[kept] = t->limit_bytes[i];
        kept += fits;
    }
    t->rcpt_count = kept;
    return has_left;
}

static struct fault write_letter(struct trip *t, struct buf *out)
{
    struct fault f;
    do {
        out->used = 0;
        f = append_letter(t, out);
    } while (!f.kind && leave_out(t, out->used) && t->rcpt_count > 0);
    if (!f.kind && t->rcpt_count == 0)
        return fault_make(552, FAULT_STATUS(5, 3, 4),
                          "the report is larger than its addresses want it");
    return f;
}

/* False: there is no signature, and the report passes for ours by SPF alone. */
static bool sign(struct trip *t, struct buf *text)
{
    const struct signing_order order = {
        .ring = t->courier->keys, .is_notice = true, .now_s = t->now_s};
    struct signing *signing = NULL;
    struct buf whole = buf_make((size_t)LETTER_MAX * 2);
    struct str section = str_head(buf_str(text), header_size(buf_str(text)));
    if (t->live->conf->signing == CONF_SIGNING_OFF || !order.ring)
        return false;
    struct fault f = signing_begin(&order, 0, section, &signing);
    if (signing) {
        signing_add(signing, buf_str(text));
        f = signing_finish(signing, &whole);
    }
    bool is_signed = signing && !f.kind && buf_append(&whole, buf_str(text));
    if (is_signed) {
        buf_free(text);
        *text = whole;
    } else {
        buf_free(&whole);
    }
    signing_free(signing);
    if (f.kind)
        tell(t, "report.unsigned", &f);
    return is_signed;
}

/* The sender is our own address, so that SPF speaks for the mail, too; nobody is told of failures (NOTIFY=NEVER). */
static struct fault hand_over(struct trip *t, struct buf *text)
{
    struct queue_envelope e = {.sender = t->by.address,
                               .is_tls_optional = t->draft.ticket.kind == REPORT_TLS,
                               .arrival_ms = t->now_s * 1000,
                               .rcpt = t->rcpt,
                               .rcpt_count = t->rcpt_count};
    return queue_accept(t->courier->queue, queue_new_id(t->courier->queue), &e, text, 0);
}

static void pack(void *arg)
{
    struct trip *t = arg;
    if (!letter_pack(&t->draft, &t->by, &t->packed))
        t->fault = fault_make(552, FAULT_STATUS(5, 3, 4), "the report is too large");
}

static struct fault deliver(struct trip *t)
{
    struct buf text = buf_make((size_t)LETTER_MAX * 2);
    find_recipients(t);
    if (t->rcpt_count == 0 && t->is_dns_down)
        return fault_make(451, FAULT_STATUS(4, 4, 3),
                          "the DNS does not say whether somebody wants the report");
    if (t->rcpt_count == 0)
        return fault_make(550, FAULT_STATUS(5, 7, 1), "no address wants the report");
    offload(pack, t);
    struct fault f = t->fault;
    if (!f.kind)
        f = write_letter(t, &text);
    /* RFC 8460 section 3: who cannot be known for sure tells nothing about TLS. */
    if (!f.kind && !sign(t, &text) && t->draft.ticket.kind == REPORT_TLS)
        f = fault_make(451, FAULT_STATUS(4, 7, 5), "reports about TLS must be signed");
    if (!f.kind)
        f = hand_over(t, &text);
    buf_free(&text);
    return f;
}

static void read_draft(void *arg)
{
    struct trip *t = arg;
    t->fault = report_outbox_close(t->courier->store, t->draft.ticket.id, t->now_s, &t->draft);
}

static void remove_draft(void *arg)
{
    struct trip *t = arg;
    t->fault = report_outbox_remove(t->courier->store, t->draft.ticket.id);
}

static void introduce(struct trip *t)
{
    const struct conf *conf = t->live->conf;
    struct str host = conf->hostname;
    t->by = (struct report_author){
        .organization = conf->reports.organization.n > 0 ? conf->reports.organization : host,
        .address = conf->reports.from.n > 0
                       ? conf->reports.from
                       : arena_printf(&t->arena, "postmaster@" STR_FMT, STR_ARG(host)),
        .hostname = host,
        .report_id = arena_printf(&t->arena, "%lld.%lld." STR_FMT "@" STR_FMT,
                                  (long long)t->draft.ticket.day, (long long)t->draft.ticket.id,
                                  STR_ARG(report_store_nonce(t->courier->store)), STR_ARG(host)),
    };
}

/* What became of a report: it goes when the queue has it, when nobody wants it, and when it has waited too long. */
static void settle(struct trip *t, const struct fault *f, struct courier_tally *tally)
{
    bool is_old = t->now_s - t->draft.end_s > REPORT_PATIENCE_S;
    if (f->kind == FAULT_LATER && !is_old) {
        tally->waiting++;
        tell(t, "report.deferred", f);
        return;
    }
    tell(t, f->kind ? "report.dropped" : "report.sent", f);
    *(f->kind ? &tally->dropped : &tally->sent) += 1;
    offload(remove_draft, t);
    if (t->fault.kind)
        tell(t, "report.kept", &t->fault);
}

static void send_one(struct courier *c, const struct report_ticket *ticket,
                     struct courier_tally *tally)
{
    struct trip t = {.courier = c,
                     .live = live_keep(c->live),
                     .draft.ticket = *ticket,
                     .arena = arena_make(TRIP_ARENA),
                     .packed = buf_make(LETTER_MAX / 2),
                     .now_s = clock_real_ms() / 1000};
    offload(read_draft, &t);
    if (t.fault.kind == FAULT_LATER)
        tally->waiting++;
    if (!t.fault.kind) {
        introduce(&t);
        struct fault f = deliver(&t);
        t.fault = FINE;
        settle(&t, &f, tally);
    }
    report_draft_free(&t.draft);
    buf_free(&t.packed);
    live_drop(c->live, t.live);
    arena_free(&t.arena);
}

struct listing {
    struct report_store *store;
    struct arena arena;
    struct report_ticket *ticket;
    size_t count;
    struct fault fault;
};

static void flush_and_list(void *arg)
{
    struct listing *l = arg;
    l->fault = report_store_flush(l->store);
    if (!l->fault.kind)
        l->fault = report_outbox_list(l->store, &l->arena, &l->ticket, &l->count);
}

/* A domain's moment is the same every day. */
static bool is_due(const struct report_ticket *t, int64_t now_s)
{
    static const uint64_t seed[2] = {1, 2};
    int64_t wait = REPORT_REST_S + (int64_t)(map_hash(seed, t->domain) % REPORT_SPREAD_S);
    return now_s >= (t->day + 1) * REPORT_DAY_S + wait;
}

static struct fault send_all(struct courier *c, bool is_forced, struct str domain,
                             struct courier_tally *tally)
{
    struct listing l = {.store = c->store, .arena = arena_make(TICKETS_ARENA)};
    offload(flush_and_list, &l);
    int64_t now_s = clock_real_ms() / 1000;
    for (size_t i = 0; i < l.count && !task_is_cancelled(); i++) {
        const struct report_ticket *t = &l.ticket[i];
        bool is_meant = domain.n == 0 || str_equal_nocase(t->domain, domain);
        if (is_meant && (is_forced || is_due(t, now_s)))
            send_one(c, t, tally);
    }
    arena_free(&l.arena);
    return l.fault;
}

struct fault courier_send(struct courier *c, struct str domain, struct courier_tally *out)
{
    *out = (struct courier_tally){0};
    while (c->is_busy) {
        struct fault f = task_sleep(BUSY_MS);
        if (f.kind)
            return f;
    }
    c->is_busy = true;
    struct fault f = send_all(c, true, domain, out);
    c->is_busy = false;
    return f;
}

static void flush(void *arg)
{
    struct listing *l = arg;
    l->fault = report_store_flush(l->store);
}

static void tell_fault(struct courier *c, const struct fault *f)
{
    struct event e;
    if (!f->kind)
        return;
    event_begin(&e, c->log, "report.store.failed");
    event_fault(&e, f);
    event_end(&e);
}

static struct fault write_down(struct courier *c)
{
    struct listing l = {.store = c->store};
    if (report_store_has_news(c->store))
        offload(flush, &l);
    return l.fault;
}

static struct fault send_due(struct courier *c)
{
    struct courier_tally tally = {0};
    c->is_busy = true;
    struct fault f = send_all(c, false, STR_NONE, &tally);
    c->is_busy = false;
    return f;
}

void courier_run(void *courier)
{
    struct courier *c = courier;
    /* After a start, what has waited comes first. */
    int64_t round_ms = loop_now_ms(c->bell.loop) + REPORT_FLUSH_MS;
    while (!bell_wait_until(&c->bell, round_ms).kind) {
        /* What is counted in the next moments is written with what was. */
        if (loop_now_ms(c->bell.loop) < round_ms && task_sleep(REPORT_FLUSH_MS).kind)
            return;
        bool is_due = loop_now_ms(c->bell.loop) >= round_ms && !c->is_busy;
        struct fault f = is_due ? send_due(c) : write_down(c);
        if (loop_now_ms(c->bell.loop) >= round_ms)
            round_ms = loop_now_ms(c->bell.loop) + (is_due ? REPORT_ROUND_MS : REPORT_FLUSH_MS);
        if (report_store_has_news(c->store))
            bell_ring(&c->bell); /* a disk that refuses it is asked again */
        tell_fault(c, &f);
    }
}
