/* SPDX-License-Identifier: ISC */
/*
 * cli_dns.c - eilbote dns print: the records that a domain needs, as text for its zone
 *
 * What is printed follows from configuration, directory and certificate alone; nothing is asked. Names that are not in
 * the domain's zone are comments.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "cli/certificate.h"
#include "cli/zone_text.h"
#include "os/file.h"

enum { ARENA_BYTES = 16 << 20, TEXT_LIMIT = 1 << 20, CERTIFICATE_LIMIT = 1 << 20 };

struct zone {
    struct invocation *i;
    struct arena arena;
    const struct conf *conf;
    struct directory *directory;
    struct str domain, host;
    struct buf text;
    json_t *records;
    bool is_good;
};

static bool is_within(struct str name, struct str zone)
{
    return str_equal_nocase(name, zone) ||
           (name.n > zone.n && name.p[name.n - zone.n - 1] == '.' && str_ends_nocase(name, zone));
}

static void say(struct zone *z, const char *text)
{
    z->is_good = z->is_good && zone_text_comment(&z->text, "%s", text);
}

/* A record; data is the text of a TXT record, else as a zone file has it. */
static void add(struct zone *z, struct str name, const char *type, struct str data)
{
    bool is_text = strcmp(type, "TXT") == 0, is_ours = is_within(name, z->domain);
    struct buf line = buf_make(TEXT_LIMIT);
    if (z->records)
        json_array_append_new(z->records,
                              json_pack("{s:s%,s:s,s:s%,s:b}", "name", name.p, name.n, "type", type,
                                        "data", data.p, data.n, "in-zone", (int)is_ours));
    z->is_good = z->is_good &&
                 (is_text ? zone_text_txt(&line, name, data)
                          : buf_printf(&line, STR_FMT ". IN %s " STR_FMT "\n", STR_ARG(name), type,
                                       STR_ARG(data))) &&
                 (is_ours || buf_append(&z->text, STR("; in the zone of that name: "))) &&
                 buf_append(&z->text, buf_str(&line));
    buf_free(&line);
}

/* The name below the domain. */
static struct str below(struct zone *z, const char *label)
{
    return arena_printf(&z->arena, "%s." STR_FMT, label, STR_ARG(z->domain));
}

static const struct conf_listener *listener_of(const struct zone *z, enum conf_role role)
{
    for (size_t i = 0; i < z->conf->listener_count; i++)
        if (z->conf->listener[i].role == (int)role)
            return &z->conf->listener[i];
    return NULL;
}

static void add_exchanger(struct zone *z)
{
    const struct conf_listener *mx = listener_of(z, CONF_ROLE_MX);
    say(z, "Mail for the domain comes to this host. The host's name needs A and AAAA records, and "
           "its addresses that name in");
    say(z, "their reverse zones (PTR).");
    if (mx && mx->port != 25)
        say(z, "ATTENTION: other servers come to port 25, but the listener has another one.");
    add(z, z->domain, "MX", arena_printf(&z->arena, "10 " STR_FMT ".", STR_ARG(z->host)));
}

static void add_spf(struct zone *z)
{
    say(z, "SPF (RFC 7208): who may send as the domain, and as this host (notices have no other "
           "sender).");
    if (z->conf->smarthost.host.n > 0)
        say(z, "ATTENTION: mail leaves through a smarthost: put its \"include:...\" in front of "
               "\"-all\".");
    add(z, z->domain, "TXT", STR("v=spf1 mx -all"));
    if (!str_equal_nocase(z->host, z->domain))
        add(z, z->host, "TXT", STR("v=spf1 a -all"));
}

static void add_keys(struct zone *z)
{
    static const char *const meanings[] = {
        [DIRECTORY_KEY_NEXT] = "signs after: eilbote dkim rotate DOMAIN --activate",
        [DIRECTORY_KEY_ACTIVE] = "signs",
        [DIRECTORY_KEY_RETIRING] =
            "has signed mail that may be on its way; stays until eilbote dkim prune",
    };
    struct signing_keys keys = {0};
    struct fault f = signing_keys_list(z->directory, z->domain, &z->arena, &keys);
    z->is_good = z->is_good && !f.kind;
    say(z, "DKIM (RFC 6376, 8463): the keys that sign.");
    if (keys.count == 0)
        say(z, "ATTENTION: there are none; eilbote dkim rotate makes them.");
    for (size_t i = 0; i < keys.count; i++) {
        z->is_good = z->is_good &&
                     zone_text_comment(&z->text, STR_FMT ": %s", STR_ARG(keys.item[i].selector),
                                       meanings[keys.item[i].state]);
        add(z,
            arena_printf(&z->arena, STR_FMT "._domainkey." STR_FMT, STR_ARG(keys.item[i].selector),
                         STR_ARG(z->domain)),
            "TXT", keys.item[i].record);
    }
}

/* Where the domain wants its reports: at the address that reads them, which may be another domain's. */
static struct str reports_to(struct zone *z)
{
    const struct conf_names *list = &z->conf->reports.address;
    for (size_t i = 0; i < list->count; i++) {
        struct str item = list->item[i];
        if (str_equal_nocase(str_skip(item, str_last_index(item, '@') + 1), z->domain))
            return item;
    }
    return list->count > 0 ? list->item[0] : STR_NONE;
}

static struct str default_address(struct zone *z)
{
    struct directory_result r = {0};
    struct fault f = directory_resolve(z->directory, STR("postmaster"), z->domain, &z->arena, &r);
    bool has_postmaster = r.kind == DIRECTORY_MAILBOX || r.kind == DIRECTORY_ALIAS;
    z->is_good = z->is_good && !f.kind;
    if (!has_postmaster)
        say(z, "ATTENTION: there is no postmaster to get reports (and RFC 5321 4.5.1 wants one); "
               "eilbote alias add makes one.");
    return arena_printf(&z->arena, "postmaster@" STR_FMT, STR_ARG(z->domain));
}

static void add_reports(struct zone *z)
{
    struct str address = reports_to(z);
    if (address.n == 0)
        address = default_address(z);
    struct str host = str_skip(address, str_last_index(address, '@') + 1);
    struct str to = arena_printf(&z->arena, "rua=mailto:" STR_FMT, STR_ARG(address));
    say(z, "DMARC (RFC 9989): begins with reports alone; p=quarantine, then p=reject once they "
           "show that all mail passes.");
    add(z, below(z, "_dmarc"), "TXT",
        arena_printf(&z->arena, "v=DMARC1; p=none; " STR_FMT, STR_ARG(to)));
    if (!is_within(host, z->domain) && !is_within(z->domain, host)) {
        say(z, "The reports go to another domain, which says that it wants them (RFC 9990).");
        add(z,
            arena_printf(&z->arena, STR_FMT "._report._dmarc." STR_FMT, STR_ARG(z->domain),
                         STR_ARG(host)),
            "TXT", STR("v=DMARC1"));
    }
    say(z, "TLSRPT (RFC 8460): reports about TLS that failed.");
    add(z, below(z, "_smtp._tls"), "TXT",
        arena_printf(&z->arena, "v=TLSRPTv1; " STR_FMT, STR_ARG(to)));
}

static void add_mta_sts(struct zone *z)
{
    struct arena *a = &z->arena;
    char digest[CERTIFICATE_DIGEST_HEX_SIZE];
    struct str policy = arena_printf(
        a, "version: STSv1\nmode: testing\nmx: " STR_FMT "\nmax_age: 86400\n", STR_ARG(z->host));
    struct str rest = policy, line;
    z->is_good = z->is_good && certificate_digest(policy, digest);
    say(z, "MTA-STS (RFC 8461): wants a web server that gives this at");
    say(z,
        arena_printf(
            a,
            "https://mta-sts." STR_FMT
            "/.well-known/mta-sts.txt, with a certificate that is known; leave it out until then.",
            STR_ARG(z->domain))
            .p);
    while (str_cut(rest, '\n', &line, &rest))
        say(z, arena_printf(a, "    " STR_FMT, STR_ARG(line)).p);
    add(z, below(z, "_mta-sts"), "TXT", arena_printf(a, "v=STSv1; id=%.20s", digest));
}

static void add_tlsa(struct zone *z)
{
    size_t found = 0;
    say(z, "DANE (RFC 7672): the key of the host's certificate; counts when the zone is signed. A "
           "new key needs a new record first.");
    for (size_t i = 0; i < z->conf->certificate_count; i++) {
        struct buf chain = buf_make(CERTIFICATE_LIMIT);
        char digest[CERTIFICATE_DIGEST_HEX_SIZE];
        const char *path = arena_c_string(&z->arena, z->conf->certificate[i].chain);
        if (!file_load(path, &chain).kind &&
            certificate_key_digest(buf_str(&chain), z->host, digest)) {
            found++;
            add(z, arena_printf(&z->arena, "_25._tcp." STR_FMT, STR_ARG(z->host)), "TLSA",
                arena_printf(&z->arena, "3 1 1 %s", digest));
        }
        buf_free(&chain);
    }
    if (found == 0)
        say(z, "ATTENTION: no certificate for the host's name can be read.");
}

static void add_services(struct zone *z)
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
        struct str data =
            l ? arena_printf(&z->arena, "0 1 %u " STR_FMT ".", (unsigned)l->port, STR_ARG(z->host))
              : STR("0 0 0 .");
        add(z, below(z, rows[i].name), "SRV", data);
    }
}

static int print(struct zone *z)
{
    z->is_good =
        zone_text_comment(&z->text, "Records for mail of " STR_FMT ".", STR_ARG(z->domain));
    add_exchanger(z);
    add_spf(z);
    add_keys(z);
    add_reports(z);
    add_mta_sts(z);
    add_tlsa(z);
    add_services(z);
    if (!z->is_good)
        return cli_fail(z->i, "the records cannot be made");
    if (z->records)
        return cli_print_json(
            json_pack("{s:s%,s:O}", "domain", z->domain.p, z->domain.n, "records", z->records));
    fwrite(z->text.data, 1, z->text.used, stdout);
    return CLI_DONE;
}

int cli_dns_print(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    bool has = false;
    int result = cli_parse(i, NULL, 0, 1, 1, words);
    if (result != CLI_DONE)
        return result;
    struct zone z = {.i = i, .arena = arena_make(ARENA_BYTES), .text = buf_make(TEXT_LIMIT)};
    struct conf *c = cli_conf(i);
    z.conf = c;
    z.directory = c ? cli_directory(i, DIRECTORY_READ) : NULL;
    result = z.directory ? CLI_DONE : CLI_FAILED;
    z.domain = cli_folded(&z.arena, words[0]);
    z.records = i->is_json ? json_array() : NULL;
    if (result == CLI_DONE)
        result = cli_result(i, directory_has_domain(z.directory, z.domain, &has));
    if (result == CLI_DONE && !has)
        result =
            cli_fail(i, "%s is not in the directory; eilbote domain add makes it ours", words[0]);
    if (result == CLI_DONE) {
        z.host = c->hostname;
        result = print(&z);
    }
    json_decref(z.records);
    buf_free(&z.text);
    directory_close(z.directory);
    conf_free(c);
    arena_free(&z.arena);
    return result;
}
