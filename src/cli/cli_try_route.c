/* SPDX-License-Identifier: ISC */
/*
 * cli_try_route.c - eilbote try route: where mail for an address would go now
 *
 * The way is found by send/route, as for mail in the queue; no mail server is connected to; a web server with an MTA-STS policy
 * may be.
 */
#include <stdio.h>

#include "cli/say.h"
#include "cli/tls_rows.h"
#include "cli/trial.h"
#include "mail/address.h"
#include "role/control.h"
#include "send/route.h"

enum {
    QUESTIONS_MAX = 40,                  /* beside those for policies that are there */
    HOSTS_MAX = (QUESTIONS_MAX - 2) / 2, /* whose addresses are asked for: two questions each */
    RECIPIENTS_SHOWN = 20,
    ARENA_LIMIT = 32 << 20 /* room for the longest alias */
};

struct route_trial {
    struct trial trial;
    struct address address;
    struct arena arena;
    struct directory *directory;
    struct live_holder live; /* has the configuration while live.live is there */
    struct route_context context;
    struct directory_recipients recipients; /* of an address of ours */
    json_t *hosts;
    struct route *route;
    struct fault fault; /* there is no way, or not now */
};

static json_t *host_json(struct route_trial *t, size_t k)
{
    const struct route_host *host = &t->route->host[k];
    struct route_addresses found = {.count = 0};
    struct fault f = k < HOSTS_MAX ? route_host_addresses(&t->context, t->route, k, &found)
                                   : fault_make(451, FAULT_STATUS(4, 4, 3),
                                                "not looked up, %d hosts are", HOSTS_MAX);
    json_t *addresses = json_array();
    char text[IP_TEXT_MAX];
    for (size_t a = 0; a < found.count; a++) {
        struct ip_address ip;
        if (endpoint_ip(&found.address[a], &ip))
            json_array_append_new(addresses, control_text(ip_format(&ip, text)));
    }
    json_t *o =
        json_pack("{s:i, s:o}", "preference", (int)host->preference, "addresses", addresses);
    trial_put_text(o, "host", host->name);
    trial_put_text(o, "reason", fault_text(&f));
    json_object_set_new(o, "dane", tls_rows_dane(&host->dane));
    return o;
}

static void find(void *arg)
{
    struct route_trial *t = arg;
    const struct address *a = &t->address;
    bool is_ours;
    live_start_keyless(&t->live, t->trial.conf);
    t->trial.conf = NULL;
    t->context.live = &t->live;
    t->context.resolver = t->trial.resolver;
    t->context.deadline_ms = t->trial.deadline_ms;
    /* What the server knows is looked at; what is fetched is not kept. */
    t->context.sts = sts_make(&(struct sts_options){
        .folder = conf_state_path(t->live.live->conf, &t->arena, "spool/mta-sts"),
        .is_only_read = true,
        .live = &t->live,
        .resolver = t->trial.resolver});
    t->route = route_find(&t->context, a->domain, ROUTE_USUAL);
    t->fault = t->route->fault;
    if (!t->fault.kind && t->route->is_local)
        t->fault =
            directory_cache_expand(t->context.directory, a->local,
                                   a->domain.n > 0 ? a->domain : t->live.live->conf->hostname,
                                   &t->arena, &is_ours, &t->recipients);
    for (size_t k = 0; !t->route->fault.kind && k < t->route->host_count; k++)
        json_array_append_new(t->hosts, host_json(t, k));
    sts_free(t->context.sts);
}

static const char *hop_name(const struct route_trial *t)
{
    const struct route *r = t->route;
    if (r->is_local)
        return "mailbox";
    if (r->hop)
        return r->hop == &r->live->conf->smarthost ? "smarthost" : "transport";
    return t->address.kind == ADDRESS_LITERAL ? "literal" : "mx";
}

static json_t *limits_json(const struct conf_delivery *d)
{
    return json_pack("{s:I, s:I, s:I}", "site_connections", (json_int_t)d->site_connection_max,
                     "connections", (json_int_t)d->connection_max, "connection_messages",
                     (json_int_t)d->connection_message_max);
}

static json_t *recipients_json(const struct directory_recipients *list)
{
    json_t *all = json_array();
    for (size_t k = 0; k < list->count; k++) {
        json_t *one = json_object();
        trial_put_text(one, "address", list->item[k].address);
        trial_put_text(one, "account", list->item[k].account);
        json_array_append_new(all, one);
    }
    return all;
}

static json_t *route_json(const struct route_trial *t)
{
    static const char *const tls[] = {[CONF_PEER_TLS_NEVER] = "never",
                                      [CONF_PEER_TLS_MAY] = "may",
                                      [CONF_PEER_TLS_ENCRYPT] = "encrypt",
                                      [CONF_PEER_TLS_VERIFY] = "verify"};
    static const char *const results[] = {
        [FAULT_FINE] = "found", [FAULT_LATER] = "later", [FAULT_NEVER] = "none"};
    const struct route *r = t->route;
    json_t *o = json_pack("{s:s}", "result", results[t->fault.kind]);
    trial_put_text(o, "domain", t->address.domain);
    if (t->fault.kind)
        trial_put_fault(o, &t->fault);
    else
        trial_put_text(o, "reason", STR_NONE);
    trial_put_text(o, "next_hop", str_from(hop_name(t)));
    trial_put_text(o, "protocol", r->is_lmtp ? STR("lmtp") : STR("smtp"));
    trial_put_text(o, "tls", str_from(tls[r->tls]));
    json_object_set_new(o, "tls_policy", tls_rows_policy(r));
    trial_put_text(o, "socket", str_from(r->path));
    json_object_set_new(o, "port", json_integer(r->path ? 0 : r->port));
    trial_put_text(o, "username", r->hop ? r->hop->username : STR_NONE);
    json_object_set(o, "hosts", t->hosts);
    json_object_set_new(o, "recipients", recipients_json(&t->recipients));
    json_object_set_new(o, "limits", limits_json(&r->live->conf->delivery));
    return o;
}

static void print_host(const json_t *host, int64_t port)
{
    size_t index;
    json_t *address;
    printf("host    %-9lld  ", (long long)say_number(host, "preference"));
    say_safely(say_text(host, "host"));
    printf(" port %lld:", (long long)port);
    json_array_foreach(json_object_get(host, "addresses"), index, address)
        printf(" %s", json_string_value(address));
    if (*say_text(host, "reason"))
        putchar(' ');
    say_safely(say_text(host, "reason"));
    putchar('\n');
}

static void print_recipients(const json_t *list)
{
    size_t index;
    json_t *one;
    json_array_foreach(list, index, one)
    {
        if (index == RECIPIENTS_SHOWN) {
            printf("to      and %zu more\n", json_array_size(list) - index);
            return;
        }
        fputs("to      ", stdout);
        say_safely(say_text(one, "address"));
        fputs(*say_text(one, "account") ? "\n" : " (elsewhere)\n", stdout);
    }
}

static void print_table(const json_t *o)
{
    size_t index;
    json_t *host;
    const json_t *limits = json_object_get(o, "limits");
    trial_print_row("route", say_text(o, "result"), say_text(o, "domain"), say_text(o, "next_hop"),
                    say_text(o, "reason"));
    if (strcmp(say_text(o, "result"), "found") != 0)
        return;
    printf("by      %s, tls %s", say_text(o, "protocol"), say_text(o, "tls"));
    if (*say_text(o, "username")) {
        fputs(", login as ", stdout);
        say_safely(say_text(o, "username"));
    }
    putchar('\n');
    if (*say_text(o, "socket")) {
        fputs("socket  ", stdout);
        say_safely(say_text(o, "socket"));
        putchar('\n');
    }
    if (strcmp(say_text(o, "next_hop"), "mx") == 0)
        tls_rows_print_policy(json_object_get(o, "tls_policy"));
    json_array_foreach(json_object_get(o, "hosts"), index, host)
    {
        print_host(host, say_number(o, "port"));
        tls_rows_print_dane(host);
    }
    print_recipients(json_object_get(o, "recipients"));
    printf("limits  %lld connections there, %lld in all, %lld messages in each\n",
           (long long)say_number(limits, "site_connections"),
           (long long)say_number(limits, "connections"),
           (long long)say_number(limits, "connection_messages"));
}

static int report(const struct route_trial *t)
{
    json_t *o = route_json(t);
    if (t->trial.i->is_json)
        return cli_print_json(o);
    print_table(o);
    json_decref(o);
    return CLI_DONE;
}

static int try_route(struct route_trial *t, const char *word)
{
    struct trial *trial = &t->trial;
    if (!address_parse(&t->arena, str_from(word), ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_POSTMASTER,
                       &t->address))
        return cli_usage(trial->i, "\"%s\" is no address", word);
    if (trial_load(trial, true) != CLI_DONE)
        return CLI_FAILED;
    t->directory = cli_directory(trial->i, DIRECTORY_READ);
    if (!t->directory)
        return CLI_FAILED;
    t->context.directory = directory_cache_make(t->directory);
    int result = trial_run(trial, find, t);
    return result == CLI_DONE ? report(t) : result;
}

static void finish(struct route_trial *t)
{
    route_drop(t->route);
    if (t->live.live)
        live_stop(&t->live);
    directory_cache_free(t->context.directory);
    directory_close(t->directory);
    json_decref(t->hosts);
    arena_free(&t->arena);
    trial_free(&t->trial);
}

int cli_try_route(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX];
    struct route_trial t = {
        .trial = trial_make(i), .arena = arena_make(ARENA_LIMIT), .hosts = json_array()};
    const struct cli_option options[] = {TRIAL_OPTIONS(&t.trial)};
    int result = cli_parse(i, options, sizeof options / sizeof options[0], 1, 1, words);
    if (result == CLI_DONE)
        result = try_route(&t, words[0]);
    finish(&t);
    return result;
}
