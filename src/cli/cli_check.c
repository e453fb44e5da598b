/* SPDX-License-Identifier: ISC */
/*
 * cli_check.c - eilbote check: the configuration and what it names
 *
 * Goes on after an error, so that one run shows all of them; only a configuration that cannot be
 * read ends it at once.
 */
#include "cli/cli.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/conf_json.h"
#include "cli/validation.h"
#include "conf/scan.h"
#include "directory/keys.h"
#include "net/endpoint.h"
#include "net/listen.h"
#include "net/tls.h"
#include "os/file.h"
#include "os/owner.h"
#include "sign/key_store.h"

enum { RESOLVER_FILE_MAX = 1 << 20 };

struct check {
    struct invocation *i;
    const struct conf *conf;
    struct buf source; /* of the configuration */
    struct arena arena;
    const char *keys; /* the folder */
    json_t *errors;
    json_t *warnings; /* it is good all the same */
};

static void add_error(struct check *k, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_error(struct check *k, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(k->errors, json_string(text));
}

static void add_fault(struct check *k, struct fault f)
{
    if (f.kind)
        add_error(k, "%s", f.text);
}

/* An error of what a section names, or of an option of that name at the top level. */
static void add_error_at(struct check *k, const char *section, struct str title, const char *text)
{
    struct str source = str_from(k->source.data);
    int line = section ? scan_for_section(source, str_from(section), title)
                       : scan_for_option(source, title);
    if (section && title.n > 0)
        add_error(k, "%s:%d: %s \"" STR_FMT "\": %s", k->conf->path.p, line, section,
                  STR_ARG(title), text);
    else if (section)
        add_error(k, "%s:%d: %s: %s", k->conf->path.p, line, section, text);
    else
        add_error(k, "%s:%d: %s", k->conf->path.p, line, text);
}

static void check_directories(struct check *k)
{
    static const char *const names[] = {"spool",        "spool/journal", "spool/bodies", "mail",
                                        "mail/journal", "mail/accounts", "log/mta",      "log/mda",
                                        "ctl/mta",      "ctl/mda"};
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        const char *path = conf_state_path(k->conf, &k->arena, names[n]);
        if (!file_exists(path))
            add_error(k, "%s is missing; eilbote init makes it", path);
    }
}

static void check_certificates(struct check *k)
{
    for (size_t n = 0; n < k->conf->certificate_count; n++) {
        const struct conf_certificate *c = &k->conf->certificate[n];
        const struct tls_certificate pair = {arena_c_string(&k->arena, c->chain),
                                             arena_c_string(&k->arena, c->key)};
        struct tls_context *context = NULL;
        struct fault f = tls_context_server(&pair, 1, TLS_1_2, NULL, &context);
        if (f.kind)
            add_error_at(k, "certificate", c->name, f.text);
        else
            tls_context_drop(context);
    }
}

static void check_user(struct check *k, const char *option, struct str name)
{
    struct owner owner;
    if (name.n == 0 || owner_find(name, &owner))
        return;
    struct str text = arena_printf(
        &k->arena, "%s is \"" STR_FMT "\"; there is no such user; allowed: a name, or UID:GID",
        option, STR_ARG(name));
    add_error_at(k, NULL, str_from(option), arena_c_string(&k->arena, text));
}

static void check_password_file(struct check *k, const char *section,
                                const struct conf_next_hop *hop)
{
    struct buf content = buf_make(4096);
    struct fault f = FINE;
    if (hop->password_file.n > 0)
        f = file_load(arena_c_string(&k->arena, hop->password_file), &content);
    if (f.kind)
        add_error_at(k, section, hop->domain, f.text);
    buf_free(&content);
}

/* Authorities that cannot be read keep the roles from starting; without its files the resolver answers nothing. */
static void check_authorities(struct check *k)
{
    struct str path = k->conf->delivery.ca_file;
    struct tls_context *context = NULL;
    struct fault f = FINE;
    if (path.n > 0)
        f = tls_context_client(TLS_1_2, arena_c_string(&k->arena, path), &context);
    tls_context_drop(context);
    if (f.kind)
        add_error_at(k, "delivery", STR_NONE, f.text);
}

static void check_resolver_file(struct check *k, struct str path)
{
    struct buf content = buf_make(RESOLVER_FILE_MAX);
    struct fault f = path.n > 0 ? file_load(arena_c_string(&k->arena, path), &content) : FINE;
    if (f.kind)
        add_error_at(k, "resolver", STR_NONE, f.text);
    buf_free(&content);
}

/* A key that signs has its private part. Without it mail goes unsigned, or is not taken where that must not be. */
static void check_key(const struct directory_key *key, void *arg)
{
    struct check *k = arg;
    EVP_PKEY *private = NULL;
    if (key->state != DIRECTORY_KEY_ACTIVE)
        return;
    struct fault f = key_store_load(k->keys, key->domain, key->selector, &private);
    EVP_PKEY_free(private);
    if (!f.kind)
        return;
    json_array_append_new(k->conf->signing == CONF_SIGNING_REQUIRED ? k->errors : k->warnings,
                          json_sprintf("the key %.*s cannot sign the mail of %.*s: %s",
                                       STR_ARG(key->selector), STR_ARG(key->domain), f.text));
}

static void check_database(struct check *k)
{
    struct directory *d = NULL;
    struct fault f =
        directory_open(conf_state_path(k->conf, &k->arena, "directory.db"), DIRECTORY_READ, &d);
    k->keys = conf_state_path(k->conf, &k->arena, "keys");
    if (!f.kind && k->conf->signing != CONF_SIGNING_OFF)
        f = directory_list_keys(d, STR_NONE, check_key, k);
    add_fault(k, f);
    directory_close(d);
}

static void check_reachable(struct check *k)
{
    if (k->conf->listener_count == 0)
        add_error(k, "%s: there is no listener section, so nobody reaches this server",
                  k->conf->path.p);
}

/* Where a Unix socket is to be there is nothing else. */
static void check_sockets(struct check *k)
{
    for (size_t n = 0; n < k->conf->listener_count; n++) {
        const struct conf_listener *l = &k->conf->listener[n];
        if (l->path.n == 0)
            continue;
        struct fault f = listen_may_replace(arena_c_string(&k->arena, l->path));
        if (f.kind)
            add_error_at(k, "listener", l->name, f.text);
    }
}

/* Tries every address and port; what another process holds is an error. */
static void check_ports(struct check *k)
{
    for (size_t n = 0; n < k->conf->listener_count; n++) {
        const struct conf_listener *l = &k->conf->listener[n];
        for (size_t a = 0; a < l->address.count; a++) {
            struct endpoint at = endpoint_from_ip(&l->address.item[a], l->port);
            int descriptor;
            struct fault f = listen_open(&at, &descriptor);
            if (f.kind)
                add_error_at(k, "listener", l->name, f.text);
            else
                close(descriptor);
        }
    }
}

/* A server of the internet's: it is reached from outside, and what it sends goes where the DNS says. */
static bool is_public(const struct conf *c)
{
    for (size_t n = 0; n < c->listener_count && c->smarthost.host.n == 0; n++)
        for (size_t a = 0; a < c->listener[n].address.count; a++)
            if (!ip_is_loopback(&c->listener[n].address.item[a]))
                return true;
    return false;
}

/* Without proven answers DANE has no say; with a trust anchor that the resolver gives no signatures for, nothing has. */
static void check_validation(struct check *k, struct conf *c)
{
    const struct conf_resolver *r = &c->resolver;
    if (!r->is_validating || !is_public(c))
        return;
    if (r->trust_anchor_file.n == 0) {
        json_array_append_new(
            k->warnings, json_string("resolver: there is no trust-anchor-file, so DANE has no say; "
                                     "Debian's dns-root-data has " VALIDATION_ROOT_ANCHOR));
        return;
    }
    struct fault f = validation_try(k->i, c, NULL);
    if (f.kind)
        json_array_append_new(
            k->warnings,
            json_sprintf("resolver: no proven answer comes, so no mail will leave by the DNS: %s",
                         f.text));
}

static int report_json(const struct check *k, bool is_good)
{
    json_t *o = json_pack("{s:b,s:O}", "ok", (int)is_good, "errors", k->errors);
    if (json_array_size(k->warnings) > 0)
        json_object_set(o, "warnings", k->warnings);
    int result = cli_print_json(o);
    return is_good ? result : CLI_FAILED;
}

static int report(struct check *k)
{
    size_t index;
    json_t *error;
    bool is_good = json_array_size(k->errors) == 0;
    if (k->i->is_json)
        return report_json(k, is_good);
    json_array_foreach(k->warnings, index, error)
        fprintf(stderr, "warning: %s\n", json_string_value(error));
    json_array_foreach(k->errors, index, error) cli_fail(k->i, "%s", json_string_value(error));
    if (is_good)
        printf("%s is good\n", k->conf->path.p);
    return is_good ? CLI_DONE : CLI_FAILED;
}

static int print_conf(const struct invocation *i, const struct conf *c)
{
    if (i->is_json)
        return cli_print_json(conf_json(c));
    struct buf text = buf_make(16 * 1024 * 1024);
    bool is_printed = conf_print(c, &text) && fwrite(text.data, 1, text.used, stdout) == text.used;
    buf_free(&text);
    return is_printed ? CLI_DONE : CLI_FAILED;
}

int cli_check(struct invocation *i)
{
    bool has_ports = false, is_printed = false;
    const struct cli_option options[] = {{"--ports", &has_ports, NULL, NULL},
                                         {"--print", &is_printed, NULL, NULL}};
    int result = cli_parse(i, options, 2, 0, 0, NULL);
    if (result != CLI_DONE)
        return result;
    struct check k = {.i = i,
                      .source = buf_make(CONF_SOURCE_LIMIT),
                      .arena = arena_make(1024 * 1024),
                      .errors = json_array(),
                      .warnings = json_array()};
    struct conf *c = NULL;
    struct fault f = conf_read(i->conf_path, &k.source);
    if (!f.kind)
        f = conf_parse(i->conf_path, buf_str(&k.source), &c);
    k.conf = c;
    if (f.kind) {
        add_fault(&k, f);
    } else if (is_printed) {
        result = print_conf(i, c);
    } else {
        check_directories(&k);
        check_database(&k);
        check_certificates(&k);
        check_authorities(&k);
        check_resolver_file(&k, c->resolver.root_hints);
        if (c->resolver.is_validating)
            check_resolver_file(&k, c->resolver.trust_anchor_file);
        check_reachable(&k);
        check_sockets(&k);
        check_user(&k, "mta-user", c->mta_user);
        check_user(&k, "mda-user", c->mda_user);
        check_password_file(&k, "smarthost", &c->smarthost);
        check_password_file(&k, "local", &c->local);
        for (size_t n = 0; n < c->transport_count; n++)
            check_password_file(&k, "transport", &c->transport[n]);
        if (has_ports)
            check_ports(&k);
        if (json_array_size(k.errors) == 0)
            check_validation(&k, c);
    }
    if (f.kind || !is_printed)
        result = report(&k);
    json_decref(k.errors);
    json_decref(k.warnings);
    conf_free(c);
    buf_free(&k.source);
    arena_free(&k.arena);
    return result;
}
