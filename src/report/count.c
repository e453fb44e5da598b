/* SPDX-License-Identifier: ISC */
/*
 * count.c - what happened, as the outcomes that reports tell of
 */
#include "report/count.h"

#include <stdlib.h>

enum { STRINGS_MAX = 20 /* of a policy */, STRING_MAX = 500 };

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

static void count(struct report_store *s, struct report_outcome *o, json_t *policy, json_t *outcome)
{
    char *policy_text = dump(policy), *text = dump(outcome);
    o->policy = str_from(policy_text);
    o->text = str_from(text);
    o->count = 1;
    report_store_count(s, o);
    free(policy_text);
    free(text);
}

static json_t *published(const struct dmarc_record *r)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "p", dmarc_policy_name(r->p), "sp",
                     dmarc_policy_name(r->sp), "np", dmarc_policy_name(r->np), "adkim",
                     r->is_dkim_strict ? "s" : "r", "aspf", r->is_spf_strict ? "s" : "r", "testing",
                     r->is_test ? "y" : "n");
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
static json_t *signatures(const struct report_message *m)
{
    json_t *list = json_array();
    for (int passed = 1; passed >= 0; passed--)
        for (size_t i = 0; i < m->signature_count; i++) {
            const struct report_signature *g = &m->signature[i];
            bool is_here = (strcmp(g->result, "pass") == 0) == passed && g->domain.n > 0 &&
                           json_array_size(list) < REPORT_SIGNATURES_MAX;
            if (is_here)
                json_array_append_new(list, json_pack("[o, o, s]", text_of(g->domain),
                                                      text_of(g->selector), g->result));
        }
    return list;
}

static const char *disposition_name(const struct report_message *m)
{
    bool has_passed = m->dmarc->result == DMARC_PASS && m->disposition == DMARC_ASKS_NONE;
    return has_passed && m->dmarc->asked != DMARC_ASKS_NONE ? "pass"
                                                            : dmarc_policy_name(m->disposition);
}

void report_count_dmarc(struct report_store *s, const struct report_message *m)
{
    char ip[IP_TEXT_MAX];
    const struct dmarc_verdict *v = m->dmarc;
    if (v->record_domain.n == 0 || v->record.rua.n == 0 || v->result == DMARC_NONE)
        return;
    json_t *o =
        json_pack("{s:o, s:s, s:s, s:s, s:o, s:o}", "ip", text_of(ip_format(&m->ip, ip)),
                  "disposition", disposition_name(m), "dkim", v->is_dkim_aligned ? "pass" : "fail",
                  "spf", v->is_spf_aligned ? "pass" : "fail", "from", text_of(v->author),
                  "signatures", signatures(m));
    const char *reason = find_reason(m);
    if (reason)
        json_object_set_new(o, "reason", json_string(reason));
    set_text(o, "envelope_from", m->envelope_domain);
    if (m->spf_result && m->spf_domain.n > 0) {
        set_text(o, "spf_domain", m->spf_domain);
        json_object_set_new(o, "spf_result", json_string(m->spf_result));
    }
    count(s,
          &(struct report_outcome){.kind = REPORT_DMARC,
                                   .domain = v->record_domain,
                                   .rua = v->record.rua,
                                   .time_s = m->time_s},
          published(&v->record), o);
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
