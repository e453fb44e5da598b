/* SPDX-License-Identifier: ISC */
/*
 * count.c - what happened, as the outcomes that reports tell of
 */
#include "report/count.h"

#include <stdlib.h>

#include "base/buf.h"

enum { STRINGS_MAX = 20 /* of a policy */, STRING_MAX = 500 };

/* Octets of an outcome: strings of the longest kind, each octet of them escaped. */
enum { TEXT_MAX = (3 * REPORT_SIGNATURES_MAX + 20) * 2 * STRING_MAX, USUAL_TEXT = 512 };

/* A JSON string: what is not printable ASCII is '?', no text of a stranger is longer. */
static json_t *text_of(struct str s)
{
    char text[STRING_MAX];
    s = str_head(s, sizeof text);
    for (size_t i = 0; i < s.n; i++)
        text[i] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?';
    return json_stringn(text, s.n);
}

static void set_text(json_t *o, const char *name, struct str s)
{
    if (s.n > 0)
        json_object_set_new(o, name, text_of(s));
}

/* Takes the object. The text is to be freed. */
static char *dump(json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        abort();
    json_decref(o);
    return text;
}

static void count(struct report_store *s, struct report_outcome *o, struct str policy,
                  struct str text)
{
    o->policy = policy;
    o->text = text;
    o->count = 1;
    report_store_count(s, o);
}

/* What is counted for each message is written without the library, which would take longer than a check of SPF. */
static void put_string(struct buf *out, struct str s)
{
    s = str_head(s, STRING_MAX);
    if (!buf_reserve(out, 2 * s.n + 2))
        return;
    char *to = out->data + out->used;
    *to++ = '"';
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?';
        if (c == '"' || c == '\\')
            *to++ = '\\';
        *to++ = c;
    }
    *to++ = '"';
    out->used = (size_t)(to - out->data);
}

static void put_name(struct buf *out, const char *name)
{
    buf_append_byte(out, out->used == 0 ? '{' : ',');
    put_string(out, str_from(name));
    buf_append_byte(out, ':');
}

static void put(struct buf *out, const char *name, const char *value)
{
    put_name(out, name);
    put_string(out, str_from(value));
}

/* Nothing for an empty text. */
static void put_text(struct buf *out, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    put_name(out, name);
    put_string(out, value);
}

static void put_published(struct buf *out, const struct dmarc_record *r)
{
    put(out, "p", dmarc_policy_name(r->p));
    put(out, "sp", dmarc_policy_name(r->sp));
    put(out, "np", dmarc_policy_name(r->np));
    put(out, "adkim", r->is_dkim_strict ? "s" : "r");
    put(out, "aspf", r->is_spf_strict ? "s" : "r");
    put(out, "testing", r->is_test ? "y" : "n");
    buf_append_byte(out, '}');
}

/* Why the message was not treated as its policy asked. */
static const char *find_reason(const struct report_message *m)
{
    if (m->dmarc->result != DMARC_FAIL)
        return NULL;
    if (m->disposition != m->dmarc->policy)
        return m->is_vouched ? "trusted_forwarder" : m->is_list ? "mailing_list" : "local_policy";
    return m->disposition != m->dmarc->asked ? "policy_test_mode" : NULL;
}

/* What passed comes first. */
static void put_signatures(struct buf *out, const struct report_message *m)
{
    size_t count = 0;
    put_name(out, "signatures");
    buf_append_byte(out, '[');
    for (int passed = 1; passed >= 0; passed--)
        for (size_t i = 0; i < m->signature_count; i++) {
            const struct report_signature *g = &m->signature[i];
            if ((strcmp(g->result, "pass") == 0) != passed || g->domain.n == 0 ||
                count == REPORT_SIGNATURES_MAX)
                continue;
            buf_append(out, count++ == 0 ? STR("[") : STR(",["));
            put_string(out, g->domain);
            buf_append_byte(out, ',');
            put_string(out, g->selector);
            buf_append_byte(out, ',');
            put_string(out, str_from(g->result));
            buf_append_byte(out, ']');
        }
    buf_append_byte(out, ']');
}

static const char *disposition_name(const struct report_message *m)
{
    bool has_passed = m->dmarc->result == DMARC_PASS && m->disposition == DMARC_ASKS_NONE;
    return has_passed && m->dmarc->asked != DMARC_ASKS_NONE ? "pass"
                                                            : dmarc_policy_name(m->disposition);
}

static void put_message(struct buf *out, const struct report_message *m)
{
    char ip[IP_TEXT_MAX];
    const struct dmarc_verdict *v = m->dmarc;
    const char *reason = find_reason(m);
    put_text(out, "ip", ip_format(&m->ip, ip));
    put(out, "disposition", disposition_name(m));
    put(out, "dkim", v->is_dkim_aligned ? "pass" : "fail");
    put(out, "spf", v->is_spf_aligned ? "pass" : "fail");
    put_name(out, "from");
    put_string(out, v->author);
    put_signatures(out, m);
    if (reason)
        put(out, "reason", reason);
    put_text(out, "envelope_from", m->envelope_domain);
    if (m->spf_result && m->spf_domain.n > 0) {
        put_text(out, "spf_domain", m->spf_domain);
        put(out, "spf_result", m->spf_result);
    }
    buf_append_byte(out, '}');
}

void report_count_dmarc(struct report_store *s, const struct report_message *m)
{
    const struct dmarc_verdict *v = m->dmarc;
    if (v->record_domain.n == 0 || v->record.rua.n == 0 || v->result == DMARC_NONE)
        return;
    struct buf policy = buf_make(TEXT_MAX), text = buf_make(TEXT_MAX);
    buf_reserve(&policy, USUAL_TEXT);
    buf_reserve(&text, USUAL_TEXT);
    put_published(&policy, &v->record);
    put_message(&text, m);
    count(s,
          &(struct report_outcome){.kind = REPORT_DMARC,
                                   .domain = v->record_domain,
                                   .rua = v->record.rua,
                                   .time_s = m->time_s},
          buf_str(&policy), buf_str(&text));
    buf_free(&policy);
    buf_free(&text);
}

static json_t *strings_of(const struct str *item, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count && i < STRINGS_MAX; i++)
        json_array_append_new(list, text_of(item[i]));
    return list;
}

static json_t *policy_of(const struct report_tls *t)
{
    json_t *policy = json_pack("{s:s}", "type", t->policy_type);
    if (!str_equal_nocase(t->policy_domain, t->domain))
        set_text(policy, "domain", t->policy_domain);
    if (t->policy_string_count > 0)
        json_object_set_new(policy, "string", strings_of(t->policy_string, t->policy_string_count));
    if (t->mx_pattern_count > 0)
        json_object_set_new(policy, "mx", strings_of(t->mx_pattern, t->mx_pattern_count));
    return policy;
}

/* The texts lie behind the outcome. One report has all policies of a domain, so they are a part of its text. */
static struct report_outcome *keep_outcome(const struct report_tls *t, struct str text)
{
    const struct str policy = STR("{}");
    struct report_outcome *o = malloc(sizeof *o + t->domain.n + policy.n + text.n);
    if (!o)
        abort();
    char *room = (char *)(o + 1);
    *o = (struct report_outcome){.kind = REPORT_TLS, .time_s = t->time_s, .count = 1};
    const struct str from[] = {t->domain, policy, text};
    struct str *const to[] = {&o->domain, &o->policy, &o->text};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        memcpy(room, from[i].p, from[i].n);
        *to[i] = str_make(room, from[i].n);
        room += from[i].n;
    }
    return o;
}

struct report_outcome *report_tls_outcome(const struct report_tls *t)
{
    json_t *o = json_pack("{s:o}", "policy", policy_of(t));
    if (t->failure) {
        json_object_set_new(o, "result", json_string(t->failure));
        set_text(o, "sending_ip", t->sending_ip);
        set_text(o, "receiving_ip", t->receiving_ip);
        set_text(o, "mx", t->receiving_mx);
        set_text(o, "helo", t->receiving_helo);
        set_text(o, "reason", t->reason);
    }
    char *text = dump(o);
    struct report_outcome *outcome = keep_outcome(t, str_from(text));
    free(text);
    return outcome;
}
