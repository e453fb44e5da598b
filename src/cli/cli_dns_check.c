/* SPDX-License-Identifier: ISC */
/*
 * cli_dns_check.c - eilbote dns check: whether the DNS says of a domain's mail what it should
 */
#include <stdio.h>

#include "cli/say.h"
#include "cli/trial.h"
#include "cli/zone_check.h"

enum { LISTS_MAX = 32 };

struct desk {
    struct trial trial;
    const char *lists[CLI_WORDS_MAX + 1], *addresses[CLI_WORDS_MAX + 1];
    struct dnsbl_site *site; /* LISTS_MAX of them */
    struct arena arena;
    struct directory *directory;
    struct zone_plan plan;
    struct zone_check check;
    json_t *findings; /* NULL: they are printed as they come */
};

static void print_finding(const json_t *o)
{
    const char *record = say_text(o, "record"), *found = say_text(o, "found");
    printf("%-9s  %-4s  ", say_text(o, "check"), say_text(o, "result"));
    say_safely(say_text(o, "name"));
    printf("%s", say_text(o, "name")[0] ? "  " : "");
    say_safely(say_text(o, "reason"));
    putchar('\n');
    if (record[0]) {
        if (found[0]) {
            fputs("    found:   ", stdout);
            say_safely(found);
            putchar('\n');
        }
        fputs("    publish:\n", stdout);
        say_lines(str_from(record), "        ");
    }
    fflush(stdout);
}

static void take_finding(void *arg, json_t *finding)
{
    struct desk *d = arg;
    if (d->findings)
        json_array_append(d->findings, finding);
    else
        print_finding(finding);
}

static void run(void *arg)
{
    struct desk *d = arg;
    d->check.resolver = d->trial.resolver;
    zone_check_run(&d->check);
}

/* A list that is asked about once, and lists something. */
static void add_site(struct desk *d, const struct dnsbl_site *site)
{
    for (size_t i = 0; i < d->check.list_count; i++)
        if (str_equal_nocase(d->site[i].zone, site->zone))
            return;
    if (d->check.list_count < LISTS_MAX && site->weight > 0)
        d->site[d->check.list_count++] = *site;
}

static void add_sites_of(struct desk *d, const struct policy_rules *r)
{
    for (size_t i = 0; r->dnsbl_action.act != POLICY_OFF && i < r->dnsbl_sites.count; i++)
        add_site(d, &r->dnsbl_sites.item[i]);
}

static int take_words(struct desk *d)
{
    struct zone_check *k = &d->check;
    for (size_t i = 0; d->lists[i]; i++) {
        struct dnsbl_site site;
        if (!dnsbl_site_parse(str_from(d->lists[i]), &site))
            return cli_usage(d->trial.i, "--dnsbl is \"%s\"; allowed: a zone", d->lists[i]);
        add_site(d, &site);
    }
    for (size_t i = 0; d->addresses[i]; i++) {
        if (k->own_count == ZONE_CHECK_ADDRESSES)
            return cli_usage(d->trial.i, "there are more than %d --address", ZONE_CHECK_ADDRESSES);
        int result = trial_ip(&d->trial, "--address", d->addresses[i], &k->own[k->own_count++]);
        if (result != CLI_DONE)
            return result;
    }
    return CLI_DONE;
}

/* The plan of a domain of ours; without one the domain is a stranger's. */
static int open_plan(struct desk *d)
{
    const struct conf *c = d->trial.conf;
    bool has = false;
    d->directory = c ? cli_directory(d->trial.i, DIRECTORY_READ) : NULL;
    if (!c)
        return CLI_DONE;
    if (!d->directory)
        return CLI_FAILED;
    for (size_t i = 0; i < c->policy_count; i++)
        add_sites_of(d, &c->policy[i].rules);
    add_sites_of(d, &c->standard_policy.rules);
    struct fault f = directory_has_domain(d->directory, d->check.domain, &has);
    if (!f.kind && has) {
        f = zone_plan_make(c, d->directory, d->check.domain, &d->arena, &d->plan);
        d->check.plan = &d->plan;
    }
    return cli_result(d->trial.i, f);
}

static int report(struct desk *d)
{
    static const char *const sentences[] = {[ZONE_OK] = "all is well",
                                            [ZONE_WARN] = "all that mail needs is well",
                                            [ZONE_BAD] = "something is wrong"};
    const struct zone_check *k = &d->check;
    int result = k->worst == ZONE_BAD ? CLI_FAILED : CLI_DONE;
    if (d->findings) {
        json_t *o = json_pack("{s:s, s:s, s:b, s:O}", "result", zone_level_name(k->worst), "reason",
                              sentences[k->worst], "ours", k->plan != NULL, "checks", d->findings);
        trial_put_text(o, "domain", k->domain);
        cli_print_json(o);
        return result;
    }
    printf("%-9s  %-4s  ", "result", zone_level_name(k->worst));
    say_safely_slice(k->domain);
    printf("  %s\n", sentences[k->worst]);
    return result;
}

static void say_stranger(const struct desk *d)
{
    if (!d->check.plan && !d->findings) {
        say_safely_slice(d->check.domain);
        puts(d->trial.conf
                 ? " is not a domain of ours: nothing is compared with this server"
                 : " is looked at without a configuration: nothing is compared with a server");
        fflush(stdout);
    }
}

int cli_dns_check(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    struct desk d = {.trial = trial_make(i), .arena = arena_make(ZONE_CHECK_ARENA)};
    d.site = arena_alloc(&d.arena, LISTS_MAX * sizeof *d.site);
    const struct cli_option options[] = {{"--dnsbl", NULL, NULL, d.lists},
                                         {"--address", NULL, NULL, d.addresses},
                                         TRIAL_OPTIONS(&d.trial)};
    int result = cli_parse(i, options, sizeof options / sizeof options[0], 1, 1, words);
    if (result == CLI_DONE)
        result = cli_domain(i, &d.arena, words[0], &d.check.domain);
    if (result == CLI_DONE)
        result = take_words(&d);
    if (result == CLI_DONE)
        result = trial_load(&d.trial, false);
    if (result == CLI_DONE)
        result = open_plan(&d);
    d.check.conf = d.trial.conf;
    d.check.arena = &d.arena;
    d.check.lists = d.site;
    d.check.tell = take_finding;
    d.check.arg = &d;
    d.findings = i->is_json ? json_array() : NULL;
    if (result == CLI_DONE) {
        say_stranger(&d);
        result = trial_run(&d.trial, run, &d);
    }
    if (result == CLI_DONE)
        result = report(&d);
    json_decref(d.findings);
    directory_close(d.directory);
    arena_free(&d.arena);
    trial_free(&d.trial);
    return result;
}
