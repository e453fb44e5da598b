/* SPDX-License-Identifier: ISC */
/*
 * zone_check_name.c - what the DNS says of a domain: its mail exchangers, who may send for it, its keys and policies
 */
#include "check/dkim_key.h"
#include "check/dmarc.h"
#include "check/mta_sts.h"
#include "check/report_destination.h"
#include "check/spf.h"
#include "check/spf_record.h"
#include "check/tlsrpt_record.h"
#include "cli/zone_check.h"
#include "net/fetch.h"
#include "os/clock.h"
#include "proto/dns.h"

enum { LOOKUP_ROOM = 1 << 20, HTTPS_PORT = 443, TERMS_MANY = 8 };

static const char no_answer[] = "the DNS does not answer";

static const struct zone_item *planned(const struct zone_check *k, enum zone_kind kind)
{
    return k->plan ? zone_plan_find(k->plan, kind, NULL) : NULL;
}

static struct str below(struct zone_check *k, const char *label)
{
    return arena_printf(k->arena, "%s." STR_FMT, label, STR_ARG(k->domain));
}

/* Whether the name is an alias: no mail exchanger may be (RFC 5321 section 5.1). */
static bool is_alias(struct zone_check *k, struct str name)
{
    struct arena a = arena_make(LOOKUP_ROOM);
    struct resolver_answer answer;
    struct fault f = resolver_lookup(k->resolver, &a, arena_c_string(&a, name), RESOLVER_CNAME,
                                     k->inquiry.deadline_ms, &answer);
    bool is_one = !f.kind && answer.count > 0;
    arena_free(&a);
    return is_one;
}

static void check_exchanger(struct zone_check *k, struct str host, bool is_ours)
{
    struct ask_answer v4, v6;
    if (is_alias(k, host)) {
        zone_check_tell(k, ZONE_BAD, host, STR_NONE, NULL,
                        "the mail exchanger is an alias (CNAME), which RFC 5321 does not allow");
        return;
    }
    ask(&k->asker, host, ASK_A, &v4);
    ask(&k->asker, host, ASK_AAAA, &v6);
    if (v4.count + v6.count > 0)
        zone_check_tell(k, ZONE_OK, host, STR_NONE, NULL, "%s with %zu addresses",
                        is_ours ? "our host," : "a mail exchanger", v4.count + v6.count);
    else
        zone_check_tell(k, ZONE_BAD, host, STR_NONE, NULL, "%s",
                        v4.status == ASK_FAILED || v6.status == ASK_FAILED
                            ? no_answer
                            : "the mail exchanger has no address");
}

static void check_hosts(struct zone_check *k, const struct ask_answer *answer)
{
    bool has_ours = false, is_null = false;
    for (size_t i = 0; i < answer->count && k->host_count < ZONE_CHECK_HOSTS; i++) {
        struct str host = arena_copy(k->arena, answer->hosts[i].host);
        bool is_ours = k->plan && str_equal_nocase(host, k->plan->host);
        has_ours |= is_ours;
        if (host.n == 0) {
            is_null = true;
            zone_check_tell(k, ZONE_BAD, k->domain, STR("0 ."), planned(k, ZONE_MX),
                            "a null MX says that the domain takes no mail (RFC 7505)");
            continue;
        }
        k->host[k->host_count++] = host;
        check_exchanger(k, host, is_ours);
    }
    if (k->plan && !has_ours && !is_null)
        zone_check_tell(k, ZONE_BAD, k->domain, answer->hosts[0].host, planned(k, ZONE_MX),
                        "no mail exchanger is our host");
}

void zone_check_mx(struct zone_check *k)
{
    struct ask_answer answer;
    zone_check_begin(k, "mx");
    ask(&k->asker, k->domain, ASK_MX, &answer);
    if (answer.count > 0)
        check_hosts(k, &answer);
    else
        zone_check_tell(k, k->plan || answer.status == ASK_FAILED ? ZONE_BAD : ZONE_WARN, k->domain,
                        STR_NONE, planned(k, ZONE_MX), "%s",
                        answer.status == ASK_FAILED    ? no_answer
                        : answer.status == ASK_NO_NAME ? "the domain does not exist"
                                                       : "there is no MX record");
}

static void judge_spf(struct zone_check *k, const struct ip_address *ip, struct spf_verdict *out)
{
    struct str host = k->conf ? k->conf->hostname : STR("unknown");
    struct spf_question q = {.identity = SPF_MAIL_FROM,
                             .ip = *ip,
                             .helo = host,
                             .mail_from =
                                 arena_printf(k->arena, "postmaster@" STR_FMT, STR_ARG(k->domain)),
                             .receiver = host,
                             .now_s = clock_real_ms() / 1000,
                             .void_limit = SPF_VOID_LIMIT};
    zone_check_begin(k, "spf");
    spf_check(&q, &k->asker, out);
}

/* The record with what lets the address send put in front. */
static struct zone_item spf_with(struct zone_check *k, struct str text, const struct ip_address *ip)
{
    char room[IP_TEXT_MAX];
    bool is_of_host = false;
    zone_check_begin(k, "spf");
    for (int t = 0; t < 2; t++) {
        struct ask_answer answer;
        ask(&k->asker, k->plan->host, t == 0 ? ASK_A : ASK_AAAA, &answer);
        for (size_t i = 0; i < answer.count; i++)
            is_of_host |= ip_equal(&answer.addresses[i], ip);
    }
    struct str address = ip_format(ip, room);
    struct str rest = str_trim(str_skip(text, sizeof "v=spf1" - 1));
    struct str term = is_of_host ? STR("mx")
                                 : arena_printf(k->arena, "%s:" STR_FMT,
                                                ip_is_v4(ip) ? "ip4" : "ip6", STR_ARG(address));
    return (struct zone_item){ZONE_SPF, k->domain, "TXT",
                              arena_printf(k->arena, "v=spf1 " STR_FMT "%s" STR_FMT, STR_ARG(term),
                                           rest.n > 0 ? " " : "", STR_ARG(rest)),
                              NULL};
}

/* What each of our addresses gets; false when one gets no pass. */
static bool covers_ours(struct zone_check *k, struct str text)
{
    bool is_good = true;
    for (size_t i = 0; k->plan && i < k->own_count; i++) {
        struct spf_verdict v;
        char ip[IP_TEXT_MAX];
        judge_spf(k, &k->own[i], &v);
        if (v.result == SPF_PASS)
            continue;
        is_good = false;
        struct str address = ip_format(&k->own[i], ip);
        const char *result = spf_result_name(v.result);
        struct str reason = arena_copy(k->arena, v.reason);
        struct zone_item mend = spf_with(k, text, &k->own[i]);
        zone_check_tell(k, ZONE_BAD, k->domain, text, &mend,
                        "our address " STR_FMT " gets %s: " STR_FMT, STR_ARG(address), result,
                        STR_ARG(reason));
    }
    return is_good;
}

static bool sends_by_ipv6(const struct zone_check *k)
{
    for (size_t i = 0; i < k->own_count; i++)
        if (!ip_is_v4(&k->own[i]))
            return true;
    return false;
}

/* Evaluates all of the record, for addresses that nobody can have: no term ends it early. IPv6 counts only for those who
 * use it, as each host without an IPv6 address is a void look-up there. */
static bool spf_is_sound(struct zone_check *k, struct str text, unsigned *terms, unsigned *voids)
{
    static const struct ip_address nobody[] = {{{[10] = 0xFF, 0xFF, 240, 0, 0, 1}},
                                               {{1, 0, [15] = 1}}};
    *terms = *voids = 0;
    for (size_t i = 0; i < 1 + (size_t)sends_by_ipv6(k); i++) {
        struct spf_verdict v;
        judge_spf(k, &nobody[i], &v);
        *terms = v.terms > *terms ? v.terms : *terms;
        *voids = v.voids > *voids ? v.voids : *voids;
        if (v.result != SPF_PERMERROR && v.result != SPF_TEMPERROR && v.result != SPF_PASS)
            continue;
        zone_check_tell(k, ZONE_BAD, k->domain, text, planned(k, ZONE_SPF), "%s" STR_FMT,
                        v.result == SPF_PASS        ? "everybody may send as the domain: "
                        : v.result == SPF_PERMERROR ? "the record is an error for all who look: "
                                                    : "the DNS fails: ",
                        STR_ARG(v.reason));
        return false;
    }
    return true;
}

void zone_check_spf(struct zone_check *k)
{
    struct ask_answer answer;
    struct str text = STR_NONE;
    size_t count = 0;
    unsigned terms, voids;
    zone_check_begin(k, "spf");
    ask(&k->asker, k->domain, ASK_TXT, &answer);
    for (size_t i = 0; i < answer.count; i++)
        if (spf_record_is_one(answer.texts[i]) && count++ == 0)
            text = arena_copy(k->arena, answer.texts[i]);
    if (count != 1) {
        zone_check_tell(k, ZONE_BAD, k->domain, text, planned(k, ZONE_SPF), "%s",
                        answer.status == ASK_FAILED ? no_answer
                        : count == 0                ? "there is no SPF record"
                                     : "there are several SPF records, which is an error");
        return;
    }
    if (!spf_is_sound(k, text, &terms, &voids) || !covers_ours(k, text))
        return;
    zone_check_tell(
        k, terms > TERMS_MANY || voids >= SPF_VOID_LIMIT ? ZONE_WARN : ZONE_OK, k->domain, text,
        NULL, "valid; %u of %d look-ups and %u of %d void ones are used%s", terms, SPF_TERMS_MAX,
        voids, SPF_VOID_LIMIT, k->plan && k->own_count > 0 ? "; covers our addresses" : "");
}

static struct dkim_finding read_key(struct zone_check *k, struct str text, struct str algorithm,
                                    struct dkim_key *out)
{
    struct dkim_key_use use = {.kind = str_equal(algorithm, STR("rsa")) ? DKIM_KEY_RSA
                                                                        : DKIM_KEY_ED25519};
    return dkim_key_read(text, use, k->arena, out);
}

/* A key that signs has to be there, and so has one whose mail is on its way; the next one may come. */
static void check_key(struct zone_check *k, const struct zone_item *item)
{
    const struct directory_key *key = item->key;
    const char *state = directory_key_state_name(key->state);
    struct ask_answer answer;
    struct dkim_key ours, theirs;
    zone_check_begin(k, "dkim");
    ask(&k->asker, item->name, ASK_TXT, &answer);
    struct str text = answer.count > 0 ? answer.texts[0] : STR_NONE;
    enum zone_level level = key->state == DIRECTORY_KEY_ACTIVE ? ZONE_BAD : ZONE_WARN;
    if (answer.count != 1) {
        zone_check_tell(k, level, item->name, text, item, "the %s key: %s", state,
                        answer.status == ASK_FAILED ? no_answer
                        : answer.count == 0         ? "there is no record"
                                                    : "there are several records");
        return;
    }
    struct dkim_finding f = read_key(k, text, key->algorithm, &theirs);
    bool is_same = f.result == DKIM_NONE &&
                   read_key(k, item->data, key->algorithm, &ours).result == DKIM_NONE &&
                   str_equal(ours.data, theirs.data);
    if (is_same)
        zone_check_tell(k, ZONE_OK, item->name, STR_NONE, NULL, "the %s key is published%s", state,
                        theirs.is_testing ? ", marked as a test (t=y)" : "");
    else
        zone_check_tell(k, level, item->name, text, item, "the %s key: %s", state,
                        f.result == DKIM_NONE ? "another key is published" : f.reason);
}

void zone_check_dkim(struct zone_check *k)
{
    const struct zone_item *item = NULL;
    bool is_signing = false;
    while ((item = zone_plan_find(k->plan, ZONE_DKIM, item))) {
        is_signing |= item->key->state == DIRECTORY_KEY_ACTIVE;
        check_key(k, item);
    }
    zone_check_begin(k, "dkim");
    if (!is_signing && k->conf->signing != CONF_SIGNING_OFF)
        zone_check_tell(k, ZONE_BAD, k->domain, STR_NONE, NULL,
                        "no key signs; eilbote dkim rotate makes them");
}

/* Whether those that get the reports want them (RFC 9990 section 4). */
static void check_destinations(struct zone_check *k, struct str rua)
{
    struct report_uri uri;
    while (report_uri_next(&rua, &uri)) {
        if (uri.is_https)
            continue;
        struct str host = arena_copy(k->arena, uri.domain);
        struct str text = arena_copy(k->arena, uri.text);
        enum report_consent consent = report_destination_check(k->domain, &uri, &k->asker);
        struct zone_item mend = {ZONE_DMARC_CONSENT,
                                 arena_printf(k->arena, STR_FMT "._report._dmarc." STR_FMT,
                                              STR_ARG(k->domain), STR_ARG(host)),
                                 "TXT", STR("v=DMARC1"), NULL};
        if (consent != REPORT_CONSENT_GIVEN)
            zone_check_tell(k, consent == REPORT_CONSENT_MISSING ? ZONE_BAD : ZONE_WARN, mend.name,
                            text, &mend, "%s",
                            consent == REPORT_CONSENT_MISSING
                                ? "the domain of that address does not say that it wants the "
                                  "reports: none are sent there"
                                : no_answer);
    }
}

/* A domain without a record may have that of one above. */
static void check_inherited(struct zone_check *k)
{
    struct dmarc_verdict v;
    dmarc_finish(dmarc_begin(k->domain, &k->asker), &(struct dmarc_question){0}, &v);
    if (v.record_domain.n > 0)
        zone_check_tell(k, ZONE_OK, below(k, "_dmarc"), STR_NONE, NULL,
                        "none of its own; that of " STR_FMT " counts: %s", STR_ARG(v.record_domain),
                        dmarc_policy_name(v.policy));
    else
        zone_check_tell(k, ZONE_BAD, below(k, "_dmarc"), STR_NONE, planned(k, ZONE_DMARC), "%s",
                        v.result == DMARC_TEMPERROR ? no_answer : "there is no DMARC record");
}

/* Without a policy that exists the record counts as p=none where it asks for reports, else as none (4.10.1). */
static void tell_broken(struct zone_check *k, struct str name, struct str text, struct str rua)
{
    struct str address;
    bool counts = dmarc_uri_next(&rua, &address);
    zone_check_tell(k, counts ? ZONE_WARN : ZONE_BAD, name, text, planned(k, ZONE_DMARC),
                    "p is missing, or a policy is none that exists: the record counts as %s",
                    counts ? "p=none" : "none at all");
}

void zone_check_dmarc(struct zone_check *k)
{
    struct str name = below(k, "_dmarc"), text = STR_NONE;
    struct dmarc_record record = {0}, one;
    struct ask_answer answer;
    size_t count = 0;
    zone_check_begin(k, "dmarc");
    ask(&k->asker, name, ASK_TXT, &answer);
    for (size_t i = 0; i < answer.count; i++)
        if (dmarc_record_parse(answer.texts[i], &one) && count++ == 0) {
            record = one;
            text = arena_copy(k->arena, answer.texts[i]);
        }
    if (answer.status == ASK_FAILED || count > 1)
        zone_check_tell(k, ZONE_BAD, name, text, planned(k, ZONE_DMARC), "%s",
                        count > 1 ? "there are several records, so none counts" : no_answer);
    else if (count == 0)
        check_inherited(k);
    else if (record.is_broken)
        tell_broken(k, name, text, record.rua);
    else
        zone_check_tell(k, record.rua.n > 0 ? ZONE_OK : ZONE_WARN, name, text, NULL,
                        "asks for %s%s", dmarc_policy_name(record.p),
                        record.rua.n > 0 ? "" : ", and for no reports (rua)");
    check_destinations(k, record.rua);
}

/* False when the name has none. */
static bool add_addresses(struct zone_check *k, struct fetch *f)
{
    bool has_some = false;
    for (int t = 0; t < 2; t++) {
        struct ask_answer answer;
        ask(&k->asker, str_from(f->host), t == 0 ? ASK_AAAA : ASK_A, &answer);
        has_some |= answer.count > 0 || answer.status == ASK_FAILED;
        for (size_t i = 0; i < answer.count && f->address_count < FETCH_ADDRESSES_MAX; i++) {
            const struct ip_address *ip = &answer.addresses[i];
            if (fetch_is_public(ip) ||
                (k->conf && conf_networks_contain(&k->conf->delivery.sts_networks, ip)))
                f->address[f->address_count++] = *ip;
        }
    }
    return has_some;
}

/* The policy's web server, and whether the policy has our mail exchangers. */
static void check_policy(struct zone_check *k)
{
    const struct conf_delivery *d = k->conf ? &k->conf->delivery : NULL;
    struct str host = below(k, "mta-sts");
    struct fetch f = {.host = arena_c_string(k->arena, host),
                      .path = "/.well-known/mta-sts.txt",
                      .authorities =
                          d && d->ca_file.n > 0 ? arena_c_string(k->arena, d->ca_file) : NULL,
                      .port = d ? (uint16_t)d->sts_port : HTTPS_PORT};
    struct buf text = buf_make(MTA_STS_POLICY_MAX);
    struct mta_sts_policy policy;
    const char *reason = NULL;
    size_t missing = 0;
    struct fault fault =
        add_addresses(k, &f)
            ? fetch_text(&f, &text)
            : fault_make(451, FAULT_STATUS(4, 4, 3), "its web server has no address in the DNS");
    if (fault.kind || !mta_sts_policy_parse(buf_str(&text), k->arena, &policy, &reason)) {
        zone_check_tell(k, ZONE_BAD, host, STR_NONE, NULL, "the policy is %s: " STR_FMT,
                        fault.kind ? "not there" : "not valid",
                        STR_ARG(fault.kind ? fault_text(&fault) : str_from(reason)));
        buf_free(&text);
        return;
    }
    for (size_t i = 0; policy.mode != MTA_STS_NONE && i < k->host_count; i++)
        if (!mta_sts_policy_has(&policy, k->host[i]) && ++missing)
            zone_check_tell(k, policy.mode == MTA_STS_ENFORCE ? ZONE_BAD : ZONE_WARN, k->host[i],
                            STR_NONE, NULL,
                            "the policy (mode %s) does not have this mail exchanger",
                            mta_sts_mode_name(policy.mode));
    if (missing == 0)
        zone_check_tell(k, ZONE_OK, host, STR_NONE, NULL, "the policy is there, mode %s",
                        mta_sts_mode_name(policy.mode));
    buf_free(&text);
}

void zone_check_mta_sts(struct zone_check *k)
{
    struct str name = below(k, "_mta-sts"), text = STR_NONE, id;
    struct ask_answer answer;
    enum mta_sts_record found = MTA_STS_ABSENT, one;
    size_t count = 0;
    zone_check_begin(k, "mta-sts");
    ask(&k->asker, name, ASK_TXT, &answer);
    for (size_t i = 0; i < answer.count; i++)
        if ((one = mta_sts_record_parse(answer.texts[i], &id)) != MTA_STS_ABSENT && count++ == 0) {
            found = one;
            text = arena_copy(k->arena, answer.texts[i]);
        }
    if (count == 1 && found == MTA_STS_GOOD) {
        check_policy(k);
        return;
    }
    zone_check_tell(k, count > 0 ? ZONE_BAD : ZONE_WARN, name, text, planned(k, ZONE_MTA_STS), "%s",
                    answer.status == ASK_FAILED ? no_answer
                    : count > 1                 ? "there are several records, so none counts"
                    : count == 1                ? "the record is not valid"
                                 : "there is none; it protects mail from those whose "
                                   "servers do not use DANE");
}

void zone_check_tlsrpt(struct zone_check *k)
{
    struct str name = below(k, "_smtp._tls");
    struct tlsrpt_record record;
    bool has_failed = false;
    zone_check_begin(k, "tlsrpt");
    if (tlsrpt_record_find(k->domain, &k->asker, &record, &has_failed))
        zone_check_tell(k, ZONE_OK, name, record.rua, NULL, "reports about TLS are wanted");
    else
        zone_check_tell(k, ZONE_WARN, name, STR_NONE, planned(k, ZONE_TLSRPT), "%s",
                        has_failed ? no_answer : "there is none, or none that is valid");
}

static void check_service(struct zone_check *k, const struct zone_item *item)
{
    struct arena a = arena_make(LOOKUP_ROOM);
    struct resolver_answer answer;
    struct str found = STR_NONE;
    bool is_same = false;
    struct fault f = resolver_lookup(k->resolver, &a, arena_c_string(&a, item->name), RESOLVER_SRV,
                                     k->inquiry.deadline_ms, &answer);
    for (size_t i = 0; !f.kind && i < answer.count; i++) {
        struct dns_srv srv;
        if (!dns_srv_read(answer.data[i], &a, &srv))
            continue;
        struct str place =
            arena_printf(&a, "%u " STR_FMT ".", (unsigned)srv.port, STR_ARG(srv.host));
        is_same |= str_ends_nocase(item->data, arena_printf(&a, " " STR_FMT, STR_ARG(place)));
        found = place;
    }
    if (is_same)
        zone_check_tell(k, ZONE_OK, item->name, found, NULL, "leads mail programs to us");
    else
        zone_check_tell(k, ZONE_WARN, item->name, found, item, "%s",
                        f.kind ? no_answer
                        : found.n > 0
                            ? "leads mail programs elsewhere"
                            : "there is none, so mail programs do not find the way alone");
    arena_free(&a);
}

void zone_check_srv(struct zone_check *k)
{
    const struct zone_item *item = NULL;
    zone_check_begin(k, "srv");
    while ((item = zone_plan_find(k->plan, ZONE_SRV, item)))
        if (!str_starts(item->data, STR("0 0 0 ")))
            check_service(k, item);
}
