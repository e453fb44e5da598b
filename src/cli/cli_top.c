/* SPDX-License-Identifier: ISC */
/*
 * cli_top.c - eilbote top: what the server is doing now, every second
 *
 * The mta counts since its start; two looks give what happens in a second.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "cli/ask.h"
#include "cli/say.h"
#include "os/clock.h"

enum { INTERVAL_MS = 1000, SITES_SHOWN = 15 };

static void keep_line(void *arg, const json_t *line)
{
    json_t **status = arg;
    json_decref(*status);
    *status = json_deep_copy(line);
}

static struct fault look(const struct conf *c, json_t **status)
{
    *status = NULL;
    struct fault f = ask_role(c, "mta", json_pack("{s:s}", "verb", "status"), keep_line, status);
    if (!f.kind && !*status)
        f = fault_make(451, FAULT_STATUS(4, 3, 0), "the server's answer is empty");
    return f;
}

static double rate(const json_t *before, const json_t *now, int64_t ms, const char *name)
{
    return ms > 0 ? (double)(say_number(now, name) - say_number(before, name)) * 1000 / (double)ms
                  : 0;
}

/* Adds what happened in a second since the look before. */
static void add_rates(const json_t *before, json_t *now)
{
    int64_t ms = say_number(now, "now_ms") - say_number(before, "now_ms");
    const json_t *old = json_object_get(before, "journal"), *new = json_object_get(now, "journal");
    json_object_set_new(
        now, "per_second",
        json_pack("{s:f, s:f, s:f, s:f}", "accepted", rate(before, now, ms, "accepted"), "finished",
                  rate(before, now, ms, "finished"), "journal_records",
                  rate(old, new, ms, "records"), "journal_syncs", rate(old, new, ms, "syncs")));
}

static double per_second(const json_t *now, const char *name)
{
    return json_real_value(json_object_get(json_object_get(now, "per_second"), name));
}

static void print_sites(const json_t *sites)
{
    char down[SAY_MAX];
    size_t index;
    const json_t *site;
    if (json_array_size(sites) > 0)
        puts("\nsite                                     waiting connections state");
    json_array_foreach(sites, index, site)
    {
        if (index == SITES_SHOWN) {
            printf("and %zu more\n", json_array_size(sites) - index);
            return;
        }
        bool is_down = json_is_true(json_object_get(site, "down"));
        printf("%-40.40s %7lld %5lld/%-5lld ", say_text(site, "site"),
               (long long)say_number(site, "waiting"), (long long)say_number(site, "connections"),
               (long long)say_number(site, "connections_most"));
        if (is_down)
            printf("down for %s: ", say_duration(say_number(site, "down_for_ms"), down));
        say_safely(is_down ? say_text(site, "fault") : "up");
        putchar('\n');
    }
}

static void print_table(const json_t *now)
{
    char at[SAY_MAX], bodies[SAY_MAX], flight[SAY_MAX];
    const json_t *journal = json_object_get(now, "journal");
    printf("%s%s\n\n", say_time(say_number(now, "now_ms"), at),
           json_is_true(json_object_get(now, "disk_low")) ? "  DISK LOW: no mail is accepted" : "");
    printf("accepted/s %10.1f   queue    %10lld   sessions  %10lld\n", per_second(now, "accepted"),
           (long long)say_number(now, "messages"), (long long)say_number(now, "sessions"));
    printf("finished/s %10.1f   hot      %10lld   delivering%10lld\n", per_second(now, "finished"),
           (long long)say_number(now, "hot"), (long long)say_number(now, "delivering"));
    printf("syncs/s    %10.1f   segments %10lld   failures  %10lld\n",
           per_second(now, "journal_syncs"), (long long)say_number(journal, "segments"),
           (long long)say_number(journal, "failures"));
    printf("records/s  %10.1f   bodies   %10s   receiving %10s\n",
           per_second(now, "journal_records"), say_size(say_number(now, "body_bytes"), bodies),
           say_size(say_number(now, "in_flight_bytes"), flight));
    print_sites(json_object_get(now, "sites"));
}

static struct fault show(const struct invocation *i, const struct conf *c, bool is_once)
{
    json_t *before, *now = NULL;
    struct fault f = look(c, &before);
    while (!f.kind) {
        clock_sleep_us(INTERVAL_MS * 1000);
        f = look(c, &now);
        if (f.kind)
            break;
        add_rates(before, now);
        json_decref(before);
        before = now;
        if (i->is_json) {
            say_json(now);
        } else {
            fputs(is_once ? "" : "\033[H\033[2J", stdout);
            print_table(now);
        }
        if (fflush(stdout) != 0 || is_once)
            break;
    }
    json_decref(before);
    return f;
}

int cli_top(struct invocation *i)
{
    bool is_once = false;
    const struct cli_option options[] = {{"--once", &is_once, NULL, NULL}};
    int result = cli_parse(i, options, 1, 0, 0, NULL);
    struct conf *c = result == CLI_DONE ? cli_conf(i) : NULL;
    if (!c)
        return result == CLI_DONE ? CLI_FAILED : result;
    result = cli_result(i, show(i, c, is_once));
    conf_free(c);
    return result;
}
