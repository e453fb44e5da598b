/* SPDX-License-Identifier: ISC */
/*
 * cli_queue.c - eilbote queue ls|show|retry|hold|release|drop|bounce
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/ask.h"
#include "cli/filter.h"
#include "cli/say.h"
#include "os/clock.h"

struct listing {
    const struct invocation *i;
    int64_t now_ms, count;
    bool has_content;
};

static void print_delivery(const struct listing *l, const json_t *d)
{
    char text[SAY_MAX];
    const char *state = say_text(d, "state");
    const json_t *trouble = json_object_get(d, "trouble"), *rcpt;
    size_t index;
    int64_t pause_ms = say_number(d, "next_attempt_ms") - l->now_ms;
    printf("    %s", state);
    if (strcmp(state, "waiting") == 0)
        printf(", next attempt in %s", say_duration(pause_ms, text));
    if (say_number(d, "attempts") > 0)
        printf(", tried %lld", (long long)say_number(d, "attempts"));
    json_array_foreach(json_object_get(d, "recipients"), index, rcpt)
    {
        fputs(index == 0 ? ": <" : ", <", stdout);
        say_safely(json_string_value(rcpt));
        putchar('>');
    }
    putchar('\n');
    if (!trouble)
        return;
    printf("        ");
    if (say_text(trouble, "remote")[0]) {
        say_safely(say_text(trouble, "remote"));
        fputs(": ", stdout);
    }
    printf("%lld ", (long long)say_number(trouble, "reply"));
    say_safely(say_text(trouble, "text"));
    putchar('\n');
}

static void print_message(void *arg, const json_t *m)
{
    struct listing *l = arg;
    char age[SAY_MAX], size[SAY_MAX];
    size_t index;
    const json_t *d;
    l->count++;
    if (l->i->is_json) {
        say_json(m);
        return;
    }
    printf("%s  %s old  %s  from <", say_text(m, "id"),
           say_duration(l->now_ms - say_number(m, "arrival_ms"), age),
           say_size(say_number(m, "size"), size));
    say_safely(say_text(m, "sender"));
    puts(">");
    json_array_foreach(json_object_get(m, "deliveries"), index, d) print_delivery(l, d);
    if (!l->has_content)
        return;
    const json_t *content = json_object_get(m, "content");
    struct str text = str_make(json_string_value(content), json_string_length(content));
    putchar('\n');
    if (say_to_terminal())
        say_lines(text, "");
    else
        fwrite(text.p, 1, text.n, stdout);
}

static int print_queue(struct invocation *i, const char *verb, size_t least)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    int result = cli_parse(i, NULL, 0, least, CLI_WORDS_MAX, words);
    json_t *filter = result == CLI_DONE ? filter_make(i, words) : NULL;
    if (!filter)
        return result == CLI_DONE ? CLI_USAGE : result;
    struct conf *c = cli_conf(i);
    if (!c) {
        json_decref(filter);
        return CLI_FAILED;
    }
    struct listing l = {.i = i, .now_ms = clock_real_ms(), .has_content = least > 0};
    result =
        cli_result(i, ask_role(c, "mta", json_pack("{s:s, s:o}", "verb", verb, "filter", filter),
                               print_message, &l));
    if (result == CLI_DONE && !i->is_json && least == 0)
        printf("%lld message%s\n", (long long)l.count, l.count == 1 ? "" : "s");
    if (result == CLI_DONE && l.count == 0 && least > 0)
        result = cli_fail(i, "no such message is in the queue");
    conf_free(c);
    return result;
}

int cli_queue_ls(struct invocation *i)
{
    return print_queue(i, "queue.ls", 0);
}

int cli_queue_show(struct invocation *i)
{
    return print_queue(i, "queue.show", 1);
}

struct deed {
    int64_t changed, refused;
};

static void take_deed(void *arg, const json_t *line)
{
    struct deed *d = arg;
    *d = (struct deed){say_number(line, "changed"), say_number(line, "refused")};
}

static int report_deed(const struct invocation *i, const struct deed *d)
{
    if (i->is_json)
        return cli_print_json(json_pack("{s:I, s:I}", "changed", (json_int_t)d->changed, "refused",
                                        (json_int_t)d->refused));
    printf("%lld deliver%s changed\n", (long long)d->changed, d->changed == 1 ? "y" : "ies");
    if (d->refused > 0)
        printf("%lld left as they were: their state does not allow it\n", (long long)d->refused);
    return CLI_DONE;
}

int cli_queue_act(struct invocation *i)
{
    bool is_all = false;
    const char *words[CLI_WORDS_MAX] = {NULL};
    const struct cli_option options[] = {{"--all", &is_all, NULL, NULL}};
    int result = cli_parse(i, options, 1, 0, CLI_WORDS_MAX, words);
    if (result == CLI_DONE && !words[0] && !is_all)
        result = cli_usage(i, "say which messages, or --all for every one");
    if (result == CLI_DONE && words[0] && is_all)
        result = cli_usage(i, "--all is every message; leave it out to choose with conditions");
    json_t *filter = result == CLI_DONE ? filter_make(i, words) : NULL;
    if (!filter)
        return result == CLI_DONE ? CLI_USAGE : result;
    struct conf *c = cli_conf(i);
    if (!c) {
        json_decref(filter);
        return CLI_FAILED;
    }
    char verb[32]; /* "queue hold" asks for queue.hold */
    snprintf(verb, sizeof verb, "queue.%s", i->command->name + strlen("queue "));
    json_t *request = json_pack("{s:s, s:o}", "verb", verb, "filter", filter);
    if (is_all)
        json_object_set_new(request, "all", json_true());
    struct deed d = {0, 0};
    result = cli_result(i, ask_role(c, "mta", request, take_deed, &d));
    conf_free(c);
    if (result != CLI_DONE)
        return result;
    if (d.changed + d.refused == 0)
        return cli_fail(i, "no such message is in the queue");
    result = report_deed(i, &d);
    return d.changed == 0 ? CLI_FAILED : result;
}
