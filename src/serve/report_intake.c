/* SPDX-License-Identifier: ISC */
/*
 * report_intake.c - mail to the address for reports is read while it is taken in
 */
#include "serve/report_intake.h"

#include <stdlib.h>

#include "net/offload.h"
#include "report/reading.h"

struct report_intake {
    struct server *server;
    struct intake_reader inner; /* who reads besides */
    struct buf message;
    bool has_place, is_crowded, is_too_large;
    const struct report_visit *visit;
    struct document document;
    bool is_new, is_foreign;
    struct fault fault;
};

static void take_place(struct report_intake *r)
{
    if (r->has_place || r->is_crowded)
        return;
    r->has_place = atomic_fetch_add(&r->server->report_readers, 1) < REPORT_READERS_MAX;
    r->is_crowded = !r->has_place;
    if (r->is_crowded)
        atomic_fetch_sub(&r->server->report_readers, 1);
}

static void give_place(struct report_intake *r)
{
    if (r->has_place)
        atomic_fetch_sub(&r->server->report_readers, 1);
    r->has_place = false;
    buf_free(&r->message);
}

static struct fault prepare(void *arg, struct buf *content)
{
    struct report_intake *r = arg;
    return r->inner.prepare ? r->inner.prepare(r->inner.arg, content) : FINE;
}

static void read_along(void *arg, struct str piece)
{
    struct report_intake *r = arg;
    take_place(r);
    if (r->has_place && !r->is_too_large)
        r->is_too_large = !buf_append(&r->message, piece);
    if (r->inner.read)
        r->inner.read(r->inner.arg, piece);
}

static struct fault judge_inner(void *arg, struct buf *top)
{
    struct report_intake *r = arg;
    return r->inner.judge(r->inner.arg, top);
}

struct report_intake *report_intake_make(struct server *server, struct intake_reader *reader,
                                         struct fault (*judge)(void *arg, struct buf *top))
{
    struct report_intake *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    r->server = server;
    r->inner = *reader;
    r->inner.judge = judge;
    r->message = buf_make(READING_MESSAGE_MAX);
    *reader = (struct intake_reader){
        .prepare = prepare, .read = read_along, .judge = judge_inner, .arg = r};
    return r;
}

void report_intake_free(struct report_intake *r)
{
    if (!r)
        return;
    give_place(r);
    document_free(&r->document);
    free(r);
}

/* Ours are the directory's domains and what is below them. */
static struct fault find_owner(struct report_intake *r, bool *is_ours)
{
    struct str domain = r->document.domain, label;
    struct fault f;
    do
        f = directory_has_domain(r->server->directory, domain, is_ours);
    while (!f.kind && !*is_ours && str_cut(domain, '.', &label, &domain));
    return f;
}

static void read_and_keep(void *arg)
{
    struct report_intake *r = arg;
    const struct shelf_origin origin = {.submitter = r->visit->submitter,
                                        .is_authentic = r->visit->is_authentic,
                                        .arrived_s = r->visit->now_s};
    bool is_ours = false;
    r->fault = report_read(buf_str(&r->message), &r->document);
    if (!r->fault.kind)
        r->fault = find_owner(r, &is_ours);
    if (!r->fault.kind && !is_ours)
        r->fault = fault_make(550, FAULT_STATUS(5, 7, 1),
                              "the report is about " STR_FMT ", which is not ours",
                              STR_ARG(str_head(r->document.domain, 120)));
    if (!r->fault.kind && !r->server->reports)
        r->fault = fault_make(451, FAULT_STATUS(4, 3, 0), "reports.db cannot be opened");
    if (!r->fault.kind)
        r->fault = shelf_add(r->server->reports, &r->document, &origin, &r->is_new);
}

static void tell(const struct report_intake *r)
{
    const struct report_visit *v = r->visit;
    struct event e;
    event_begin(&e, r->server->log, r->fault.kind ? "report.unread" : "report.received");
    event_text(&e, "session", v->session);
    event_text(&e, "message", v->message);
    event_text(&e, "submitter", v->submitter);
    if (!r->fault.kind) {
        event_text(&e, "kind", str_from(report_kind_name(r->document.kind)));
        event_text(&e, "domain", r->document.domain);
        event_text(&e, "organization", r->document.organization);
        event_text(&e, "report", r->document.report_id);
        event_number(&e, "records", (int64_t)r->document.count);
        event_flag(&e, "new", r->is_new);
    }
    event_fault(&e, &r->fault);
    event_end(&e);
}

struct fault report_intake_finish(struct report_intake *r, const struct report_visit *visit)
{
    r->visit = visit;
    if (r->is_crowded)
        r->fault = fault_make(451, FAULT_STATUS(4, 3, 2), "too many reports at a time");
    else if (r->is_too_large)
        r->fault = fault_make(552, FAULT_STATUS(5, 3, 4), "a report is not that large");
    else
        offload(read_and_keep, r);
    give_place(r);
    tell(r);
    return r->fault.kind == FAULT_NEVER && visit->is_mail_too ? FINE : r->fault;
}
