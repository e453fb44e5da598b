/* SPDX-License-Identifier: ISC */
/*
 * policy_mail.c - whether a stranger is let in: the rules at MAIL, which ask the DNS
 */
#include <stdio.h>

#include "check/dnsbl.h"
#include "check/policy_internal.h"
#include "mail/idna.h"

enum { NAMED_MAX = 100, REASON_MAX = 240 };

bool policy_wants_name(const struct policy_rules *r)
{
    return r->no_reverse_name.act != POLICY_OFF || r->unconfirmed_name.act != POLICY_OFF;
}

/* The lists have less time than the rest, and the same number of questions. */
static void ask_lists(const struct policy_mail *m, const struct dnsbl_site *sites, size_t count,
                      struct str name, struct dnsbl_verdict *v)
{
    m->lists->left = m->asker->left;
    dnsbl_check(sites, count, name, m->lists, v);
    m->asker->left = m->lists->left;
}

/* What lists say that do not work, or are gone. */
static void tell_failures(struct policy *p, const char *rule, const struct dnsbl_verdict *v)
{
    char ip[IP_TEXT_MAX], text[REASON_MAX];
    for (size_t i = 0; i < v->count; i++) {
        const struct dnsbl_finding *f = &v->finding[i];
        const char *what = f->status == DNSBL_REFUSED ? "the list does not answer us: "
                           : f->status == DNSBL_STRANGE
                               ? "the list answers outside of 127.0.0.0/8: "
                               : "the list does not answer";
        if (f->status < DNSBL_FAILED)
            continue;
        int n = snprintf(text, sizeof text, "%s" STR_FMT, what,
                         STR_ARG(f->status == DNSBL_FAILED ? STR_NONE : ip_format(&f->code, ip)));
        policy_tell(p, POLICY_AT_MAIL, rule, POLICY_FAILED, f->site->zone,
                    str_make(text, (size_t)n), NULL);
    }
}

/* What all rules about lists have in common. */
struct listing {
    const char *rule;
    const struct dnsbl_site *sites;
    size_t count;
    int64_t threshold;
    const struct policy_action *action;
    struct str name;  /* that is asked about */
    struct str shown; /* as people write it */
    int64_t *score;
    const char **mark;
};

static struct fault act_on_listing(struct policy *p, const struct policy_mail *m,
                                   const struct listing *l, const struct dnsbl_verdict *v)
{
    char words[DNSBL_TEXT_MAX], text[REASON_MAX], code[IP_TEXT_MAX];
    const struct dnsbl_finding *worst = v->reason;
    m->lists->left = m->asker->left;
    struct str said = dnsbl_explain(worst->site, l->name, m->lists, words);
    m->asker->left = m->lists->left;
    int n = snprintf(text, sizeof text,
                     STR_FMT " is listed by " STR_FMT " (" STR_FMT ")%s" STR_FMT "%s",
                     STR_ARG(str_head(l->shown, 70)), STR_ARG(str_head(worst->site->zone, 70)),
                     STR_ARG(ip_format(&worst->code, code)), said.n > 0 ? ": \"" : "",
                     STR_ARG(said), said.n > 0 ? "\"" : "");
    const struct policy_cause c = {
        .stage = POLICY_AT_MAIL,
        .rule = l->rule,
        .action = l->action,
        .domain = worst->site->zone,
        .reason = str_make(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1),
        .advice = "ask the list to remove it",
        .status = FAULT_STATUS(5, 7, 1),
        .score = l->score,
        .mark = l->mark};
    return policy_act(p, &c);
}

static struct fault check_lists(struct policy *p, const struct policy_mail *m,
                                const struct listing *l)
{
    struct dnsbl_verdict v;
    if (l->count == 0 || l->action->act == POLICY_OFF || l->name.n == 0)
        return FINE;
    ask_lists(m, l->sites, l->count, l->name, &v);
    tell_failures(p, l->rule, &v);
    if (!v.reason || v.weight < l->threshold) {
        policy_pass(p, POLICY_AT_MAIL, l->rule, l->shown);
        return FINE;
    }
    return act_on_listing(p, m, l, &v);
}

/* Lists that vouch: one of them is enough. */
static bool is_vouched_for(struct policy *p, const struct policy_mail *m, struct str name)
{
    char code[IP_TEXT_MAX];
    struct dnsbl_verdict v;
    if (p->rules->dnswl_sites.count == 0)
        return false;
    ask_lists(m, p->rules->dnswl_sites.item, p->rules->dnswl_sites.count, name, &v);
    tell_failures(p, "dnswl-sites", &v);
    for (size_t i = 0; i < v.count; i++)
        if (v.finding[i].status == DNSBL_LISTED) {
            p->is_exempt = true;
            policy_tell(p, POLICY_AT_MAIL, "dnswl-sites", POLICY_EXEMPTS, v.finding[i].site->zone,
                        ip_format(&v.finding[i].code, code), NULL);
            return true;
        }
    policy_pass(p, POLICY_AT_MAIL, "dnswl-sites", STR_NONE);
    return false;
}

/* The client's address needs a name, and the name the address. */
static struct fault check_name(struct policy *p, const struct policy_mail *m)
{
    char ip[IP_TEXT_MAX], text[REASON_MAX];
    const struct iprev_verdict *v = m->iprev;
    const struct policy_rules *r = p->rules;
    if (!v || !policy_wants_name(r))
        return FINE;
    bool is_without = v->result == IPREV_PERMERROR && !v->has_names;
    const struct policy_action *action = is_without && r->no_reverse_name.act != POLICY_OFF
                                             ? &r->no_reverse_name
                                             : &r->unconfirmed_name;
    const char *rule = action == &r->no_reverse_name ? "no-reverse-name" : "unconfirmed-name";
    if (v->result == IPREV_PASS || action->act == POLICY_OFF) {
        policy_pass(p, POLICY_AT_MAIL, rule, v->name);
        return FINE;
    }
    int n = snprintf(text, sizeof text, "your address " STR_FMT " has no confirmed name: " STR_FMT,
                     STR_ARG(ip_format(&p->ip, ip)), STR_ARG(v->reason));
    const struct policy_cause c = {.stage = POLICY_AT_MAIL,
                                   .rule = rule,
                                   .action = action,
                                   .reason = str_make(text, (size_t)n),
                                   .advice = "its PTR record and that name's address must agree",
                                   .status = FAULT_STATUS(5, 7, 25),
                                   .is_unsure = v->result == IPREV_TEMPERROR,
                                   .score = &p->client_score,
                                   .mark = &p->client_mark};
    return policy_act(p, &c);
}

/* What the DNS says of the client does not change in a session. */
static struct fault judge_client(struct policy *p, const struct policy_mail *m)
{
    char room[DNSBL_NAME_MAX], ip[IP_TEXT_MAX];
    const struct policy_rules *r = p->rules;
    if (p->is_client_judged)
        return p->client_fault;
    p->is_client_judged = true;
    struct str name = dnsbl_reverse(&p->ip, room);
    if (is_vouched_for(p, m, name))
        return FINE;
    struct listing l = {.rule = "dnsbl-sites",
                        .sites = r->dnsbl_sites.item,
                        .count = r->dnsbl_sites.count,
                        .threshold = r->dnsbl_threshold,
                        .action = &r->dnsbl_action,
                        .name = name,
                        .shown = ip_format(&p->ip, ip),
                        .score = &p->client_score,
                        .mark = &p->client_mark};
    p->client_fault = check_name(p, m);
    if (!p->client_fault.kind)
        p->client_fault = check_lists(p, m, &l);
    /* What may be otherwise in a moment is asked again. */
    if (p->client_fault.kind == FAULT_LATER) {
        p->is_client_judged = false;
        p->client_score = 0;
    }
    return p->client_fault;
}

enum existence { EXISTS, MISSING, UNSURE };

/* Whether a domain has a mail exchanger or an address (RFC 5321 section 5.1); *is_null: it takes no mail at all. */
static enum existence find_domain(struct str domain, struct asker *a, bool *is_null)
{
    struct ask_answer answer;
    ask(a, domain, ASK_MX, &answer);
    *is_null = answer.status == ASK_FOUND && answer.count == 1 && answer.hosts[0].host.n == 0;
    if (answer.status == ASK_FOUND && answer.count > 0)
        return EXISTS;
    bool is_unsure = answer.status == ASK_FAILED;
    static const enum ask_type types[] = {ASK_A, ASK_AAAA};
    for (size_t i = 0; i < 2 && answer.status != ASK_NO_NAME; i++) {
        ask(a, domain, types[i], &answer);
        if (answer.status == ASK_FOUND && answer.count > 0)
            return EXISTS;
        is_unsure = is_unsure || answer.status == ASK_FAILED;
    }
    return is_unsure ? UNSURE : MISSING;
}

static struct fault check_helo(struct policy *p, const struct policy_mail *m)
{
    char text[REASON_MAX];
    const struct policy_rules *r = p->rules;
    bool is_literal = m->helo.n > 0 && m->helo.p[0] == '[', is_null;
    char ascii[IDNA_DOMAIN_MAX];
    struct str name = idna_to_ascii(m->helo, ascii);
    if (r->helo_unresolvable.act == POLICY_OFF || is_literal || m->helo.n == 0)
        return FINE;
    enum existence e = find_domain(name, m->asker, &is_null);
    if (e == EXISTS) {
        policy_pass(p, POLICY_AT_MAIL, "helo-unresolvable", m->helo);
        return FINE;
    }
    int n = snprintf(text, sizeof text, "the name \"" STR_FMT "\" in your HELO %s",
                     STR_ARG(str_head(m->helo, NAMED_MAX)),
                     e == UNSURE ? "cannot be looked up now" : "does not exist");
    const struct policy_cause c = {.stage = POLICY_AT_MAIL,
                                   .rule = "helo-unresolvable",
                                   .action = &r->helo_unresolvable,
                                   .domain = m->helo,
                                   .reason = str_make(text, (size_t)n),
                                   .advice = "use a name that the DNS has",
                                   .status = FAULT_STATUS(5, 7, 1),
                                   .is_unsure = e == UNSURE,
                                   .score = &p->sender_score,
                                   .mark = &p->mark};
    return policy_act(p, &c);
}

static struct fault check_domain_lists(struct policy *p, const struct policy_mail *m,
                                       struct str domain)
{
    const struct policy_rules *r = p->rules;
    const struct listing l = {.rule = "rhsbl-sites",
                              .sites = r->rhsbl_sites.item,
                              .count = r->rhsbl_sites.count,
                              .threshold = r->rhsbl_threshold,
                              .action = &r->rhsbl_action,
                              .name = domain,
                              .shown = domain,
                              .score = &p->sender_score,
                              .mark = &p->mark};
    return check_lists(p, m, &l);
}

static struct fault act_on_sender(struct policy *p, const struct policy_mail *m, bool is_null,
                                  enum existence e)
{
    char text[REASON_MAX];
    const struct policy_rules *r = p->rules;
    int n = snprintf(text, sizeof text, "the domain " STR_FMT " of your sender %s",
                     STR_ARG(str_head(m->domain, NAMED_MAX)),
                     is_null       ? "takes no mail (RFC 7505)"
                     : e == UNSURE ? "cannot be looked up now"
                                   : "has no mail exchanger and no address");
    const struct policy_cause c = {
        .stage = POLICY_AT_MAIL,
        .rule = is_null ? "null-mx-sender" : "unknown-sender-domain",
        .action = is_null ? &r->null_mx_sender : &r->unknown_sender_domain,
        .domain = m->domain,
        .reason = str_make(text, (size_t)n),
        .advice = e == UNSURE ? "try again later" : "send as somebody who can be answered",
        .status = is_null ? FAULT_STATUS(5, 7, 27) : FAULT_STATUS(5, 1, 8),
        .is_unsure = e == UNSURE,
        .score = &p->sender_score,
        .mark = &p->mark};
    return policy_act(p, &c);
}

static struct fault check_sender_domain(struct policy *p, const struct policy_mail *m)
{
    const struct policy_rules *r = p->rules;
    bool is_null, is_literal = m->domain.n > 0 && m->domain.p[0] == '[';
    if (m->domain.n == 0 || is_literal ||
        (r->unknown_sender_domain.act == POLICY_OFF && r->null_mx_sender.act == POLICY_OFF))
        return FINE;
    enum existence e = find_domain(m->domain, m->asker, &is_null);
    if (e != EXISTS && r->unknown_sender_domain.act != POLICY_OFF)
        return act_on_sender(p, m, false, e);
    if (is_null && r->null_mx_sender.act != POLICY_OFF)
        return act_on_sender(p, m, true, e);
    policy_pass(p, POLICY_AT_MAIL, "unknown-sender-domain", m->domain);
    return FINE;
}

/* The domain of an address may be written in two ways. */
static bool is_sender(struct str item, const struct policy_mail *m)
{
    size_t at = str_last_index(item, '@');
    struct str local = str_head(m->sender, str_last_index(m->sender, '@'));
    return str_equal_nocase(str_head(item, at), local) &&
           idna_equal(str_skip(item, at + 1), m->domain);
}

static bool is_sender_in(const struct str *item, size_t count, const struct policy_mail *m)
{
    for (size_t i = 0; i < count; i++) {
        bool is_address = str_has(item[i], '@'), is_parent = item[i].p[0] == '.';
        if (is_address  ? is_sender(item[i], m)
            : is_parent ? m->domain.n > item[i].n && str_ends_nocase(m->domain, item[i])
                        : str_equal_nocase(item[i], m->domain))
            return true;
    }
    return false;
}

static struct fault check_block(struct policy *p, const struct policy_mail *m)
{
    static const struct policy_action refuse = {POLICY_REFUSE, 0};
    char text[REASON_MAX];
    const struct policy_rules *r = p->rules;
    if (r->block_senders.count == 0 || m->sender.n == 0)
        return FINE;
    if (!is_sender_in(r->block_senders.item, r->block_senders.count, m)) {
        policy_pass(p, POLICY_AT_MAIL, "block-senders", m->domain);
        return FINE;
    }
    int n = snprintf(text, sizeof text, "the sender " STR_FMT " is blocked here",
                     STR_ARG(str_head(m->sender, NAMED_MAX)));
    const struct policy_cause c = {.stage = POLICY_AT_MAIL,
                                   .rule = "block-senders",
                                   .action = &refuse,
                                   .domain = m->domain,
                                   .reason = str_make(text, (size_t)n),
                                   .advice = "the postmaster here can change that",
                                   .status = FAULT_STATUS(5, 7, 1)};
    return policy_act(p, &c);
}

static struct fault judge_sender(struct policy *p, const struct policy_mail *m)
{
    char ascii[IDNA_DOMAIN_MAX];
    struct str helo =
        m->helo.n > 0 && m->helo.p[0] != '[' ? idna_to_ascii(m->helo, ascii) : STR_NONE;
    struct fault f = check_helo(p, m);
    if (!f.kind)
        f = check_sender_domain(p, m);
    if (!f.kind)
        f = check_domain_lists(p, m, m->domain);
    if (!f.kind && !str_equal_nocase(helo, m->domain))
        f = check_domain_lists(p, m, helo);
    return f;
}

struct fault policy_mail(struct policy *p, const struct policy_mail *m)
{
    const struct policy_rules *r = p->rules;
    p->sender_score = 0;
    p->mark = NULL;
    p->is_sender_exempt = false;
    if (p->is_exempt || p->is_helo_exempt)
        return FINE;
    if (m->sender.n > 0 && is_sender_in(r->allow_senders.item, r->allow_senders.count, m)) {
        p->is_sender_exempt = true;
        policy_tell(p, POLICY_AT_MAIL, "allow-senders", POLICY_EXEMPTS, m->domain, STR_NONE, NULL);
        return FINE;
    }
    struct fault f = check_block(p, m);
    if (!f.kind)
        f = judge_client(p, m);
    if (!f.kind && !p->is_exempt)
        f = judge_sender(p, m);
    if (!f.kind && !p->is_exempt)
        f = policy_judge_score(p, POLICY_AT_MAIL);
    return f;
}
