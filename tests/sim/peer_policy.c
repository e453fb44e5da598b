/* SPDX-License-Identifier: ISC */
/*
 * peer_policy.c - what domains ask of those who send to them, and whether they are obeyed
 */
#include "peer_policy.h"

#include <stdio.h>
#include <string.h>

#include "disk.h"
#include "ledger.h"
#include "peer_tls.h"
#include "plan.h"
#include "zone.h"

enum {
    WEB_ADDRESS = 0x09090909,     /* of everybody's web server */
    PRIVATE_ADDRESS = 0x0a636363, /* where no policy may be fetched from */
    LATE_MOST_S = 40,
    /* That a policy may take to what is under way: look-ups of a minute and a half, a route of a minute, hosts that hang. */
    ON_THE_WAY_S = 600,
    SAVED_S = 5,            /* a policy is on the disk by then */
    NEXT_TRY_S = 12 * 3600, /* between attempts, at most, and some */
    REPEATED = 200
};

static void draw_dane(struct peer_policy *p)
{
    p->kind = sim_chance(1, 5) ? PEER_UNSIGNED : sim_chance(1, 4) ? PEER_DANE_UNUSABLE : PEER_DANE;
    p->mood = (enum peer_policy_mood)sim_between(POLICY_DNS_FAILS, POLICY_DNS_LATE);
}

static void draw_sts(struct peer_policy *p)
{
    p->kind = PEER_STS;
    p->mood = (enum peer_policy_mood)sim_between(POLICY_DNS_SILENT, POLICY_MOODS - 1);
    p->is_enforced = sim_chance(4, 5);
    p->has_vanished = sim_chance(1, 3);
    p->max_age_ns =
        (sim_chance(1, 3) ? sim_between(1, 12) : sim_between(24, 24 * 30)) * 3600 * SIM_SECOND;
}

static void draw_tls(struct plan_domain *d)
{
    d->policy.has_tls = sim_chance(1, 2);
    d->policy.is_fitting = sim_chance(1, 2);
    for (size_t i = 0; d->policy.has_tls && i < d->servers; i++) {
        d->server[i].manners.has_ehlo = d->server[i].host->has_tls = true;
        if (sim_chance(2, 3))
            d->server[i].manners.tls = TLS_WORKS;
    }
}

void peer_policy_draw(struct plan_domain *d)
{
    struct peer_policy *p = &d->policy;
    if (d->is_back || sim_chance(1, 2))
        return;
    draw_tls(d);
    if (sim_chance(1, 2))
        draw_dane(p);
    else
        draw_sts(p);
    if (sim_chance(2, 3))
        p->one_in = (unsigned)sim_between(1, 4);
    p->gone_ns =
        sim_chance(1, 2) ? SIM_NEVER : world->now_ns + sim_between(0, 8 * 3600) * SIM_SECOND;
    if (p->kind == PEER_DANE || p->kind == PEER_DANE_UNUSABLE)
        d->dns_one_in = 0; /* a signed zone can fail, but cannot be lied about */
}

static bool is_signed(const struct peer_policy *p)
{
    return p->kind == PEER_DANE || p->kind == PEER_DANE_UNUSABLE;
}

static bool is_gone(const struct peer_policy *p)
{
    return world->now_ns >= p->gone_ns;
}

static bool is_in_mood(const struct peer_policy *p)
{
    return !plan_is_healed() && p->one_in && sim_chance(1, p->one_in);
}

static void fail(enum peer_policy_mood mood, struct zone_answer *out)
{
    out->is_bogus = mood == POLICY_DNS_BOGUS;
    if (mood == POLICY_DNS_LATE)
        out->late_ns = sim_between(0, LATE_MOST_S) * SIM_SECOND;
    else
        out->count = mood == POLICY_DNS_SILENT ? ZONE_SILENCE : ZONE_FAILURE;
}

static void add_tlsa(const struct peer_policy *p, struct zone_answer *out)
{
    struct zone_record *r = &out->record[out->count++];
    bool is_usable = p->kind != PEER_DANE_UNUSABLE;
    r->data[0] = is_usable ? 3 : (unsigned char)sim_below(2);
    r->data[1] = r->data[2] = 1;
    if (p->is_fitting)
        memcpy(r->data + 3, peer_tls_digest(), PEER_TLS_DIGEST);
    else
        memset(r->data + 3, 0x5a, PEER_TLS_DIGEST);
    r->size = is_usable || sim_chance(1, 2) ? 35 : (size_t)sim_below(35);
}

/* Of a signed zone; a host without a record is provably without one. */
static bool resolve_signed(struct plan_domain *d, const char *label, int type,
                           struct zone_answer *out)
{
    char host[256];
    out->is_secure = true;
    if (is_in_mood(&d->policy)) {
        fail(d->policy.mood, out);
        if (out->count < 0)
            return true;
    }
    if (type != ZONE_TLSA)
        return false;
    if (sscanf(label, "_%*u._tcp.%255s", host) != 1 || is_gone(&d->policy))
        out->count = ZONE_NO_NAME;
    else
        add_tlsa(&d->policy, out);
    return true;
}

static void give_id(const struct plan_domain *d, enum peer_policy_mood mood,
                    struct zone_answer *out)
{
    const char *id = is_gone(&d->policy) ? "later" : "first";
    if (is_gone(&d->policy) && d->policy.has_vanished)
        out->count = ZONE_NO_NAME;
    else if (mood == POLICY_DNS_BROKEN)
        zone_add_broken_text(out, "v=STSv1; id=broken;");
    else
        zone_add_text(out, "v=STSv1; id=%s;", id);
    if (mood == POLICY_DNS_DOUBLE && out->count > 0)
        zone_add_text(out, "v=STSv1; id=%s;", "other");
}

static bool resolve_sts(struct plan_domain *d, const char *label, int type, struct zone_answer *out)
{
    bool is_record = strcmp(label, "_mta-sts") == 0, is_web = strcmp(label, "mta-sts") == 0;
    enum peer_policy_mood mood = is_in_mood(&d->policy) ? d->policy.mood : POLICY_MOODS;
    if (!is_record && !is_web)
        return false;
    if (mood <= POLICY_DNS_LATE)
        fail(mood, out);
    else if (mood == POLICY_DNS_DENIES)
        out->count = ZONE_NO_NAME;
    if (out->count < 0)
        return true;
    if (is_record && type == ZONE_TXT)
        give_id(d, mood, out);
    if (is_web && type == ZONE_A)
        zone_add_address(out, mood == POLICY_DNS_PRIVATE ? PRIVATE_ADDRESS : WEB_ADDRESS);
    return true;
}

bool peer_policy_resolve(struct plan_domain *d, const char *label, int type,
                         struct zone_answer *out)
{
    if (is_signed(&d->policy))
        return resolve_signed(d, label, type, out);
    if (d->policy.kind == PEER_STS)
        return resolve_sts(d, label, type, out);
    if (d->policy.kind == PEER_UNSIGNED && type == ZONE_TLSA)
        add_tlsa(&d->policy, out);
    return out->count > 0;
}

static struct plan_domain *domain_of_url(const char *url)
{
    struct plan *p = world->plan;
    for (size_t i = 0; i < p->domains; i++) {
        char wanted[128];
        snprintf(wanted, sizeof wanted, "https://mta-sts.%s:443/.well-known/mta-sts.txt",
                 p->domain[i].name);
        if (strcmp(url, wanted) == 0)
            return &p->domain[i];
    }
    return NULL;
}

/* The server has what it says. */
static void note_known(struct peer_policy *p, bool is_enforced, int64_t max_age_ns)
{
    p->known.is_enforced = is_enforced;
    p->known.since_ns = world->now_ns;
    p->known.until_ns = world->now_ns + max_age_ns;
    p->known.troubles = world->disk->troubles_met;
}

static void give_policy(struct plan_domain *d, const char *host, struct web_answer *out)
{
    struct peer_policy *p = &d->policy;
    bool is_enforced = p->is_enforced && !is_gone(p);
    const char *mode = is_gone(p) ? "none" : is_enforced ? "enforce" : "testing";
    snprintf(out->text, sizeof out->text,
             "version: STSv1\r\nmode: %s\r\nmx: %s\r\nmax_age: %lld\r\n", mode, host,
             (long long)(p->max_age_ns / SIM_SECOND));
    note_known(p, is_enforced, p->max_age_ns);
}

void peer_policy_fetch(const char *url, const char *addresses, struct web_answer *out)
{
    char wanted[160], hosts[64];
    struct plan_domain *d = domain_of_url(url);
    *out = (struct web_answer){.status = 404, .type = "text/plain", .repeated = 1};
    if (!d || d->policy.kind != PEER_STS) {
        ledger_blame(0, "a policy was fetched from %s, which nobody named", url);
        return;
    }
    snprintf(wanted, sizeof wanted, "mta-sts.%s:443:9.9.9.9", d->name);
    if (strcmp(addresses, wanted) != 0)
        ledger_blame(0, "a policy was fetched from %s, at %s", url, addresses);
    enum peer_policy_mood mood = is_in_mood(&d->policy) ? d->policy.mood : POLICY_MOODS;
    if (is_gone(&d->policy) && d->policy.has_vanished)
        return;
    if (mood == POLICY_WEB_MISSING)
        return;
    out->status = 200;
    out->outcome = mood == POLICY_WEB_REFUSES     ? WEB_REFUSES
                   : mood == POLICY_WEB_SILENT    ? WEB_SILENT
                   : mood == POLICY_WEB_UNTRUSTED ? WEB_UNTRUSTED
                                                  : WEB_ANSWERS;
    snprintf(hosts, sizeof hosts, "*.%s", d->name);
    snprintf(out->text, sizeof out->text, "version: STSv1\nmode: none\nnonsense");
    if (mood == POLICY_WEB_TYPE)
        out->type = "text/html";
    else if (mood == POLICY_WEB_LARGE)
        out->repeated = 10000;
    else if (mood != POLICY_WEB_NONSENSE && out->outcome == WEB_ANSWERS)
        give_policy(d, mood == POLICY_WEB_OTHER_HOSTS ? "elsewhere.test" : hosts, out);
}

/* A policy that the server knows surely, and since long enough for a connection made then to obey it. */
static bool is_known_to_enforce(const struct peer_policy *p, int64_t connected_ns)
{
    return p->kind == PEER_STS && p->known.is_enforced &&
           connected_ns > p->known.since_ns + ON_THE_WAY_S * SIM_SECOND &&
           world->now_ns < p->known.until_ns;
}

/* The servers have what DANE wants. */
static bool is_satisfied(const struct peer_policy *p)
{
    return p->has_tls && (p->kind == PEER_DANE_UNUSABLE || p->is_fitting);
}

void peer_policy_check_offer(const struct plan_domain *d, int64_t connected_ns, bool is_tls)
{
    const struct peer_policy *p = &d->policy;
    const char *with = is_tls ? "with TLS that proves nothing" : "without TLS";
    if (is_signed(p) && !is_gone(p) && !(is_tls && is_satisfied(p)))
        ledger_blame(0, "mail for %s was offered %s in spite of DANE", d->name, with);
    if (is_known_to_enforce(p, connected_ns))
        ledger_blame(0,
                     "mail for %s was offered %s in spite of the policy that was fetched %lld s "
                     "before",
                     d->name, with, (long long)((world->now_ns - p->known.since_ns) / SIM_SECOND));
}

/* Since when nothing keeps the mail of a domain from it. */
static int64_t free_since_ns(const struct plan_domain *d)
{
    int64_t since = world->plan->healing_ns;
    if (d->is_dead)
        return SIM_NEVER;
    if (is_satisfied(&d->policy) || d->policy.gone_ns == SIM_NEVER)
        return is_satisfied(&d->policy) ? since : SIM_NEVER;
    return since > d->policy.gone_ns ? since : d->policy.gone_ns;
}

void peer_policy_check_failure(uint64_t message, const char *address, const char *status,
                               int64_t offered_ns, int64_t made_ns)
{
    struct plan *plan = world->plan;
    const struct plan_domain *d = NULL;
    for (size_t i = 0; i < plan->domains; i++)
        if (strcmp(strchr(address, '@') + 1, plan->domain[i].name) == 0)
            d = &plan->domain[i];
    if (!d || !is_signed(&d->policy))
        return;
    if (made_ns < d->policy.gone_ns && made_ns > plan->healing_ns + NEXT_TRY_S * SIM_SECOND &&
        !d->is_dead && !is_satisfied(&d->policy) && strncmp(status + 1, ".7.", 3) != 0)
        ledger_blame(message, "message %llu was kept from %s by DANE and came back with status %s",
                     (unsigned long long)message, address, status);
    int64_t since = free_since_ns(d);
    if (offered_ns > since)
        since = offered_ns;
    if (since != SIM_NEVER && made_ns > since + NEXT_TRY_S * SIM_SECOND)
        ledger_blame(message, "message %llu to %s came back %lld s after nothing kept it any more",
                     (unsigned long long)message, address,
                     (long long)((made_ns - since) / SIM_SECOND));
}

/* What was not saved is not known any more. */
void peer_policies_crash(void)
{
    struct plan *p = world->plan;
    for (size_t i = 0; i < p->domains; i++) {
        struct peer_policy *policy = &p->domain[i].policy;
        bool is_saved = world->now_ns - policy->known.since_ns > SAVED_S * SIM_SECOND &&
                        policy->known.troubles == world->disk->troubles_met;
        if (!is_saved)
            policy->known.is_enforced = false;
    }
}
