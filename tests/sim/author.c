/* SPDX-License-Identifier: ISC */
/*
 * author.c - strangers who write to our mailboxes
 */
#include "author.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "zone.h"

enum {
    TTL_S = 200,       /* after which nobody remembers a wrong answer, however late it came */
    QUESTIONS_MAX = 40 /* about a message */
};

#define OUR_NAME "mx.sim.test"

enum setting { SETTING_RECORD, SETTING_MARK, SETTING_REFUSE, SETTINGS };

static enum setting setting(void)
{
    return (enum setting)world->plan->authors->setting;
}

const char *authors_setting(void)
{
    static const char *const names[SETTINGS] = {"record", "mark", "refuse"};
    return world->plan->has_policies ? names[setting()] : "refuse";
}

static enum author_policy asked(const struct letter *l)
{
    const struct author_domain *d = l->domain;
    char label[256];
    enum author_policy below = d->has_below ? d->below : d->policy;
    const char *at = zone_below(strchr(l->author, '@') + 1, d->name, label);
    if (!at || at[0] == '\0')
        return d->policy;
    if (strcmp(at, "news") == 0)
        return below;
    return d->has_absent ? d->absent : below;
}

/* What the DNS said while the letter was looked at. */
static void judge(const struct ledger_message *m)
{
    struct letter *l = m->letter;
    int64_t since = m->offered_ns - TTL_S * SIM_SECOND;
    if (!l->domain)
        return;
    l->asked = asked(l);
    l->is_well = l->domain->failed_ns < since;
    l->is_true = l->domain->lied_ns < since;
}

struct ledger_message *author_next_letter(void)
{
    struct authors *a = world->plan->authors;
    return a->letters_sent < a->letters ? a->letter[a->letters_sent++] : NULL;
}

void author_begin(struct ledger_message *m)
{
    m->letter->is_open = true;
}

static void check_refusal(const struct ledger_message *m, const char *line)
{
    const struct letter *l = m->letter;
    unsigned long long number = m->number;
    if (strstr(line, "5.6.0") && !l->has_two_authors)
        ledger_blame(m->number, "message %llu has one author and was refused: %s", number, line);
    if (!strstr(line, "DMARC") || !l->domain)
        return;
    if (setting() != SETTING_REFUSE || l->is_list)
        ledger_blame(m->number, "message %llu was refused, it should be marked: %s", number, line);
    if (l->is_true && (l->is_genuine || l->asked != ASKS_REJECT))
        ledger_blame(m->number, "message %llu is %s and was refused: %s", number,
                     l->is_genuine ? "genuine" : "not to be rejected", line);
}

static bool must_be_refused(const struct letter *l)
{
    if (setting() != SETTING_REFUSE)
        return false;
    return l->has_two_authors ||
           (l->domain && !l->is_genuine && !l->is_list && l->asked == ASKS_REJECT);
}

void author_check_answer(struct ledger_message *m, int code, const char *line)
{
    struct letter *l = m->letter;
    l->is_open = false;
    l->was_answered = code != 0;
    judge(m);
    if (l->questions > QUESTIONS_MAX)
        ledger_blame(m->number, "message %llu made the server ask the DNS %u times",
                     (unsigned long long)m->number, l->questions);
    if (code == 550)
        check_refusal(m, line);
    bool is_sure = l->has_two_authors || (l->is_true && l->is_well);
    if (code == 250 && must_be_refused(l) && is_sure)
        ledger_blame(m->number, "message %llu is forged and was taken",
                     (unsigned long long)m->number);
}

/* The next field of a header section, its lines joined; NULL at its end. */
static const char *next_field(const char *at, const char *end, char *out, size_t size)
{
    size_t used = 0;
    if (at >= end || (at[0] == '\r' && at + 1 < end && at[1] == '\n'))
        return NULL;
    for (bool is_first = true; at < end && (is_first || *at == ' ' || *at == '\t');
         is_first = false) {
        const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (!line_end)
            return NULL;
        for (; at < line_end; at++)
            if (used + 1 < size)
                out[used++] = *at;
        at += 2;
    }
    out[used] = '\0';
    return at;
}

/* Whether the value of Authentication-Results is in the name of the server: comments and white space aside, that is
 * what it begins with. */
static bool is_in_our_name(const char *value)
{
    for (int depth = 0; *value == ' ' || *value == '\t' || *value == '(' || depth > 0; value++) {
        depth += *value == '(';
        depth -= *value == ')';
        if (*value == '\0')
            return false;
    }
    value += *value == '"';
    size_t n = strlen(OUR_NAME);
    return strncasecmp(value, OUR_NAME, n) == 0 && value[n] != '.' && value[n] != '-' &&
           !isalnum((unsigned char)value[n]);
}

struct top {
    unsigned results, marks;
    char dmarc[16];
};

static void read_top(const char *text, const char *end, struct top *out)
{
    static const char results[] = "Authentication-Results:", mark[] = "X-Eilbote-Junk:";
    enum { FIELD_MAX = 16 * 1024 };
    char *field = world_take(FIELD_MAX);
    *out = (struct top){0};
    while ((text = next_field(text, end, field, FIELD_MAX))) {
        out->marks += strncasecmp(field, mark, strlen(mark)) == 0;
        if (strncasecmp(field, results, strlen(results)) != 0 ||
            !is_in_our_name(field + strlen(results)))
            continue;
        out->results++;
        const char *dmarc = strstr(field, "dmarc=");
        if (dmarc)
            snprintf(out->dmarc, sizeof out->dmarc, "%.*s",
                     (int)strspn(dmarc + 6, "abcdefghijklmnopqrstuvwxyz"), dmarc + 6);
    }
    world_free(field, FIELD_MAX);
}

/* What the checks say has to be the truth, or that nobody knows when the DNS has failed. */
static void check_verdict(const struct ledger_message *m, const struct top *top)
{
    const struct letter *l = m->letter;
    unsigned long long number = m->number;
    const char *wanted = l->has_two_authors ? "permerror" : l->is_genuine ? "pass" : "fail";
    bool is_unknown = strcmp(top->dmarc, "temperror") == 0;
    bool is_marked = setting() >= SETTING_MARK && l->asked != ASKS_NONE && !l->is_genuine &&
                     !l->has_two_authors && !is_unknown;
    if (!(is_unknown && !l->is_well) && strcmp(top->dmarc, wanted) != 0)
        ledger_blame(m->number, "message %llu came with dmarc=%s where %s is true", number,
                     top->dmarc, wanted);
    else if (must_be_refused(l) && !is_unknown)
        ledger_blame(m->number, "message %llu is forged and came", number);
    else if (top->marks != is_marked)
        ledger_blame(m->number, "message %llu came with %u marks", number, top->marks);
}

void author_check_delivery(const struct ledger_message *m, const char *text, size_t size)
{
    struct letter *l = m->letter;
    struct top top, all;
    const char *end = text + size + strlen(l->kept);
    read_top(text, text + size, &top);
    read_top(text, end, &all);
    if (!l->was_answered)
        judge(m);
    if (top.results != 1 || all.results != 1 || all.marks != top.marks)
        ledger_blame(m->number,
                     "message %llu came with %u of the server's Authentication-Results on top, "
                     "%u in all, %u and %u marks",
                     (unsigned long long)m->number, top.results, all.results, top.marks, all.marks);
    if (l->domain && l->is_true)
        check_verdict(m, &top);
}

static const char *policy_name(enum author_policy p)
{
    static const char *const names[] = {"none", "quarantine", "reject"};
    return names[p];
}

static void give_policy(const struct author_domain *d, struct zone_answer *out)
{
    char below[32] = "", absent[32] = "";
    if (d->has_below)
        snprintf(below, sizeof below, "; sp=%s", policy_name(d->below));
    if (d->has_absent)
        snprintf(absent, sizeof absent, "; np=%s", policy_name(d->absent));
    zone_add_text(out, "v=DMARC1; p=%s%s%s%s", policy_name(d->policy), below, absent,
                  d->is_strict ? "; adkim=s; aspf=s" : "");
}

static void give_exchangers(struct zone_answer *out)
{
    const struct plan_domain *back = &world->plan->domain[0];
    for (size_t i = 0; i < back->servers; i++) {
        char host[64];
        snprintf(host, sizeof host, "mx%zu.%s", i, back->name);
        zone_add_exchanger(out, 10, host);
    }
}

static void give_text(const struct author_domain *d, const char *label, struct zone_answer *out)
{
    size_t at = (size_t)(d - world->plan->authors->domain);
    if (strcmp(label, "_dmarc") == 0)
        give_policy(d, out);
    else if (label[0] == '\0' && d->has_include)
        zone_add_text(out, "v=spf1 include:_spf.%s -all", d->name);
    else if (label[0] == '\0' || (strcmp(label, "_spf") == 0 && d->has_include))
        zone_add_text(out, "v=spf1 ip4:10.7.%zu.0/24 -all", at);
    else if (strcmp(label, "k1._domainkey") == 0)
        zone_add_text(out, "v=DKIM1; k=ed25519; p=%s", world->plan->authors->key);
    else if (strcmp(label, "gone._domainkey") == 0)
        zone_add_text(out, "v=DKIM1; k=ed25519; p=");
    else if (strcmp(label, "news") != 0)
        out->count = ZONE_NO_NAME;
}

static void lie(const char *label, enum author_mood mood, struct zone_answer *out)
{
    static const char *const lies[] = {"v=DMARC1; p=reject",
                                       "v=DMARC1; p=none",
                                       "v=DMARC1; p=reject; psd=y",
                                       "v=DMARC1; p=",
                                       "v=spf1 +all",
                                       "v=spf1 -all",
                                       "v=spf1 include:%{d} ip4:10/0 redirect=",
                                       "v=DKIM1; k=ed25519; p=AAAA",
                                       "v=DKIM1; k=rsa; p=!",
                                       ""};
    const char *text = lies[sim_below(sizeof lies / sizeof *lies)];
    if (mood != AUTHOR_DOUBLE_TEXT)
        out->count = 0;
    if (mood == AUTHOR_BROKEN_TEXT)
        zone_add_broken_text(out, text[0] ? text : "v=spf1 +all");
    else if (mood == AUTHOR_DOUBLE_TEXT)
        zone_add_text(out, "%s", strcmp(label, "_dmarc") == 0 ? "v=DMARC1; p=none" : "v=spf1 +all");
    else
        zone_add_text(out, "%s", text);
}

/* The truth, or what the domain's DNS says instead. */
static void give(struct author_domain *d, const char *label, int type, struct zone_answer *out)
{
    enum { LATE_MOST_S = 40, WEB = 0x09090909 };
    bool is_apex = label[0] == '\0', is_wrong = !plan_is_healed() && d->one_in &&
                                                (type == ZONE_TXT || !is_apex) &&
                                                sim_chance(1, d->one_in);
    if (type == ZONE_TXT)
        give_text(d, label, out);
    else if (type == ZONE_MX)
        give_exchangers(out);
    else if (!is_apex && strcmp(label, "news") != 0)
        out->count = ZONE_NO_NAME;
    else if (type == ZONE_A)
        zone_add_address(out, WEB);
    if (!is_wrong)
        return;
    *(d->mood <= AUTHOR_LATE ? &d->failed_ns : &d->lied_ns) = world->now_ns;
    if (d->mood == AUTHOR_LATE)
        out->late_ns = sim_between(0, LATE_MOST_S) * SIM_SECOND;
    else if (d->mood <= AUTHOR_DENIAL)
        out->count = d->mood == AUTHOR_FAILURE   ? ZONE_FAILURE
                     : d->mood == AUTHOR_SILENCE ? ZONE_SILENCE
                                                 : ZONE_NO_NAME;
    else if (type == ZONE_TXT && out->count >= 0)
        lie(label, d->mood, out);
}

/* SPF that asks for more than anybody may ask. */
static void give_flood_text(const char *domain, const char *label, struct zone_answer *out)
{
    uint64_t kind = (uint64_t)strtoull(domain + 1, NULL, 10) % 3;
    unsigned step;
    char text[480];
    int n = snprintf(text, sizeof text, "v=spf1");
    if (strstr(label, "._domainkey"))
        snprintf(text, sizeof text, "v=DKIM1; k=ed25519; p=%s", world->plan->authors->key);
    else if (sscanf(label, "c%u", &step) == 1)
        snprintf(text, sizeof text, "v=spf1 exists:e%u.%s include:c%u.%s mx:m%u.%s ~all", step,
                 domain, step + 1, domain, step, domain);
    else if (label[0] != '\0')
        out->count = ZONE_NO_NAME;
    else if (kind == 0)
        snprintf(text, sizeof text, "v=spf1 include:%s mx:m0.%s ~all", domain, domain);
    else if (kind == 1)
        snprintf(text, sizeof text, "v=spf1 mx:m0.%s include:c1.%s ~all", domain, domain);
    else
        for (unsigned i = 0; i < 10; i++)
            n += snprintf(text + n, sizeof text - (size_t)n, " mx:m%u.%s", i, domain);
    if (out->count == 0)
        zone_add_text(out, "%s", text);
}

/* Names of a letter that is made to have many questions asked: each has its own, so that they can be counted. */
static bool resolve_flood(const char *name, int type, struct zone_answer *out)
{
    enum { HOSTS = 10, NOBODY = 0x0a630001 };
    char whole[256], label[256], domain[64];
    if (!zone_below(name, "flood.test", whole))
        return false;
    const char *last = strrchr(whole, '.') ? strrchr(whole, '.') + 1 : whole;
    struct ledger_message *m = last[0] == 'l' ? ledger_find(strtoull(last + 1, NULL, 10)) : NULL;
    snprintf(domain, sizeof domain, "%.40s.flood.test", last);
    if (!m || !m->letter || !zone_below(name, domain, label))
        return false;
    m->letter->questions += m->letter->is_open;
    if (type == ZONE_TXT)
        give_flood_text(domain, label, out);
    else if (type == ZONE_MX && label[0] == 'm')
        for (unsigned i = 0; i < HOSTS; i++) {
            char host[300];
            snprintf(host, sizeof host, "h%u.%s", i, name);
            zone_add_exchanger(out, i, host);
        }
    else if (type == ZONE_MX && label[0] == '\0')
        give_exchangers(out);
    else if (type == ZONE_A && label[0] == 'h')
        zone_add_address(out, NOBODY);
    return true;
}

bool author_resolve(const char *name, int type, struct zone_answer *out)
{
    struct authors *a = world->plan->authors;
    char label[256];
    for (size_t i = 0; i < a->domains; i++)
        if (zone_below(name, a->domain[i].name, label)) {
            give(&a->domain[i], label, type, out);
            return true;
        }
    if (strcmp(name, "k1._domainkey.evil.test") == 0 && type == ZONE_TXT) {
        if (sim_chance(1, 3)) /* which says nothing about anybody else's letter */
            out->count = ZONE_FAILURE;
        else
            zone_add_text(out, "v=DKIM1; k=ed25519; p=%s", a->key);
        return true;
    }
    return resolve_flood(name, type, out);
}
