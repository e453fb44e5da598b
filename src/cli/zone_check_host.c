/* SPDX-License-Identifier: ISC */
/*
 * zone_check_host.c - what the DNS says of our host, its certificate and the addresses that we send from
 */
#include "check/dnsbl.h"
#include "check/iprev.h"
#include "check/spf.h"
#include "cli/certificate.h"
#include "cli/zone_check.h"
#include "os/clock.h"
#include "os/file.h"

enum { CERTIFICATE_LIMIT = 1 << 20 };

static bool is_known(const struct zone_check *k, const struct ip_address *ip)
{
    for (size_t i = 0; i < k->own_count; i++)
        if (ip_equal(&k->own[i], ip))
            return true;
    return false;
}

static void add_own(struct zone_check *k, const struct ip_address *ip)
{
    static const struct ip_address any[] = {{{0}}, {{[10] = 0xFF, [11] = 0xFF}}};
    if (k->own_count < ZONE_CHECK_ADDRESSES && !is_known(k, ip) && !ip_equal(ip, &any[0]) &&
        !ip_equal(ip, &any[1]))
        k->own[k->own_count++] = *ip;
}

static void add_addresses_of_host(struct zone_check *k, bool *has_failed)
{
    static const enum ask_type types[] = {ASK_A, ASK_AAAA};
    for (size_t t = 0; t < 2; t++) {
        struct ask_answer answer;
        ask(&k->asker, k->plan->host, types[t], &answer);
        *has_failed |= answer.status == ASK_FAILED;
        for (size_t i = 0; i < answer.count; i++)
            add_own(k, &answer.addresses[i]);
    }
}

/* Named by the command, else by the configuration, else those of the host. */
void zone_check_addresses(struct zone_check *k)
{
    const struct conf_next_hop *smarthost = &k->conf->smarthost;
    const struct conf_addresses *source = &k->conf->delivery.source;
    bool has_failed = false;
    zone_check_begin(k, "addresses");
    if (k->own_count > 0)
        return;
    if (smarthost->host.n > 0) {
        zone_check_tell(k, ZONE_WARN, smarthost->host, STR_NONE, NULL,
                        "mail leaves through this smarthost, whose addresses count; --address "
                        "names them");
        return;
    }
    for (size_t i = 0; i < source->count; i++)
        add_own(k, &source->item[i]);
    if (k->own_count == 0)
        add_addresses_of_host(k, &has_failed);
    if (k->own_count == 0)
        zone_check_tell(k, ZONE_BAD, k->plan->host, STR_NONE, NULL,
                        has_failed ? "the DNS does not answer about our host's addresses"
                                   : "our host has no address in the DNS; --address names those "
                                     "that we send from");
}

void zone_check_ptr(struct zone_check *k)
{
    char room[IPREV_REVERSE_MAX], text[IP_TEXT_MAX];
    for (size_t i = 0; i < k->own_count; i++) {
        struct iprev_verdict v;
        struct str reverse = iprev_reverse_name(&k->own[i], room);
        struct zone_item mend = {ZONE_SRV, reverse, "PTR",
                                 arena_printf(k->arena, STR_FMT ".", STR_ARG(k->plan->host)), NULL};
        zone_check_begin(k, "ptr");
        iprev_check(&k->own[i], &k->asker, &v);
        ip_format(&k->own[i], text);
        if (v.result == IPREV_PASS && str_equal_nocase(v.name, k->plan->host))
            zone_check_tell(k, ZONE_OK, reverse, v.name, NULL, "%s has our name, confirmed", text);
        else if (v.result == IPREV_PASS)
            zone_check_tell(k, ZONE_WARN, reverse, v.name, &mend,
                            "%s has a confirmed name, but not the one that we say in EHLO", text);
        else
            zone_check_tell(k, ZONE_BAD, reverse, STR_NONE, &mend, "%s: " STR_FMT, text,
                            STR_ARG(v.reason));
    }
}

/* The host as a sender of its own: notices have nobody else (RFC 7208 section 2.4). */
static void check_helo_spf(struct zone_check *k, const struct ip_address *ip)
{
    char text[IP_TEXT_MAX];
    struct spf_verdict v;
    const struct zone_item *mend = zone_plan_find(k->plan, ZONE_HELO_SPF, NULL);
    struct spf_question q = {.identity = SPF_HELO,
                             .ip = *ip,
                             .helo = k->plan->host,
                             .receiver = k->plan->host,
                             .now_s = clock_real_ms() / 1000,
                             .void_limit = SPF_VOID_LIMIT};
    if (!mend) /* the host's name is the domain itself, which has its SPF */
        return;
    zone_check_begin(k, "helo");
    spf_check(&q, &k->asker, &v);
    struct str address = ip_format(ip, text);
    if (v.result != SPF_PASS)
        zone_check_tell(k, v.result == SPF_NONE ? ZONE_WARN : ZONE_BAD, k->plan->host, STR_NONE,
                        mend, "SPF of our name says %s for " STR_FMT ": " STR_FMT,
                        spf_result_name(v.result), STR_ARG(address), STR_ARG(v.reason));
}

void zone_check_helo(struct zone_check *k)
{
    char text[IP_TEXT_MAX];
    for (size_t i = 0; i < k->own_count; i++) {
        bool has_address = false, is_v4 = ip_is_v4(&k->own[i]);
        zone_check_begin(k, "helo");
        ip_format(&k->own[i], text);
        struct zone_item mend = {ZONE_SRV, k->plan->host, is_v4 ? "A" : "AAAA", str_from(text),
                                 NULL};
        enum ask_status status = iprev_confirm(&k->own[i], k->plan->host, &k->asker, &has_address);
        if (has_address)
            zone_check_tell(k, ZONE_OK, k->plan->host, str_from(text), NULL,
                            "the name that we say in EHLO has the address");
        else
            zone_check_tell(k, ZONE_BAD, k->plan->host, STR_NONE, &mend, "%s",
                            status == ASK_FAILED
                                ? "the DNS does not answer about the name that we say in EHLO"
                                : "the name that we say in EHLO does not have an address that we "
                                  "send from");
        check_helo_spf(k, &k->own[i]);
    }
}

/* Whether a certificate of ours for the host is one that the record is about. */
static bool fits_ours(const struct zone_check *k, const struct ask_tlsa *record)
{
    bool is_fit = false;
    struct dns_tlsa t = {record->usage, record->selector, record->matching, record->data};
    for (size_t i = 0; i < k->conf->certificate_count && !is_fit; i++) {
        struct buf chain = buf_make(CERTIFICATE_LIMIT);
        const char *path = arena_c_string(k->arena, k->conf->certificate[i].chain);
        is_fit =
            !file_load(path, &chain).kind && certificate_fits(buf_str(&chain), k->plan->host, &t);
        buf_free(&chain);
    }
    return is_fit;
}

void zone_check_tlsa(struct zone_check *k)
{
    const struct zone_item *mend = zone_plan_find(k->plan, ZONE_TLSA, NULL);
    struct str name = arena_printf(k->arena, "_25._tcp." STR_FMT, STR_ARG(k->plan->host));
    struct ask_answer answer;
    size_t fitting = 0;
    zone_check_begin(k, "tlsa");
    ask(&k->asker, name, ASK_TLSA, &answer);
    for (size_t i = 0; i < answer.count; i++)
        fitting += fits_ours(k, &answer.keys[i]);
    if (answer.status == ASK_FAILED)
        zone_check_tell(k, ZONE_BAD, name, STR_NONE, NULL,
                        "the DNS does not answer, or what it says is bogus: who uses DANE does "
                        "not send us mail");
    else if (answer.count == 0 && answer.is_secure)
        zone_check_tell(k, ZONE_WARN, name, STR_NONE, mend,
                        "the zone is signed, so DANE could protect mail to us");
    else if (answer.count == 0)
        zone_check_tell(k, ZONE_OK, name, STR_NONE, NULL,
                        "none, and DANE has no say: DNSSEC does not prove the zone");
    else if (fitting == 0)
        zone_check_tell(k, answer.is_secure ? ZONE_BAD : ZONE_WARN, name, STR_NONE, mend,
                        "%zu records, none of which fits our certificate", answer.count);
    else if (!answer.is_secure)
        zone_check_tell(k, ZONE_OK, name, STR_NONE, NULL,
                        "the records fit; DNSSEC does not prove them, so nobody looks at them");
    else
        zone_check_tell(k, ZONE_OK, name, STR_NONE, NULL,
                        "%zu of %zu records fit our certificate, proven by DNSSEC", fitting,
                        answer.count);
}

static void check_list(struct zone_check *k, const struct dnsbl_site *site,
                       const struct ip_address *ip)
{
    char room[DNSBL_NAME_MAX], text[IP_TEXT_MAX], code[IP_TEXT_MAX], words[DNSBL_TEXT_MAX];
    struct dnsbl_verdict v;
    struct str reverse = dnsbl_reverse(ip, room);
    ip_format(ip, text);
    zone_check_begin(k, "dnsbl");
    dnsbl_check(site, 1, reverse, &k->asker, &v);
    const struct dnsbl_finding *f = &v.finding[0];
    switch (f->status) {
    case DNSBL_CLEAR:
        zone_check_tell(k, ZONE_OK, site->zone, STR_NONE, NULL, "%s is not listed", text);
        break;
    case DNSBL_LISTED:
        zone_check_tell(k, ZONE_BAD, site->zone, ip_format(&f->code, code), NULL,
                        "%s is listed: " STR_FMT, text,
                        STR_ARG(dnsbl_explain(site, reverse, &k->asker, words)));
        break;
    case DNSBL_FAILED:
    case DNSBL_REFUSED:
    case DNSBL_STRANGE:
        zone_check_tell(k, ZONE_WARN, site->zone, STR_NONE, NULL,
                        "the list %s, so nobody knows whether it has %s",
                        f->status == DNSBL_FAILED    ? "does not answer"
                        : f->status == DNSBL_REFUSED ? "refuses to answer our resolver"
                                                     : "gives answers that no list gives",
                        text);
        break;
    }
}

void zone_check_dnsbl(struct zone_check *k)
{
    zone_check_begin(k, "dnsbl");
    if (k->list_count == 0)
        zone_check_tell(k, ZONE_OK, STR_NONE, STR_NONE, NULL,
                        "no block list is named, by the configuration or with --dnsbl: none is "
                        "asked");
    for (size_t i = 0; i < k->own_count; i++)
        for (size_t l = 0; l < k->list_count; l++)
            check_list(k, &k->lists[l], &k->own[i]);
}
