/* SPDX-License-Identifier: ISC */
/*
 * cli_init.c - eilbote init: a new server in one command
 *
 * Everything is checked before the first file is written. The configuration is written last: a
 * directory where init was interrupted has none, and init can be run again once it is emptied.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hostname.h"
#include "base/num.h"
#include "cli/certificate.h"
#include "cli/validation.h"
#include "directory/edit.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/owner.h"

enum { FIRST_ID = 61100, CONF_LIMIT = 64 * 1024 };

struct plan {
    struct invocation *i;
    struct arena arena;
    const char *dir, *domain, *user, *hostname, *port_offset, *relay, *trust_anchor;
    const char *conf; /* of the configuration; NULL: in dir */
    const char *trust[CLI_WORDS_MAX];
    bool is_password_read, is_local;
    struct buf password;
    char *full_dir; /* absolute */
    bool has_owners;
    struct owner root, mta, mda; /* root: what both roles may read */
    struct owner supervisor;     /* who makes the sockets: account eilbote, else root */
    struct str mta_name, mda_name;
};

static bool is_name(struct str s)
{
    return hostname_is_valid(s) && !hostname_ends_in_number(s);
}

static bool is_host(struct str s)
{
    struct ip_address ip;
    return ip_parse(s, &ip) || is_name(s);
}

/* "HOST:PORT", or "[IPV6]:PORT". */
static bool split_relay(const char *text, struct str *host, struct str *port)
{
    struct ip_address ip;
    uint64_t number;
    struct str whole = str_from(text);
    size_t colon = str_last_index(whole, ':');
    if (colon == whole.n)
        return false;
    *host = str_head(whole, colon);
    *port = str_skip(whole, colon + 1);
    bool is_bracketed = host->n > 2 && host->p[0] == '[' && host->p[host->n - 1] == ']';
    if (is_bracketed)
        *host = str_skip(str_head(*host, host->n - 1), 1);
    if (is_bracketed != str_has(*host, ':') || (is_bracketed && !ip_parse(*host, &ip)))
        return false;
    return is_host(*host) && num_parse(*port, 65535, &number) && number > 0;
}

static int check_words(struct plan *p)
{
    struct str local, domain, host, port;
    uint64_t number;
    struct ip_network network;
    if (!p->dir || !p->domain || !p->user)
        return cli_usage(p->i, "--dir, --domain and --user are needed");
    p->domain = cli_folded(&p->arena, p->domain).p;
    p->user = directory_canonical(&p->arena, str_from(p->user)).p;
    if (p->hostname)
        p->hostname = cli_folded(&p->arena, p->hostname).p;
    if (!hostname_is_mail_domain(str_from(p->domain)))
        return cli_usage(p->i, "--domain is \"%s\"; allowed: a domain name", p->domain);
    if (!directory_split(str_from(p->user), &local, &domain) ||
        !str_equal_nocase(domain, str_from(p->domain)))
        return cli_usage(p->i, "--user is \"%s\"; allowed: an address like alice@%s", p->user,
                         p->domain);
    if (p->hostname && !is_name(str_from(p->hostname)))
        return cli_usage(p->i, "--hostname is \"%s\"; allowed: a domain name", p->hostname);
    if (p->port_offset && !num_parse(str_from(p->port_offset), 60000, &number))
        return cli_usage(p->i, "--port-offset is \"%s\"; allowed: 0 to 60000", p->port_offset);
    if (p->relay && !split_relay(p->relay, &host, &port))
        return cli_usage(p->i,
                         "--relay is \"%s\"; allowed: HOST:PORT, with an IPv6 address [IPV6]:PORT",
                         p->relay);
    for (size_t k = 0; k < CLI_WORDS_MAX && p->trust[k]; k++)
        if (!ip_network_parse(str_from(p->trust[k]), &network))
            return cli_usage(p->i, "--trust is \"%s\"; allowed: a network like 192.0.2.0/24",
                             p->trust[k]);
    return CLI_DONE;
}

static const char *path_of(struct plan *p, const char *name)
{
    return arena_printf(&p->arena, "%s/%s", p->full_dir, name).p;
}

/* Whom the roles become: known accounts, else numbers; nobody when we are not root. */
static int choose_owners(struct plan *p)
{
    p->has_owners = owner_is_root() && owner_is_reachable(p->full_dir);
    if (!p->has_owners)
        return CLI_DONE;
    p->mta_name = STR("eilbote-mta");
    p->mda_name = STR("eilbote-mda");
    if (owner_find(p->mta_name, &p->mta) && owner_find(p->mda_name, &p->mda)) {
        p->root = (struct owner){0, p->mta.gid};
        if (!owner_find(STR("eilbote"), &p->supervisor))
            p->supervisor = p->root;
        return CLI_DONE;
    }
    uid_t group = owner_free_id(FIRST_ID), mta = group ? owner_free_id(group + 1) : 0;
    uid_t mda = mta ? owner_free_id(mta + 1) : 0;
    if (mda == 0)
        return cli_fail(p->i, "no free user numbers from %d on", FIRST_ID);
    p->root = p->supervisor = (struct owner){0, group};
    p->mta = (struct owner){mta, group};
    p->mda = (struct owner){mda, group};
    p->mta_name = arena_printf(&p->arena, "%u:%u", mta, group);
    p->mda_name = arena_printf(&p->arena, "%u:%u", mda, group);
    return CLI_DONE;
}

static const char *conf_path(struct plan *p)
{
    return p->conf ? p->conf : path_of(p, "eilbote.conf");
}

static const struct owner *if_owners(const struct plan *p, const struct owner *owner)
{
    return p->has_owners ? owner : NULL;
}

static int make_directories(struct plan *p)
{
    const struct {
        const char *name;
        const struct owner *owner;
        unsigned permissions;
    } rows[] = {
        {"tls", &p->root, 0750},         {"ctl", &p->supervisor, 0755},
        {"ctl/mta", &p->mta, 0700},      {"ctl/mda", &p->mda, 0700},
        {"spool", &p->mta, 0700},        {"spool/journal", &p->mta, 0700},
        {"spool/bodies", &p->mta, 0700}, {"mail", &p->mda, 0700},
        {"mail/journal", &p->mda, 0700}, {"mail/accounts", &p->mda, 0700},
        {"log", &p->root, 0755},         {"log/mta", &p->mta, 0750},
        {"log/mda", &p->mda, 0750},      {"keys", &p->mta, 0700},
    };
    int result = cli_result(p->i, owner_give(p->full_dir, if_owners(p, &p->root), 0755));
    for (size_t k = 0; k < sizeof rows / sizeof rows[0] && result == CLI_DONE; k++) {
        const char *path = path_of(p, rows[k].name);
        result = cli_result(p->i, file_make_directory(path));
        if (result == CLI_DONE)
            result = cli_result(p->i,
                                owner_give(path, if_owners(p, rows[k].owner), rows[k].permissions));
    }
    return result;
}

/* A file that root writes and both roles may read. */
static int save_shared(struct plan *p, const char *path, struct str content, unsigned permissions)
{
    int result = cli_result(p->i, file_save(path, content, 0600));
    if (result == CLI_DONE)
        result = cli_result(p->i, owner_give(path, if_owners(p, &p->root), permissions));
    return result;
}

static int make_certificate(struct plan *p)
{
    struct buf chain = buf_make(CONF_LIMIT), key = buf_make(CONF_LIMIT);
    const struct str names[] = {str_from(p->hostname), str_from(p->domain), STR("localhost"),
                                STR("IP:127.0.0.1")};
    int result = certificate_make(names, p->is_local ? 4 : 2, &chain, &key)
                     ? CLI_DONE
                     : cli_fail(p->i, "the certificate could not be made");
    if (result == CLI_DONE)
        result = save_shared(p, path_of(p, "tls/key.pem"), buf_str(&key), 0640);
    if (result == CLI_DONE)
        result = save_shared(p, path_of(p, "tls/certificate.pem"), buf_str(&chain), 0640);
    buf_free(&chain);
    buf_free(&key);
    return result;
}

/* Postmaster must be there (RFC 5321 section 4.5.1); cron and its like write to root. */
static struct fault add_alias(struct plan *p, struct directory *d, const char *name)
{
    struct str user = str_from(p->user), alias = arena_printf(&p->arena, "%s@%s", name, p->domain);
    return str_equal_nocase(alias, user) ? FINE : directory_alias_add(d, alias, user);
}

static struct fault make_signing_keys(struct plan *p, struct directory *d)
{
    const struct signing_keys_place place = {path_of(p, "keys"), if_owners(p, &p->mta)};
    return signing_keys_make(d, &place, cli_folded(&p->arena, p->domain), DIRECTORY_KEY_ACTIVE,
                             clock_real_ms() / 1000);
}

static int make_directory_db(struct plan *p)
{
    struct directory *d;
    const char *path = path_of(p, "directory.db");
    struct fault f = directory_open(path, DIRECTORY_CREATE, &d);
    if (f.kind)
        return cli_result(p->i, f);
    f = directory_domain_add(d, str_from(p->domain));
    if (!f.kind)
        f = directory_account_add(d, str_from(p->user), buf_str(&p->password), 0);
    if (!f.kind)
        f = add_alias(p, d, "postmaster");
    if (!f.kind)
        f = add_alias(p, d, "root");
    if (!f.kind)
        f = make_signing_keys(p, d);
    directory_close(d);
    if (!f.kind)
        f = owner_give(path, if_owners(p, &p->root), 0640);
    return cli_result(p->i, f);
}

static bool write_trust(const struct plan *p, struct buf *out)
{
    bool is_good = buf_append(out, STR("    trust = {"));
    for (size_t k = 0; k < CLI_WORDS_MAX && p->trust[k] && is_good; k++)
        is_good = buf_printf(out, "%s\"%s\"", k > 0 ? ", " : "", p->trust[k]);
    return is_good && buf_append(out, STR("}\n"));
}

static bool write_listeners(const struct plan *p, struct buf *out)
{
    static const char *const roles[] = {"mx", "submission", "submissions", "pop3", "pop3s"};
    bool is_good = buf_append(out, STR("# The ports: 25, 587, 465, 110 and 995, where local "
                                       "processes\n# hand mail in, and where mail enters the "
                                       "mailboxes.\n"));
    for (size_t k = 0; k < sizeof roles / sizeof roles[0] && is_good; k++) {
        is_good = buf_printf(out, "listener \"%s\" {\n    role = %s\n", roles[k], roles[k]) &&
                  (!p->is_local || buf_append(out, STR("    address = {\"127.0.0.1\"}\n"))) &&
                  (k > 0 || !p->trust[0] || write_trust(p, out)) && buf_append(out, STR("}\n"));
    }
    return is_good &&
           buf_append(out, STR("listener \"local\" {\n    role = local\n"
                               "    path = \"ctl/submit.sock\"\n}\n")) &&
           buf_append(out, STR("listener \"lmtp\" {\n    role = lmtp\n"
                               "    path = \"ctl/lmtp.sock\"\n}\n"));
}

/* What suits a small server, and asks nobody but the DNS of those who send. Behind --local there is no stranger. */
static bool write_policy(const struct plan *p, struct buf *out)
{
    return p->is_local ||
           buf_append(out, STR("\n# Who is let in on port 25. Lists in the DNS (dnsbl-sites) and "
                               "greylisting are off.\n"
                               "policy \"mx\" {\n"
                               "    unknown-sender-domain = refuse\n"
                               "    null-mx-sender = refuse\n"
                               "    no-reverse-name = record\n"
                               "    rates = {\"address connections 100/1m\", "
                               "\"address recipients 1000/1h\"}\n"
                               "}\n"));
}

/* DANE, where answers can be proven: a trust anchor in front of a resolver without signatures would stop all mail. */
static bool write_resolver(struct plan *p, struct buf *out)
{
    if (p->is_local || p->relay)
        return true;
    struct fault f = file_exists(p->trust_anchor)
                         ? validation_try(p->i, NULL, p->trust_anchor)
                         : fault_make(451, FAULT_STATUS(4, 3, 5), "it is not there");
    const char *start = f.kind ? "# " : "";
    char *why = arena_c_string(&p->arena, str_from(f.kind ? f.text : "works here"));
    for (char *at = why; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    return buf_printf(out,
                      "\n# DNSSEC, which DANE needs: %s.\n"
                      "%sresolver {\n%s    trust-anchor-file = \"%s\"\n%s}\n",
                      why, start, start, p->trust_anchor, start);
}

static bool write_conf(struct plan *p, struct buf *out)
{
    struct str host, port;
    bool is_good =
        buf_printf(out,
                   "# Eilbote; see eilbote.conf(5). What is not here has its default:\n"
                   "# eilbote check --print shows everything.\n"
                   "hostname = \"%s\"\n",
                   p->hostname) &&
        (!p->conf || buf_printf(out, "state-directory = \"%s\"\n", p->full_dir)) &&
        (!p->port_offset || buf_printf(out, "port-offset = %s\n", p->port_offset)) &&
        (!p->has_owners ||
         buf_printf(out, "mta-user = \"" STR_FMT "\"\nmda-user = \"" STR_FMT "\"\n",
                    STR_ARG(p->mta_name), STR_ARG(p->mda_name))) &&
        buf_append(out, STR("\n# Self-signed; other servers accept it, mail programs ask once.\n"
                            "certificate \"main\" {\n    chain = \"tls/certificate.pem\"\n"
                            "    key = \"tls/key.pem\"\n}\n\n")) &&
        write_listeners(p, out) && write_policy(p, out) && write_resolver(p, out);
    if (!is_good || !p->relay)
        return is_good;
    split_relay(p->relay, &host, &port);
    return buf_printf(out,
                      "\n# Mail for others leaves through this host.\n"
                      "smarthost {\n    host = \"" STR_FMT "\"\n    port = " STR_FMT "\n}\n",
                      STR_ARG(host), STR_ARG(port));
}

static int make_conf(struct plan *p)
{
    struct buf text = buf_make(CONF_LIMIT);
    struct conf *c = NULL;
    /* Everybody may read it: sendmail, run by any user, looks for the local socket there. */
    int result = write_conf(p, &text) ? save_shared(p, conf_path(p), buf_str(&text), 0644)
                                      : cli_fail(p->i, "the configuration is too long");
    if (result == CLI_DONE)
        result = cli_result(p->i, conf_load(conf_path(p), &c));
    conf_free(c);
    buf_free(&text);
    return result;
}

static int report(struct plan *p)
{
    if (p->i->is_json) {
        json_t *o = json_pack("{s:s,s:s,s:s}", "configuration", conf_path(p), "hostname",
                              p->hostname, "account", p->user);
        if (!p->is_password_read)
            json_object_set_new(o, "password", json_stringn(p->password.data, p->password.used));
        return cli_print_json(o);
    }
    printf("Made %s.\n", conf_path(p));
    if (!p->is_password_read)
        printf("%s has the password " STR_FMT "\n", p->user, STR_ARG(buf_str(&p->password)));
    if (owner_is_root() && !p->has_owners)
        printf("Not every user may enter the folders above %s, so the roles keep the rights of "
               "root.\n",
               p->full_dir);
    if (!p->is_local)
        printf("\nTo put into the DNS: what eilbote -c %s dns print %s says, this machine's "
               "addresses\n"
               "  %s.  A    <IPv4 address>\n"
               "  %s.  AAAA <IPv6 address>\n"
               "and the name %s for them in the reverse zone (PTR).\n",
               conf_path(p), p->domain, p->hostname, p->hostname, p->hostname);
    printf("\nNext: eilbote -c %s check\n", conf_path(p));
    return CLI_DONE;
}

static int refuse_to_overwrite(struct plan *p)
{
    static const char *const names[] = {"directory.db", "tls/key.pem", "tls/certificate.pem"};
    if (file_exists(conf_path(p)))
        return cli_fail(p->i, "%s exists already; init does not overwrite", conf_path(p));
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
        if (file_exists(path_of(p, names[k])))
            return cli_fail(p->i, "%s exists already; init does not overwrite",
                            path_of(p, names[k]));
    return CLI_DONE;
}

static int prepare(struct plan *p)
{
    char made[CLI_PASSWORD_SIZE];
    int result = check_words(p);
    if (result != CLI_DONE)
        return result;
    if (!p->trust_anchor)
        p->trust_anchor = VALIDATION_ROOT_ANCHOR;
    if (!p->hostname)
        p->hostname = p->is_local ? "localhost" : arena_printf(&p->arena, "mail.%s", p->domain).p;
    cli_make_password(made);
    if (p->is_password_read && !cli_read_password(&p->password))
        return cli_fail(p->i, "no password of at most %d bytes on standard input",
                        VERIFIER_PASSWORD_MAX);
    if (!p->is_password_read && !buf_append(&p->password, str_from(made)))
        return CLI_FAILED;
    result = cli_result(p->i, file_make_directory(p->dir));
    if (result != CLI_DONE)
        return result;
    char *full = realpath(p->dir, NULL);
    if (!full)
        return cli_fail(p->i, "%s cannot be found", p->dir);
    p->full_dir = arena_c_string(&p->arena, str_from(full));
    free(full);
    result = refuse_to_overwrite(p);
    return result == CLI_DONE ? choose_owners(p) : result;
}

static struct fault sync_all(const char *directory)
{
    struct file *whole;
    struct fault f = file_open(directory, FILE_READ, &whole);
    if (!f.kind)
        f = file_sync_system(whole);
    file_close(whole);
    return f;
}

int cli_init(struct invocation *i)
{
    struct plan p = {.i = i, .arena = arena_make(1024 * 1024)};
    p.password = buf_make(VERIFIER_PASSWORD_MAX + 1);
    const struct cli_option options[] = {
        {"--dir", NULL, &p.dir, NULL},
        {"--domain", NULL, &p.domain, NULL},
        {"--user", NULL, &p.user, NULL},
        {"--hostname", NULL, &p.hostname, NULL},
        {"--conf", NULL, &p.conf, NULL},
        {"--password-stdin", &p.is_password_read, NULL, NULL},
        {"--local", &p.is_local, NULL, NULL},
        {"--port-offset", NULL, &p.port_offset, NULL},
        {"--relay", NULL, &p.relay, NULL},
        {"--trust", NULL, NULL, p.trust},
        {"--trust-anchor", NULL, &p.trust_anchor, NULL},
    };
    int result = cli_parse(i, options, sizeof options / sizeof options[0], 0, 0, NULL);
    if (result == CLI_DONE)
        result = prepare(&p);
    if (result == CLI_DONE)
        result = make_directories(&p);
    if (result == CLI_DONE)
        result = make_certificate(&p);
    if (result == CLI_DONE)
        result = make_directory_db(&p);
    if (result == CLI_DONE)
        result = make_conf(&p);
    if (result == CLI_DONE)
        result = cli_result(p.i, sync_all(p.dir));
    if (result == CLI_DONE)
        result = report(&p);
    buf_free(&p.password);
    arena_free(&p.arena);
    return result;
}
