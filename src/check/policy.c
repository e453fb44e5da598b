/* SPDX-License-Identifier: ISC */
/*
 * policy.c - whether a stranger is let in: actions, and the rules that ask nobody
 */
#include "check/policy.h"

#include <stdio.h>

#include "check/policy_internal.h"
#include "mail/idna.h"

enum { CALLED_MAX = 100 /* octets of a name that a reply repeats */ };

const char *policy_stage_name(enum policy_stage stage)
{
    static const char *const names[] = {[POLICY_AT_CONNECT] = "connect",
                                        [POLICY_AT_HELO] = "helo",
                                        [POLICY_AT_MAIL] = "mail",
                                        [POLICY_AT_RCPT] = "rcpt",
                                        [POLICY_AT_DATA] = "data"};
    return names[stage];
}

const char *policy_result_name(enum policy_result result)
{
    static const char *const names[] = {
        [POLICY_PASSES] = "pass",    [POLICY_EXEMPTS] = "allow", [POLICY_FAILED] = "error",
        [POLICY_RECORDS] = "record", [POLICY_MARKS] = "mark",    [POLICY_WEIGHS] = "weight",
        [POLICY_DEFERS] = "defer",   [POLICY_REFUSES] = "refuse"};
    return names[result];
}

void policy_tell(struct policy *p, enum policy_stage stage, const char *rule,
                 enum policy_result result, struct str domain, struct str reason,
                 const struct fault *f)
{
    const struct policy_finding finding = {.stage = stage,
                                           .rule = rule,
                                           .result = result,
                                           .domain = domain,
                                           .reason = reason,
                                           .fault = f};
    p->tell(p->arg, &finding);
}

void policy_pass(struct policy *p, enum policy_stage stage, const char *rule, struct str domain)
{
    policy_tell(p, stage, rule, POLICY_PASSES, domain, STR_NONE, NULL);
}

static struct fault reply_to(const struct policy_cause *c, bool is_for_good)
{
    struct fault_status status = c->status;
    status.class = is_for_good ? 5 : 4;
    return fault_make(is_for_good ? 550 : 450, status, STR_FMT "%s%s",
                      STR_ARG(str_head(c->reason, 180)), c->advice ? "; " : "",
                      c->advice ? c->advice : "");
}

static enum policy_result result_of(const struct policy_cause *c)
{
    static const enum policy_result results[] = {
        [POLICY_OFF] = POLICY_PASSES,   [POLICY_RECORD] = POLICY_RECORDS,
        [POLICY_MARK] = POLICY_MARKS,   [POLICY_WEIGHT] = POLICY_WEIGHS,
        [POLICY_DEFER] = POLICY_DEFERS, [POLICY_REFUSE] = POLICY_REFUSES};
    enum policy_result result = results[c->action->act];
    if (!c->is_unsure)
        return result;
    return result >= POLICY_DEFERS ? POLICY_DEFERS : POLICY_FAILED;
}

struct fault policy_act(struct policy *p, const struct policy_cause *c)
{
    enum policy_result result = result_of(c);
    struct fault f = result >= POLICY_DEFERS ? reply_to(c, result == POLICY_REFUSES) : FINE;
    struct policy_finding finding = {.stage = c->stage,
                                     .rule = c->rule,
                                     .result = result,
                                     .domain = c->domain,
                                     .reason = c->reason,
                                     .fault = f.kind ? &f : NULL};
    if (result == POLICY_WEIGHS) {
        finding.weight = c->action->weight;
        *c->score += c->action->weight;
    } else if (result == POLICY_MARKS && !*c->mark) {
        *c->mark = c->rule;
    }
    p->tell(p->arg, &finding);
    return f;
}

struct fault policy_judge_score(struct policy *p, enum policy_stage stage)
{
    char text[80];
    int64_t score = p->client_score + p->helo_score + p->sender_score;
    const struct policy_rules *r = p->rules;
    static const struct policy_action mark = {POLICY_MARK, 0}, refuse = {POLICY_REFUSE, 0};
    bool is_refused = r->refuse_score > 0 && score >= r->refuse_score;
    bool is_marked = r->mark_score > 0 && score >= r->mark_score;
    if (!is_refused && !is_marked)
        return FINE;
    int n = snprintf(text, sizeof text,
                     "the score of client, HELO and sender is %lld, and %lld is too much",
                     (long long)score, (long long)(is_refused ? r->refuse_score : r->mark_score));
    const struct policy_cause c = {.stage = stage,
                                   .rule = is_refused ? "refuse-score" : "mark-score",
                                   .action = is_refused ? &refuse : &mark,
                                   .reason = str_make(text, (size_t)n),
                                   .advice = "the postmaster here can say what it consists of",
                                   .status = FAULT_STATUS(5, 7, 1),
                                   .score = &p->sender_score,
                                   .mark = &p->mark};
    return policy_act(p, &c);
}

/* The first network of the list that has the address, or NULL. */
static const struct ip_network *find_network(const struct ip_network *item, size_t count,
                                             const struct ip_address *ip)
{
    for (size_t i = 0; i < count; i++)
        if (ip_network_contains(&item[i], ip))
            return &item[i];
    return NULL;
}

struct fault policy_connect(struct policy *p)
{
    char ip[IP_TEXT_MAX], where[IP_TEXT_MAX];
    const struct policy_rules *r = p->rules;
    const struct ip_network *n =
        find_network(r->allow_clients.item, r->allow_clients.count, &p->ip);
    if (n) {
        p->is_exempt = true;
        policy_tell(p, POLICY_AT_CONNECT, "allow-clients", POLICY_EXEMPTS, STR_NONE,
                    ip_network_format(n, where), NULL);
        return FINE;
    }
    n = find_network(r->block_clients.item, r->block_clients.count, &p->ip);
    if (!n) {
        if (r->block_clients.count > 0)
            policy_pass(p, POLICY_AT_CONNECT, "block-clients", STR_NONE);
        return FINE;
    }
    struct fault f =
        fault_make(554, FAULT_STATUS(5, 7, 1),
                   "your address " STR_FMT " is blocked here (" STR_FMT
                   "); the postmaster of " STR_FMT " can change that",
                   STR_ARG(ip_format(&p->ip, ip)), STR_ARG(ip_network_format(n, where)),
                   STR_ARG(str_head(p->hostname, CALLED_MAX)));
    policy_tell(p, POLICY_AT_CONNECT, "block-clients", POLICY_REFUSES, STR_NONE,
                ip_network_format(n, where), &f);
    return f;
}

/* ".example.org" is what is below it. */
static bool is_domain_in(const struct str *item, size_t count, struct str domain)
{
    for (size_t i = 0; i < count; i++) {
        bool is_parent = item[i].p[0] == '.';
        if (is_parent ? domain.n > item[i].n && str_ends_nocase(domain, item[i])
                      : idna_equal(item[i], domain))
            return true;
    }
    return false;
}

static bool is_literal(struct str helo)
{
    return helo.n > 0 && helo.p[0] == '[';
}

/* As the lists have it: some write the root's dot behind a name, which is no part of it. */
static struct str spell_name(struct str helo, char ascii[IDNA_DOMAIN_MAX])
{
    struct str name = str_head(helo, helo.n - (helo.n > 1 && helo.p[helo.n - 1] == '.'));
    struct str spelled = idna_to_ascii(name, ascii);
    return spelled.n > 0 ? spelled : name;
}

/* Only we have our name and our address. */
static bool is_ours(const struct policy *p, struct str helo)
{
    struct ip_address ip;
    if (!is_literal(helo) && idna_equal(helo, p->hostname))
        return true;
    if (is_literal(helo) && helo.n > 2)
        helo = str_make(helo.p + 1, helo.n - 2);
    if (str_starts_nocase(helo, STR("IPv6:")))
        helo = str_skip(helo, 5);
    return p->has_own_ip && ip_parse(helo, &ip) && ip_equal(&ip, &p->own_ip);
}

static struct fault act_on_helo(struct policy *p, const char *rule,
                                const struct policy_action *action, struct str helo,
                                const char *what, const char *advice)
{
    char text[240];
    int n = snprintf(text, sizeof text, "the name \"" STR_FMT "\" in your HELO %s",
                     STR_ARG(str_head(helo, CALLED_MAX)), what);
    const struct policy_cause c = {.stage = POLICY_AT_HELO,
                                   .rule = rule,
                                   .action = action,
                                   .domain = helo,
                                   .reason = str_make(text, (size_t)n),
                                   .advice = advice,
                                   .status = FAULT_STATUS(5, 7, 1),
                                   .score = &p->helo_score,
                                   .mark = &p->helo_mark};
    return policy_act(p, &c);
}

struct fault policy_helo(struct policy *p, struct str helo, bool is_valid)
{
    static const struct policy_action refuse = {POLICY_REFUSE, 0};
    char ascii[IDNA_DOMAIN_MAX];
    const struct policy_rules *r = p->rules;
    struct str name = spell_name(helo, ascii);
    const struct {
        const char *name;
        const struct policy_action *action;
        bool is_found;
        const char *what, *advice;
    } rules[] = {
        {"block-helo", &refuse, is_domain_in(r->block_helo.item, r->block_helo.count, name),
         "is blocked here", "the postmaster here can change that"},
        {"helo-invalid", &r->helo_invalid, !is_valid, "is no domain name and no address literal",
         "RFC 5321 section 4.1.1.1 says what it should be"},
        {"helo-own-name", &r->helo_own_name, is_ours(p, name), "is ours",
         "use the name of your host"},
        {"helo-literal", &r->helo_literal, is_literal(helo) && is_valid, "is an address literal",
         "use the name of your host"},
    };
    p->helo_score = 0;
    p->helo_mark = NULL;
    p->is_helo_exempt = is_domain_in(r->allow_helo.item, r->allow_helo.count, name);
    if (p->is_exempt)
        return FINE;
    if (p->is_helo_exempt) {
        policy_tell(p, POLICY_AT_HELO, "allow-helo", POLICY_EXEMPTS, helo, STR_NONE, NULL);
        return FINE;
    }
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        bool is_wanted = i == 0 ? r->block_helo.count > 0 : rules[i].action->act != POLICY_OFF;
        if (is_wanted && !rules[i].is_found)
            policy_pass(p, POLICY_AT_HELO, rules[i].name, helo);
        if (!is_wanted || !rules[i].is_found)
            continue;
        struct fault f =
            act_on_helo(p, rules[i].name, rules[i].action, helo, rules[i].what, rules[i].advice);
        if (f.kind)
            return f;
    }
    return FINE;
}

/* "5 minutes", "12 seconds": never less than what is left. */
static struct str in_words(int64_t ms, char text[40])
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{3600000, "hours"}, {60000, "minutes"}, {1000, "seconds"}};
    size_t i = 0;
    while (i < 2 && ms < 2 * units[i].ms)
        i++;
    int n = snprintf(text, 40, "%lld %s", (long long)((ms + units[i].ms - 1) / units[i].ms),
                     units[i].name);
    return str_make(text, (size_t)n);
}

struct fault policy_limited(struct policy *p, enum policy_stage stage, const struct policy_rate *r,
                            int64_t wait_ms)
{
    char rate[80], wait[40];
    unsigned code = stage == POLICY_AT_CONNECT ? 421 : stage == POLICY_AT_MAIL ? 450 : 451;
    struct fault f = fault_make(
        code, FAULT_STATUS(4, 7, 1), "the limit \"" STR_FMT "\" is reached; come again in " STR_FMT,
        STR_ARG(policy_rate_text(r, rate)), STR_ARG(in_words(wait_ms, wait)));
    policy_tell(p, stage, "rates", POLICY_DEFERS, STR_NONE, policy_rate_text(r, rate), &f);
    return f;
}

struct fault policy_greylisted(struct policy *p, const struct greylist_verdict *v)
{
    char wait[40];
    bool is_put_off = !v->may_pass && p->rules->greylisting.act >= POLICY_DEFER;
    struct fault f = FINE;
    if (is_put_off)
        f = fault_make(451, FAULT_STATUS(4, 7, 1),
                       "greylisted, as %s; send it again in " STR_FMT ", as mail servers do",
                       v->reason, STR_ARG(in_words(v->wait_ms, wait)));
    policy_tell(p, POLICY_AT_RCPT, "greylisting",
                v->may_pass  ? POLICY_PASSES
                : is_put_off ? POLICY_DEFERS
                             : POLICY_RECORDS,
                STR_NONE, str_from(v->reason), is_put_off ? &f : NULL);
    return f;
}

int64_t policy_tarpit_ms(const struct policy_rules *r, int64_t refusals)
{
    if (r->tarpit_after == 0 || refusals < r->tarpit_after)
        return 0;
    int64_t delay = r->tarpit_delay_ms;
    for (int64_t more = refusals - r->tarpit_after; more > 0 && delay < r->tarpit_delay_max_ms;
         more--)
        delay *= 2;
    return delay < r->tarpit_delay_max_ms ? delay : r->tarpit_delay_max_ms;
}
