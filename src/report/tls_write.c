/* SPDX-License-Identifier: ISC */
/*
 * tls_write.c - a report about TLS as JSON
 */
#include "report/tls_write.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"

static json_t *time_text(int64_t unix_seconds)
{
    struct time_parts p = time_split(unix_seconds);
    char text[40];
    snprintf(text, sizeof text, "%04lld-%02u-%02uT%02u:%02u:%02uZ", (long long)p.year, p.month,
             p.day, p.hour, p.minute, p.second);
    return json_string(text);
}

static json_t *text_of(struct str s)
{
    return json_stringn(s.n ? s.p : "", s.n);
}

static json_t *failure_of(const struct report_row *row)
{
    static const struct {
        const char *ours, *name;
    } names[] = {
        {"result", "result-type"},        {"sending_ip", "sending-mta-ip"},
        {"receiving_ip", "receiving-ip"}, {"mx", "receiving-mx-hostname"},
        {"helo", "receiving-mx-helo"},    {"reason", "failure-reason-code"},
    };
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *text = json_object_get(row->outcome, names[i].ours);
        if (text)
            json_object_set(o, names[i].name, text);
    }
    json_object_set_new(o, "failed-session-count", json_integer(row->count));
    return o;
}

/* The head of a policy's entry. That of DANE is about a host's domain (RFC 8460 section 1.1). */
static json_t *entry_of(const struct report_draft *d, const json_t *policy)
{
    json_t *domain = json_object_get(policy, "domain");
    json_t *strings = json_object_get(policy, "string"), *mx = json_object_get(policy, "mx");
    json_t *o =
        json_pack("{s:O, s:o}", "policy-type", json_object_get(policy, "type"), "policy-domain",
                  domain ? json_incref(domain) : text_of(d->ticket.domain));
    if (strings)
        json_object_set(o, "policy-string", strings);
    if (mx)
        json_object_set(o, "mx-host", mx);
    return json_pack("{s:o}", "policy", o);
}

/* The entry of all rows with the policy of the first that is left; those are taken from the list. */
static json_t *take_policy(const struct report_draft *d, const json_t *policy, bool *is_done)
{
    int64_t good = 0, bad = 0;
    json_t *failures = json_array(), *entry = entry_of(d, policy);
    for (size_t i = 0; i < d->row_count; i++) {
        const struct report_row *row = &d->row[i];
        if (is_done[i] || !json_equal(json_object_get(row->outcome, "policy"), policy))
            continue;
        bool is_failure = json_object_get(row->outcome, "result");
        *(is_failure ? &bad : &good) += row->count;
        if (is_failure)
            json_array_append_new(failures, failure_of(row));
        is_done[i] = true;
    }
    json_object_set_new(entry, "summary",
                        json_pack("{s:I, s:I}", "total-successful-session-count", (json_int_t)good,
                                  "total-failure-session-count", (json_int_t)bad));
    if (json_array_size(failures) > 0)
        json_object_set(entry, "failure-details", failures);
    json_decref(failures);
    return entry;
}

static json_t *policies_of(const struct report_draft *d)
{
    json_t *list = json_array();
    bool *is_done = calloc(d->row_count + 1, sizeof *is_done);
    if (!is_done)
        abort();
    for (size_t i = 0; i < d->row_count; i++)
        if (!is_done[i])
            json_array_append_new(
                list, take_policy(d, json_object_get(d->row[i].outcome, "policy"), is_done));
    free(is_done);
    return list;
}

bool tls_report_write(const struct report_draft *d, const struct report_author *by, struct buf *out)
{
    json_t *report =
        json_pack("{s:o, s:{s:o, s:o}, s:o, s:o, s:o}", "organization-name",
                  text_of(by->organization), "date-range", "start-datetime", time_text(d->begin_s),
                  "end-datetime", time_text(d->end_s), "contact-info", text_of(by->address),
                  "report-id", text_of(by->report_id), "policies", policies_of(d));
    char *text = json_dumps(report, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    bool is_good = text && buf_append(out, str_from(text));
    free(text);
    json_decref(report);
    return is_good;
}
