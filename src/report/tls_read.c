/* SPDX-License-Identifier: ISC */
/*
 * tls_read.c - reports about TLS
 */
#include "report/tls_read.h"

#include "base/num.h"
#include "base/time.h"

enum { POLICIES_MAX = 1000, STRINGS_MAX = 50 };

/* How deep it is nested: jansson calls itself for each level. */
static bool is_shallow(struct str json)
{
    unsigned depth = 0;
    bool is_quoted = false;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (is_quoted && c == '\\')
            i++;
        else if (c == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && (c == '{' || c == '[') && ++depth > TLS_READ_DEPTH_MAX)
            return false;
        else if (!is_quoted && (c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return true;
}

static struct str string_of(const json_t *o, const char *name)
{
    const json_t *text = json_object_get(o, name);
    return str_make(json_string_value(text), json_string_length(text));
}

/* Numbers come as numbers, with a fraction of nothing perhaps; some write them as texts. */
static int64_t count_of(const json_t *o, const char *name)
{
    const json_t *number = json_object_get(o, name);
    if (!json_is_number(number))
        return document_count(string_of(o, name));
    double count = json_number_value(number);
    return count < 0 ? 0 : count > (double)DOCUMENT_COUNT_MAX ? DOCUMENT_COUNT_MAX : (int64_t)count;
}

static void copy_text(json_t *to, const char *as, const json_t *from, const char *name)
{
    char room[DOCUMENT_TEXT_ROOM];
    struct str text = document_clean(string_of(from, name), room);
    if (text.n > 0)
        json_object_set_new(to, as, json_stringn(text.p, text.n));
}

static void copy_list(json_t *to, const char *as, const json_t *from, const char *name)
{
    char room[DOCUMENT_TEXT_ROOM];
    json_t *list = json_array();
    const json_t *item, *items = json_object_get(from, name);
    size_t i;
    json_array_foreach(items, i, item)
    {
        struct str text =
            document_clean(str_make(json_string_value(item), json_string_length(item)), room);
        if (i < STRINGS_MAX && text.n > 0)
            json_array_append_new(list, json_stringn(text.p, text.n));
    }
    if (json_array_size(list) > 0)
        json_object_set_new(to, as, list);
    else
        json_decref(list);
}

static void add_failure(struct document *d, const json_t *failure)
{
    json_t *o = json_object();
    copy_text(o, "result", failure, "result-type");
    copy_text(o, "sending_ip", failure, "sending-mta-ip");
    copy_text(o, "receiving_ip", failure, "receiving-ip");
    copy_text(o, "mx", failure, "receiving-mx-hostname");
    copy_text(o, "helo", failure, "receiving-mx-helo");
    copy_text(o, "reason", failure, "failure-reason-code");
    copy_text(o, "info", failure, "additional-information");
    document_add(d, count_of(failure, "failed-session-count"), o);
}

static int64_t sum(int64_t a, int64_t b)
{
    return a + b < DOCUMENT_COUNT_MAX ? a + b : DOCUMENT_COUNT_MAX;
}

static void add_policy(struct document *d, const json_t *entry)
{
    const json_t *policy = json_object_get(entry, "policy"), *failure;
    const json_t *summary = json_object_get(entry, "summary");
    int64_t good = count_of(summary, "total-successful-session-count");
    int64_t bad = count_of(summary, "total-failure-session-count");
    json_t *o = json_object();
    size_t i;
    copy_text(o, "policy", policy, "policy-type");
    copy_text(o, "domain", policy, "policy-domain");
    copy_list(o, "string", policy, "policy-string");
    copy_list(o, "mx", policy, "mx-host");
    json_object_set_new(o, "good", json_integer(good));
    json_object_set_new(o, "bad", json_integer(bad));
    if (d->domain.n == 0)
        d->domain = document_name(d, string_of(policy, "policy-domain"));
    d->good = sum(d->good, good);
    d->bad = sum(d->bad, bad);
    document_add(d, sum(good, bad), o);
    json_array_foreach(json_object_get(entry, "failure-details"), i, failure)
    {
        add_failure(d, failure);
    }
}

static bool take_number(struct str *rest, size_t digits, char behind, unsigned *out)
{
    uint64_t number;
    if (rest->n < digits || !num_parse(str_head(*rest, digits), 9999, &number))
        return false;
    *rest = str_skip(*rest, digits);
    if (behind && (rest->n == 0 || rest->p[0] != behind))
        return false;
    *rest = str_skip(*rest, behind != '\0');
    *out = (unsigned)number;
    return true;
}

/* "2026-03-01T00:00:00Z" (RFC 3339); the zone is not looked at, reports are about days. -1 when it is none. */
static int64_t time_of(const json_t *o, const char *name)
{
    struct str rest = string_of(o, name);
    unsigned year;
    struct time_parts p = {0};
    if (!take_number(&rest, 4, '-', &year) || !take_number(&rest, 2, '-', &p.month) ||
        !take_number(&rest, 2, 'T', &p.day) || !take_number(&rest, 2, ':', &p.hour) ||
        !take_number(&rest, 2, ':', &p.minute) || !take_number(&rest, 2, '\0', &p.second))
        return -1;
    p.year = year;
    if (year < 1970 || p.month < 1 || p.month > 12 || p.day < 1 || p.day > 31 || p.hour > 23 ||
        p.minute > 59 || p.second > 60)
        return -1;
    return time_join(&p);
}

struct fault tls_report_read(struct str json, struct document *out)
{
    if (json.n > TLS_READ_MAX || !is_shallow(json))
        return fault_make(554, FAULT_STATUS(5, 6, 0), "the report is too %s",
                          json.n > TLS_READ_MAX ? "large" : "deep");
    if (str_starts(json, STR("\xef\xbb\xbf")))
        json =
            str_skip(json, 3); /* a byte order mark is no part of the text (RFC 8259 section 8.1) */
    json_t *root = json_loadb(json.n ? json.p : "", json.n, 0, NULL);
    if (!root)
        return fault_make(554, FAULT_STATUS(5, 6, 0), "the report cannot be read: it is no JSON");
    const json_t *range = json_object_get(root, "date-range"), *entry;
    size_t i;
    out->organization = document_text(out, string_of(root, "organization-name"));
    out->report_id = document_text(out, string_of(root, "report-id"));
    out->begin_s = time_of(range, "start-datetime");
    out->end_s = time_of(range, "end-datetime");
    copy_text(out->about, "contact", root, "contact-info");
    json_array_foreach(json_object_get(root, "policies"), i, entry)
    {
        if (i < POLICIES_MAX)
            add_policy(out, entry);
    }
    json_decref(root);
    if (document_is_whole(out))
        return FINE;
    return fault_make(554, FAULT_STATUS(5, 6, 0),
                      "the report cannot be read: organization, report id, domain or time is "
                      "missing");
}
