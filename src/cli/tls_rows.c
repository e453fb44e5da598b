/* SPDX-License-Identifier: ISC */
/*
 * tls_rows.c - what is asked of TLS on a route, as JSON and for people
 */
#include "cli/tls_rows.h"

#include <stdio.h>

#include "base/encode.h"
#include "cli/say.h"
#include "cli/trial.h"

static bool has_dane(const struct route *r)
{
    for (size_t i = 0; i < r->host_count; i++)
        if (r->host[i].dane.state != DANE_ABSENT)
            return true;
    return false;
}

static const char *deciding(const struct route *r)
{
    if (has_dane(r))
        return "dane";
    if (r->sts.state == STS_FOUND)
        return "mta-sts";
    return r->tls == CONF_PEER_TLS_MAY ? "none" : "configuration";
}

json_t *tls_rows_policy(const struct route *r)
{
    static const char *const states[] = {[STS_ABSENT] = "",
                                         [STS_FOUND] = "",
                                         [STS_UNFETCHED] = "sts-policy-fetch-error",
                                         [STS_UNTRUSTED] = "sts-webpki-invalid",
                                         [STS_INVALID] = "sts-policy-invalid"};
    const struct sts_answer *a = &r->sts;
    json_t *o = json_pack("{s:s, s:b, s:s}", "policy", deciding(r), "dnssec", r->is_secure,
                          "result", states[a->state]);
    trial_put_text(o, "reason", a->trouble);
    if (a->state != STS_FOUND)
        return o;
    json_t *mx = json_array();
    for (size_t i = 0; i < a->policy.mx_count; i++)
        json_array_append_new(mx, json_stringn(a->policy.mx[i].p, a->policy.mx[i].n));
    json_object_set_new(o, "mode", json_string(mta_sts_mode_name(a->policy.mode)));
    json_object_set_new(o, "mx", mx);
    json_object_set_new(o, "max_age", json_integer(a->policy.max_age_s));
    json_object_set_new(o, "source", json_string(a->is_cached ? "cache" : "fetched"));
    json_object_set_new(o, "fetched", json_integer(a->fetched_s));
    trial_put_text(o, "id", a->id);
    return o;
}

json_t *tls_rows_dane(const struct dane *d)
{
    static const char *const states[] = {[DANE_ABSENT] = "absent",
                                         [DANE_USABLE] = "usable",
                                         [DANE_UNUSABLE] = "unusable",
                                         [DANE_FAILED] = "failed"};
    json_t *records = json_array();
    for (size_t i = 0; i < d->count; i++) {
        const struct dns_tlsa *t = &d->record[i];
        struct buf text = buf_make(2 * DNS_TLSA_DATA_MAX + 16);
        buf_printf(&text, "%u %u %u ", t->usage, t->selector, t->matching);
        encode_hex(&text, t->data);
        json_array_append_new(records, json_stringn(text.data, text.used));
        buf_free(&text);
    }
    json_t *o = json_pack("{s:s, s:o}", "state", states[d->state], "records", records);
    trial_put_text(o, "base", d->base);
    trial_put_text(o, "reason", fault_text(&d->fault));
    return o;
}

void tls_rows_print_policy(const json_t *policy)
{
    size_t index;
    json_t *mx;
    const char *kind = say_text(policy, "policy");
    printf("policy  %s%s", kind,
           json_is_true(json_object_get(policy, "dnssec")) ? ", MX by DNSSEC" : "");
    if (*say_text(policy, "mode")) {
        printf("; MTA-STS %s, %s, for", say_text(policy, "mode"), say_text(policy, "source"));
        json_array_foreach(json_object_get(policy, "mx"), index, mx)
            printf(" %s", json_string_value(mx));
    }
    if (*say_text(policy, "reason")) {
        printf("; %s ", say_text(policy, "result"));
        say_safely(say_text(policy, "reason"));
    }
    putchar('\n');
}

void tls_rows_print_dane(const json_t *host)
{
    size_t index;
    json_t *record;
    const json_t *dane = json_object_get(host, "dane");
    const char *state = say_text(dane, "state");
    if (strcmp(state, "absent") == 0)
        return;
    printf("DANE    %s ", state);
    say_safely(say_text(dane, "base"));
    say_safely(say_text(dane, "reason"));
    putchar('\n');
    json_array_foreach(json_object_get(dane, "records"), index, record)
        printf("TLSA    %s\n", json_string_value(record));
}
