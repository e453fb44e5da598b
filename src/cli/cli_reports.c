/* SPDX-License-Identifier: ISC */
/*
 * cli_reports.c - eilbote reports list|show|send: what others report about our domains, and our reports about theirs
 */
#include <stdio.h>

#include "base/num.h"
#include "cli/ask.h"
#include "cli/say.h"
#include "os/clock.h"

#define SINCE_MAX_MS (UINT64_C(3650) * 24 * 3600 * 1000)

struct listing {
    const struct invocation *i;
    int64_t count;
    bool is_tls; /* of the report that is shown */
};

static void say_day(int64_t unix_seconds)
{
    char text[SAY_MAX];
    printf("%.10s", say_time(unix_seconds * 1000, text));
}

static const char *good_word(bool is_tls)
{
    return is_tls ? "went well" : "passed";
}

static const char *bad_word(bool is_tls)
{
    return is_tls ? "failed" : "did not pass";
}

static void print_report(void *arg, const json_t *r)
{
    struct listing *l = arg;
    bool is_tls = strcmp(say_text(r, "kind"), "tls") == 0;
    l->count++;
    if (l->i->is_json) {
        say_json(r);
        return;
    }
    printf("%lld  ", (long long)say_number(r, "id"));
    say_day(say_number(r, "begin"));
    printf("  %s  ", is_tls ? "TLS  " : "DMARC");
    say_safely(say_text(r, "domain"));
    printf(": %lld %s, %lld %s  by ", (long long)say_number(r, "pass"), good_word(is_tls),
           (long long)say_number(r, "fail"), bad_word(is_tls));
    say_safely(say_text(r, "organization"));
    if (!json_is_true(json_object_get(r, "authentic"))) {
        fputs(" (sent by ", stdout);
        say_safely(say_text(r, "submitter")[0] ? say_text(r, "submitter") : "nobody known");
        fputs(", unproven)", stdout);
    }
    putchar('\n');
}

int cli_reports(struct invocation *i)
{
    const char *domain = NULL, *since = NULL;
    uint64_t since_ms = 0;
    const struct cli_option options[] = {{"--domain", NULL, &domain, NULL},
                                         {"--since", NULL, &since, NULL}};
    int result = cli_parse(i, options, 2, 0, 0, NULL);
    if (result == CLI_DONE && since &&
        !num_parse_duration(str_from(since), SINCE_MAX_MS, &since_ms))
        result = cli_usage(i, "--since is \"%s\"; allowed: a duration like 30d", since);
    struct conf *c = result == CLI_DONE ? cli_conf(i) : NULL;
    if (!c)
        return result == CLI_DONE ? CLI_FAILED : result;
    struct arena a = arena_make(1 << 16);
    struct listing l = {.i = i};
    json_t *request = json_pack("{s:s}", "verb", "reports.list");
    if (domain) {
        struct str folded = cli_folded(&a, domain);
        json_object_set_new(request, "domain", json_stringn(folded.p, folded.n));
    }
    if (since)
        json_object_set_new(request, "since_s",
                            json_integer((clock_real_ms() - (int64_t)since_ms) / 1000));
    result = cli_result(i, ask_role(c, "mta", request, print_report, &l));
    if (result == CLI_DONE && !i->is_json)
        printf("%lld report%s\n", (long long)l.count, l.count == 1 ? "" : "s");
    arena_free(&a);
    conf_free(c);
    return result;
}

static void say_field(const char *label, const char *text)
{
    if (!text[0])
        return;
    printf("    %s: ", label);
    say_safely(text);
    putchar('\n');
}

static void print_policy(const json_t *about)
{
    static const char *const names[] = {"p", "sp", "np", "adkim", "aspf", "pct", "fo", "testing"};
    bool has_any = false;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const char *text = say_text(about, names[k]);
        if (!text[0])
            continue;
        printf("%s%s=", has_any ? "; " : "    policy: ", names[k]);
        say_safely(text);
        has_any = true;
    }
    if (has_any)
        putchar('\n');
}

static void print_head(struct listing *l, const json_t *r)
{
    char text[SAY_MAX];
    const json_t *about = json_object_get(r, "about");
    print_report(l, r);
    say_field("report id", say_text(r, "report_id"));
    say_field("begins", say_time(say_number(r, "begin") * 1000, text));
    say_field("ends", say_time(say_number(r, "end") * 1000, text));
    say_field("arrived", say_time(say_number(r, "arrived") * 1000, text));
    say_field("contact", say_text(about, "contact"));
    say_field("more", say_text(about, "extra"));
    say_field("its errors", say_text(about, "error"));
    print_policy(about);
    if (say_number(about, "left_out") > 0)
        printf("    records that are not kept: %lld\n", (long long)say_number(about, "left_out"));
}

/* "SPF pass for example.org" */
static void say_result(const char *kind, const char *result, const char *domain,
                       const char *selector)
{
    printf("        %s ", kind);
    say_safely(result);
    fputs(" for ", stdout);
    say_safely(domain);
    if (selector[0]) {
        fputs(" (", stdout);
        say_safely(selector);
        putchar(')');
    }
    putchar('\n');
}

static bool is_pass(const json_t *r, const char *name)
{
    return strcmp(say_text(r, name), "pass") == 0;
}

static void print_source(const json_t *r)
{
    const json_t *signature;
    size_t k;
    const char *reason = say_text(r, "reason");
    bool has_dkim = is_pass(r, "dkim"), has_spf = is_pass(r, "spf");
    printf("%8lld from ", (long long)say_number(r, "count"));
    say_safely(say_text(r, "ip"));
    printf(": %s; ", has_dkim && has_spf ? "passed by DKIM and SPF"
                     : has_dkim          ? "passed by DKIM"
                     : has_spf           ? "passed by SPF"
                                         : "did not pass");
    say_safely(say_text(r, "disposition"));
    if (reason[0]) {
        fputs(" because of ", stdout);
        say_safely(reason);
    }
    fputs("\n        author ", stdout);
    say_safely(say_text(r, "from"));
    putchar('\n');
    if (say_text(r, "spf_domain")[0])
        say_result("SPF", say_text(r, "spf_result"), say_text(r, "spf_domain"), "");
    json_array_foreach(json_object_get(r, "signatures"), k, signature)
    {
        say_result("DKIM", say_text(signature, "result"), say_text(signature, "domain"),
                   say_text(signature, "selector"));
    }
}

static void print_tls(const json_t *r)
{
    printf("%8lld ", (long long)say_number(r, "count"));
    if (say_text(r, "policy")[0]) {
        fputs("by the policy ", stdout);
        say_safely(say_text(r, "policy"));
        printf(": %lld went well, %lld failed\n", (long long)say_number(r, "good"),
               (long long)say_number(r, "bad"));
        return;
    }
    say_safely(say_text(r, "result"));
    fputs(", from ", stdout);
    say_safely(say_text(r, "sending_ip"));
    fputs(" to ", stdout);
    say_safely(say_text(r, "mx"));
    fputs(" [", stdout);
    say_safely(say_text(r, "receiving_ip"));
    fputs("]\n", stdout);
    say_field("    reason", say_text(r, "reason"));
    say_field("    more", say_text(r, "info"));
}

/* The first line is the report, the others are its records. */
static void print_line(void *arg, const json_t *line)
{
    struct listing *l = arg;
    if (l->i->is_json) {
        say_json(line);
    } else if (l->count == 0) {
        l->is_tls = strcmp(say_text(line, "kind"), "tls") == 0;
        print_head(l, line);
    } else if (l->is_tls) {
        print_tls(line);
    } else {
        print_source(line);
    }
}

int cli_reports_show(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    uint64_t id = 0;
    int result = cli_parse(i, NULL, 0, 1, 1, words);
    if (result == CLI_DONE && !num_parse(str_from(words[0]), INT64_MAX, &id))
        result = cli_usage(i, "%s is no number of a report; eilbote reports lists them", words[0]);
    struct conf *c = result == CLI_DONE ? cli_conf(i) : NULL;
    if (!c)
        return result == CLI_DONE ? CLI_FAILED : result;
    struct listing l = {.i = i};
    json_t *request = json_pack("{s:s, s:I}", "verb", "reports.show", "id", (json_int_t)id);
    result = cli_result(i, ask_role(c, "mta", request, print_line, &l));
    conf_free(c);
    return result;
}

static void take_tally(void *arg, const json_t *line)
{
    *(json_t **)arg = json_deep_copy(line);
}

int cli_reports_send(struct invocation *i)
{
    const char *domain = NULL;
    const struct cli_option options[] = {{"--domain", NULL, &domain, NULL}};
    int result = cli_parse(i, options, 1, 0, 0, NULL);
    struct conf *c = result == CLI_DONE ? cli_conf(i) : NULL;
    if (!c)
        return result == CLI_DONE ? CLI_FAILED : result;
    json_t *tally = NULL;
    json_t *request = json_pack("{s:s}", "verb", "reports.send");
    if (domain)
        json_object_set_new(request, "domain", json_string(domain));
    result = cli_result(i, ask_role(c, "mta", request, take_tally, &tally));
    conf_free(c);
    if (result == CLI_DONE && tally && i->is_json)
        return cli_print_json(tally);
    if (result == CLI_DONE && tally)
        printf("%lld sent, %lld waiting, %lld dropped because nobody takes them\n",
               (long long)say_number(tally, "sent"), (long long)say_number(tally, "waiting"),
               (long long)say_number(tally, "dropped"));
    json_decref(tally);
    return result;
}
