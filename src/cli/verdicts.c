/* SPDX-License-Identifier: ISC */
/*
 * verdicts.c - what the checks say, as JSON and as rows of a table
 */
#include "cli/verdicts.h"

#include "cli/say.h"
#include "cli/trial.h"

static json_t *begin(const char *result, struct str domain, struct str reason)
{
    json_t *o = json_pack("{s:s}", "result", result);
    trial_put_text(o, "domain", domain);
    trial_put_text(o, "reason", reason);
    return o;
}

static void put_number(json_t *o, const char *name, int64_t number)
{
    json_object_set_new(o, name, json_integer(number));
}

static void put_flag(json_t *o, const char *name, bool is_set)
{
    json_object_set_new(o, name, json_boolean(is_set));
}

json_t *verdict_spf(const struct spf_verdict *v)
{
    json_t *o = begin(spf_result_name(v->result), v->domain, v->reason);
    trial_put_text(o, "identity", v->identity == SPF_HELO ? STR("helo") : STR("mailfrom"));
    trial_put_text(o, "sender", v->sender);
    trial_put_text(o, "mechanism", v->mechanism);
    trial_put_text(o, "explanation", v->explanation);
    put_number(o, "terms", v->terms);
    put_number(o, "voids", v->voids);
    return o;
}

json_t *verdict_dkim(const struct dkim_verdict *v)
{
    json_t *o = begin(dkim_result_name(v->result), v->domain, str_from(v->reason));
    trial_put_text(o, "selector", v->selector);
    trial_put_text(o, "identity", v->identity);
    trial_put_text(o, "algorithm", str_from(v->algorithm));
    trial_put_text(o, "b", v->b);
    put_number(o, "key_bits", v->key_bits);
    put_flag(o, "is_testing", v->is_testing);
    put_flag(o, "is_key_secure", v->is_key_secure);
    if (v->has_length)
        put_number(o, "uncovered_octets", (int64_t)v->uncovered_octets);
    if (v->signed_at >= 0)
        put_number(o, "signed_at", v->signed_at);
    if (v->expires_at >= 0)
        put_number(o, "expires_at", v->expires_at);
    return o;
}

/* The domain of a chain is that of its newest seal. */
json_t *verdict_arc(const struct arc_verdict *v)
{
    json_t *o = begin(arc_result_name(v->result), v->count > 0 ? v->sealer[v->count - 1] : STR_NONE,
                      str_from(v->reason));
    json_t *sealers = json_array();
    for (size_t k = 0; k < v->count; k++)
        json_array_append_new(sealers, json_stringn(v->sealer[k].p, v->sealer[k].n));
    json_object_set_new(o, "sealers", sealers);
    put_number(o, "instance", (int64_t)v->instance);
    if (v->result == ARC_PASS)
        json_object_set_new(o, "oldest_pass", json_integer((json_int_t)v->oldest_pass));
    put_flag(o, "is_temporary", v->is_temporary);
    return o;
}

json_t *verdict_dmarc(const struct inspection *i)
{
    const struct dmarc_verdict *v = &i->dmarc;
    bool has_record = v->record_domain.n > 0;
    json_t *o = begin(i->author_trouble ? "permerror" : dmarc_result_name(v->result), v->author,
                      i->author_trouble ? str_from(i->author_trouble) : v->reason);
    trial_put_text(o, "record_domain", v->record_domain);
    trial_put_text(o, "organization", v->organization);
    trial_put_text(o, "policy", str_from(has_record ? dmarc_policy_name(v->policy) : ""));
    trial_put_text(o, "asked", str_from(has_record ? dmarc_policy_name(v->asked) : ""));
    trial_put_text(o, "aligned", v->aligned);
    put_flag(o, "is_spf_aligned", v->is_spf_aligned);
    put_flag(o, "is_dkim_aligned", v->is_dkim_aligned);
    return o;
}

void verdict_print(const char *method, const json_t *verdict)
{
    const char *more = say_text(verdict, "selector");
    if (!*more)
        more = say_text(verdict, "policy");
    if (!*more)
        more = say_text(verdict, "mechanism");
    trial_print_row(method, say_text(verdict, "result"), say_text(verdict, "domain"), more,
                    say_text(verdict, "reason"));
}

void verdict_put_all(json_t *o, const struct inspection *i, bool has_client)
{
    json_t *signatures = json_array();
    for (size_t k = 0; i && k < dkim_verify_count(i->dkim); k++)
        json_array_append_new(signatures, verdict_dkim(dkim_verify_verdict(i->dkim, k)));
    json_object_set_new(o, "spf", i && has_client ? verdict_spf(&i->spf) : json_null());
    json_object_set_new(o, "dkim", signatures);
    json_object_set_new(o, "arc", i ? verdict_arc(i->arc) : json_null());
    json_object_set_new(o, "dmarc", i ? verdict_dmarc(i) : json_null());
}

void verdict_print_all(const json_t *o)
{
    size_t index;
    json_t *item;
    if (json_is_object(json_object_get(o, "spf")))
        verdict_print("spf", json_object_get(o, "spf"));
    json_array_foreach(json_object_get(o, "dkim"), index, item) verdict_print("dkim", item);
    if (json_array_size(json_object_get(o, "dkim")) == 0)
        trial_print_row("dkim", "none", "", "", "");
    if (json_is_object(json_object_get(o, "arc")))
        verdict_print("arc", json_object_get(o, "arc"));
    if (json_is_object(json_object_get(o, "dmarc")))
        verdict_print("dmarc", json_object_get(o, "dmarc"));
}
