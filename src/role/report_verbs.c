/* SPDX-License-Identifier: ISC */
/*
 * report_verbs.c - what an operator may ask the mta about reports
 */
#include "net/offload.h"
#include "report/shelf.h"
#include "role/mta_internal.h"

/* A question to the file. */
struct search {
    struct report_store *store;
    struct shelf_filter filter;
    int64_t id;
    json_t *found;
};

static struct str text_of(const json_t *request, const char *name)
{
    const json_t *text = json_object_get(request, name);
    return str_make(json_string_value(text), json_string_length(text));
}

static void list(void *arg)
{
    struct search *s = arg;
    s->found = shelf_list(s->store, &s->filter);
}

static void get(void *arg)
{
    struct search *s = arg;
    s->found = shelf_get(s->store, s->id);
}

static struct fault has_store(const struct mta *m)
{
    return m->steward.server.reports
               ? FINE
               : fault_make(451, FAULT_STATUS(4, 3, 0),
                            "reports.db cannot be opened; the event report.store.failed says why");
}

static struct fault verb_list(struct control *c, void *role, const json_t *request)
{
    struct mta *m = role;
    struct search s = {
        .store = m->steward.server.reports,
        .filter = {.domain = text_of(request, "domain"),
                   .since_s = json_integer_value(json_object_get(request, "since_s"))}};
    struct fault f = has_store(m);
    json_t *report;
    size_t i;
    if (f.kind)
        return f;
    offload(list, &s);
    if (!s.found)
        return fault_make(451, FAULT_STATUS(4, 3, 0), "reports.db cannot be read");
    json_array_foreach(s.found, i, report)
    {
        f = control_say(c, json_incref(report));
        if (f.kind)
            break;
    }
    json_decref(s.found);
    return f;
}

/* The report, then each of its records. */
static struct fault verb_show(struct control *c, void *role, const json_t *request)
{
    struct mta *m = role;
    struct search s = {.store = m->steward.server.reports,
                       .id = json_integer_value(json_object_get(request, "id"))};
    json_t *record;
    size_t i;
    struct fault f = has_store(m);
    if (f.kind)
        return f;
    offload(get, &s);
    if (!s.found)
        return fault_make(550, FAULT_STATUS(5, 0, 0), "there is no such report");
    json_t *records = json_incref(json_object_get(s.found, "records"));
    json_object_del(s.found, "records");
    f = control_say(c, s.found);
    json_array_foreach(records, i, record)
    {
        if (!f.kind)
            f = control_say(c, json_incref(record));
    }
    json_decref(records);
    return f;
}

static struct fault verb_send(struct control *c, void *role, const json_t *request)
{
    struct mta *m = role;
    struct courier_tally tally;
    struct fault f = has_store(m);
    if (!f.kind)
        f = courier_send(&m->courier, text_of(request, "domain"), &tally);
    if (f.kind)
        return f;
    return control_say(c,
                       json_pack("{s:I, s:I, s:I}", "sent", (json_int_t)tally.sent, "waiting",
                                 (json_int_t)tally.waiting, "dropped", (json_int_t)tally.dropped));
}

/* clang-format off */
const struct control_verb report_verbs[] = {
    {"reports.list", verb_list},
    {"reports.show", verb_show},
    {"reports.send", verb_send},
    {NULL, NULL},
};
/* clang-format on */
