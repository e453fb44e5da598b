/* SPDX-License-Identifier: ISC */
/*
 * zone_plan.c - the records that the mail of a domain of ours needs
 */
#include "cli/zone_plan.h"

#include <stdlib.h>

#include "cli/certificate.h"
#include "cli/zone_text.h"
#include "os/file.h"

enum { CERTIFICATE_LIMIT = 1 << 20 };

struct maker {
    struct arena *arena;
    const struct conf *conf;
    struct directory *directory;
    struct zone_plan *plan;
    struct fault fault;
};

bool zone_plan_is_within(struct str name, struct str zone)
{
    return str_equal_nocase(name, zone) ||
           (name.n > zone.n && name.p[name.n - zone.n - 1] == '.' && str_ends_nocase(name, zone));
}

static void note(struct maker *z, struct fault f)
{
    if (!z->fault.kind)
        z->fault = f;
}

static void add(struct maker *z, enum zone_kind kind, struct str name, const char *type,
                struct str data)
{
    struct zone_plan *p = z->plan;
    if (p->count == p->size) {
        p->size = p->size > 0 ? 2 * p->size : 32;
        struct zone_item *grown = arena_alloc(z->arena, p->size * sizeof *grown);
        if (p->count > 0)
            memcpy(grown, p->item, p->count * sizeof *grown);
        p->item = grown;
    }
    p->item[p->count++] = (struct zone_item){.kind = kind,
                                             .name = arena_copy(z->arena, name),
                                             .type = type,
                                             .data = arena_copy(z->arena, data)};
}

static void say(struct maker *z, const char *text)
{
    add(z, ZONE_COMMENT, STR_NONE, NULL, str_from(text));
}

/* The name below the domain. */
static struct str below(struct maker *z, const char *label)
{
    return arena_printf(z->arena, "%s." STR_FMT, label, STR_ARG(z->plan->domain));
}

static const struct conf_listener *listener_of(const struct maker *z, enum conf_role role)
{
    for (size_t i = 0; i < z->conf->listener_count; i++)
        if (z->conf->listener[i].role == (int)role)
            return &z->conf->listener[i];
    return NULL;
}

static void add_exchanger(struct maker *z)
{
    const struct conf_listener *mx = listener_of(z, CONF_ROLE_MX);
    say(z, "Mail for the domain comes to this host. The host's name needs A and AAAA records, and "
           "its addresses that name in");
    say(z, "their reverse zones (PTR).");
    if (mx && mx->port != 25)
        say(z, "ATTENTION: other servers come to port 25, but the listener has another one.");
    add(z, ZONE_MX, z->plan->domain, "MX",
        arena_printf(z->arena, "10 " STR_FMT ".", STR_ARG(z->plan->host)));
}

static void add_spf(struct maker *z)
{
    say(z, "SPF (RFC 7208): who may send as the domain, and as this host (notices have no other "
           "sender).");
    if (z->conf->smarthost.host.n > 0)
        say(z, "ATTENTION: mail leaves through a smarthost: put its \"include:...\" in front of "
               "\"-all\".");
    add(z, ZONE_SPF, z->plan->domain, "TXT", STR("v=spf1 mx -all"));
    if (!str_equal_nocase(z->plan->host, z->plan->domain))
        add(z, ZONE_HELO_SPF, z->plan->host, "TXT", STR("v=spf1 a -all"));
}

static void add_keys(struct maker *z)
{
    static const char *const meanings[] = {
        [DIRECTORY_KEY_NEXT] = "signs after: eilbote dkim rotate DOMAIN --activate",
        [DIRECTORY_KEY_ACTIVE] = "signs",
        [DIRECTORY_KEY_RETIRING] =
            "has signed mail that may be on its way; stays until eilbote dkim prune",
    };
    struct signing_keys *keys = &z->plan->keys;
    note(z, signing_keys_list(z->directory, z->plan->domain, z->arena, keys));
    say(z, "DKIM (RFC 6376, 8463): the keys that sign.");
    if (keys->count == 0)
        say(z, "ATTENTION: there are none; eilbote dkim rotate makes them.");
    for (size_t i = 0; i < keys->count; i++) {
        say(z, arena_printf(z->arena, STR_FMT ": %s", STR_ARG(keys->item[i].selector),
                            meanings[keys->item[i].state])
                   .p);
        add(z, ZONE_DKIM,
            arena_printf(z->arena, STR_FMT "._domainkey." STR_FMT, STR_ARG(keys->item[i].selector),
                         STR_ARG(z->plan->domain)),
            "TXT", keys->item[i].record);
        z->plan->item[z->plan->count - 1].key = &keys->item[i];
    }
}

/* Where the domain wants its reports: at the address that reads them, which may be another domain's. */
static struct str reports_to(struct maker *z)
{
    const struct conf_names *list = &z->conf->reports.address;
    for (size_t i = 0; i < list->count; i++) {
        struct str item = list->item[i];
        if (str_equal_nocase(str_skip(item, str_last_index(item, '@') + 1), z->plan->domain))
            return item;
    }
    return list->count > 0 ? list->item[0] : STR_NONE;
}

static struct str default_address(struct maker *z)
{
    struct directory_result r = {0};
    struct fault f =
        directory_resolve(z->directory, STR("postmaster"), z->plan->domain, z->arena, &r);
    bool has_postmaster = r.kind == DIRECTORY_MAILBOX || r.kind == DIRECTORY_ALIAS;
    note(z, f);
    if (!has_postmaster)
        say(z, "ATTENTION: there is no postmaster to get reports (and RFC 5321 4.5.1 wants one); "
               "eilbote alias add makes one.");
    return arena_printf(z->arena, "postmaster@" STR_FMT, STR_ARG(z->plan->domain));
}

static void add_reports(struct maker *z)
{
    struct str address = reports_to(z);
    if (address.n == 0)
        address = default_address(z);
    struct str host = str_skip(address, str_last_index(address, '@') + 1);
    struct str to = arena_printf(z->arena, "rua=mailto:" STR_FMT, STR_ARG(address));
    say(z, "DMARC (RFC 9989): begins with reports alone; p=quarantine, then p=reject once they "
           "show that all mail passes.");
    add(z, ZONE_DMARC, below(z, "_dmarc"), "TXT",
        arena_printf(z->arena, "v=DMARC1; p=none; " STR_FMT, STR_ARG(to)));
    if (!zone_plan_is_within(host, z->plan->domain) &&
        !zone_plan_is_within(z->plan->domain, host)) {
        say(z, "The reports go to another domain, which says that it wants them (RFC 9990).");
        add(z, ZONE_DMARC_CONSENT,
            arena_printf(z->arena, STR_FMT "._report._dmarc." STR_FMT, STR_ARG(z->plan->domain),
                         STR_ARG(host)),
            "TXT", STR("v=DMARC1"));
    }
    say(z, "TLSRPT (RFC 8460): reports about TLS that failed.");
    add(z, ZONE_TLSRPT, below(z, "_smtp._tls"), "TXT",
        arena_printf(z->arena, "v=TLSRPTv1; " STR_FMT, STR_ARG(to)));
}

static void add_mta_sts(struct maker *z)
{
    struct arena *a = z->arena;
    char digest[CERTIFICATE_DIGEST_HEX_SIZE];
    struct str policy =
        arena_printf(a, "version: STSv1\nmode: testing\nmx: " STR_FMT "\nmax_age: 86400\n",
                     STR_ARG(z->plan->host));
    struct str rest = policy, line;
    if (!certificate_digest(policy, digest))
        abort();
    say(z, "MTA-STS (RFC 8461): wants a web server that gives this at");
    say(z,
        arena_printf(
            a,
            "https://mta-sts." STR_FMT
            "/.well-known/mta-sts.txt, with a certificate that is known; leave it out until then.",
            STR_ARG(z->plan->domain))
            .p);
    while (str_cut(rest, '\n', &line, &rest))
        say(z, arena_printf(a, "    " STR_FMT, STR_ARG(line)).p);
    add(z, ZONE_MTA_STS, below(z, "_mta-sts"), "TXT", arena_printf(a, "v=STSv1; id=%.20s", digest));
}

static void add_tlsa(struct maker *z)
{
    size_t found = 0;
    say(z, "DANE (RFC 7672): the key of the host's certificate; counts when the zone is signed. A "
           "new key needs a new record first.");
    for (size_t i = 0; i < z->conf->certificate_count; i++) {
        struct buf chain = buf_make(CERTIFICATE_LIMIT);
        char digest[CERTIFICATE_DIGEST_HEX_SIZE];
        const char *path = arena_c_string(z->arena, z->conf->certificate[i].chain);
        if (!file_load(path, &chain).kind &&
            certificate_key_digest(buf_str(&chain), z->plan->host, digest)) {
            found++;
            add(z, ZONE_TLSA, arena_printf(z->arena, "_25._tcp." STR_FMT, STR_ARG(z->plan->host)),
                "TLSA", arena_printf(z->arena, "3 1 1 %s", digest));
        }
        buf_free(&chain);
    }
    if (found == 0)
        say(z, "ATTENTION: no certificate for the host's name can be read.");
}

static void add_services(struct maker *z)
{
    static const struct {
        const char *name;
        enum conf_role role;
    } rows[] = {
        {"_submissions._tcp", CONF_ROLE_SUBMISSIONS},
        {"_submission._tcp", CONF_ROLE_SUBMISSION},
        {"_pop3s._tcp", CONF_ROLE_POP3S},
        {"_pop3._tcp", CONF_ROLE_POP3},
        {"_imaps._tcp", CONF_ROLE_NONE},
        {"_imap._tcp", CONF_ROLE_NONE},
    };
    say(z,
        "Where mail programs find us (RFC 6186, 8314); a dot says that there is no such service.");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct conf_listener *l =
            rows[i].role == CONF_ROLE_NONE ? NULL : listener_of(z, rows[i].role);
        struct str data = l ? arena_printf(z->arena, "0 1 %u " STR_FMT ".", (unsigned)l->port,
                                           STR_ARG(z->plan->host))
                            : STR("0 0 0 .");
        add(z, ZONE_SRV, below(z, rows[i].name), "SRV", data);
    }
}

struct fault zone_plan_make(const struct conf *conf, struct directory *directory, struct str domain,
                            struct arena *arena, struct zone_plan *out)
{
    struct maker z = {.arena = arena, .conf = conf, .directory = directory, .plan = out};
    *out = (struct zone_plan){.domain = domain, .host = conf->hostname};
    say(&z, arena_printf(arena, "Records for mail of " STR_FMT ".", STR_ARG(domain)).p);
    add_exchanger(&z);
    add_spf(&z);
    add_keys(&z);
    add_reports(&z);
    add_mta_sts(&z);
    add_tlsa(&z);
    add_services(&z);
    return z.fault;
}

const struct zone_item *zone_plan_find(const struct zone_plan *p, enum zone_kind kind,
                                       const struct zone_item *after)
{
    for (size_t i = after ? (size_t)(after - p->item) + 1 : 0; i < p->count; i++)
        if (p->item[i].kind == kind)
            return &p->item[i];
    return NULL;
}

bool zone_plan_append(const struct zone_item *item, struct buf *out)
{
    if (item->kind == ZONE_COMMENT)
        return zone_text_comment(out, STR_FMT, STR_ARG(item->data));
    return strcmp(item->type, "TXT") == 0
               ? zone_text_txt(out, item->name, item->data)
               : buf_printf(out, STR_FMT ". IN %s " STR_FMT "\n", STR_ARG(item->name), item->type,
                            STR_ARG(item->data));
}
