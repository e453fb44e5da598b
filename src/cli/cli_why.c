/* SPDX-License-Identifier: ISC */
/*
 * cli_why.c - eilbote queue why: why a message is still here, in sentences
 */
#include <stdio.h>

#include "cli/ask.h"
#include "cli/filter.h"
#include "cli/say.h"
#include "cli/story.h"
#include "queue/envelope.h"

struct why {
    const struct invocation *i;
    struct conf *conf;
    int64_t count, now_ms;
};

static void print_dialogue(const char *text)
{
    if (!text[0])
        return;
    puts("  The last dialogue:");
    say_lines(str_from(text), "    ");
}

static void print_trouble(const struct why *w, const json_t *d)
{
    char ago[SAY_MAX];
    const json_t *t = json_object_get(d, "trouble");
    long long attempts = (long long)say_number(d, "attempts");
    if (t && attempts == 0) {
        fputs("  It was not tried yet: ", stdout);
        say_safely(say_text(t, "text"));
        putchar('\n');
        return;
    }
    if (!t) {
        puts(attempts == 0 ? "  It was not tried yet." : "  No attempt has failed so far.");
        return;
    }
    const char *status = say_text(t, "status"), *remote = say_text(t, "remote");
    printf("  It was tried %lld time%s. The last attempt was %s ago; ", attempts,
           attempts == 1 ? "" : "s", say_duration(w->now_ms - say_number(t, "time_ms"), ago));
    bool is_answer = remote[0] && json_is_true(json_object_get(t, "answer"));
    if (!is_answer)
        fputs(remote[0] ? "what went wrong with " : "what went wrong", stdout);
    say_safely(remote);
    printf("%s: %lld ", is_answer ? " answered" : "", (long long)say_number(t, "reply"));
    if (status[0] != '0')
        printf("%s ", status);
    say_safely(say_text(t, "text"));
    putchar('\n');
    print_dialogue(say_text(t, "dialogue"));
}

/* Which limit binds a delivery that is with the sender. */
static void print_site(const json_t *site)
{
    char left[SAY_MAX];
    long long connections = (long long)say_number(site, "connections");
    long long most = (long long)say_number(site, "connections_most");
    long long waiting = (long long)say_number(site, "waiting");
    long long all = (long long)say_number(site, "all_connections");
    long long all_most = (long long)say_number(site, "all_connections_most");
    const char *name = say_text(site, "site");
    if (!name[0]) {
        puts("  The way to that domain is being looked up.");
        return;
    }
    fputs("  The site ", stdout);
    say_safely(name);
    if (json_is_true(json_object_get(site, "down"))) {
        printf(" is down and is tried again in %s: ",
               say_duration(say_number(site, "down_for_ms"), left));
        say_safely(say_text(site, "fault"));
        putchar('\n');
        return;
    }
    if (connections >= most)
        printf(" has all its %lld connections busy (connections-per-site)", most);
    else if (waiting > 0 && json_is_true(json_object_get(site, "silent")))
        printf(" has not answered on its %lld connections yet, and gets no more until it does",
               connections);
    else if (waiting > 0 && all >= all_most)
        printf(" gets no further connection: all %lld of this server are in use (connections of "
               "delivery)",
               all_most);
    else
        printf(" has %lld of at most %lld connections", connections, most);
    printf("; %lld deliver%s there.\n", waiting, waiting == 1 ? "y waits" : "ies wait");
}

static void print_next(const struct why *w, const json_t *d, const json_t *site)
{
    char left[SAY_MAX], at[SAY_MAX];
    const char *state = say_text(d, "state");
    int64_t next_ms = say_number(d, "next_attempt_ms");
    if (strcmp(state, "held") == 0) {
        puts("  It is held until an operator releases it: eilbote queue release.");
        if (json_is_true(json_object_get(d, "with_sender")))
            puts("  An attempt that has begun may still end; a new one is not made.");
    } else if (strcmp(state, "delivering") == 0) {
        puts("  It is being delivered now, or waits for a connection.");
        print_site(site);
    } else {
        printf("  The next attempt comes in %s, at %s.\n", say_duration(next_ms - w->now_ms, left),
               say_time(next_ms, at));
        if (json_is_true(json_object_get(site, "down")))
            print_site(site);
    }
}

static void print_delivery(const struct why *w, const json_t *m, const json_t *d)
{
    size_t index;
    const json_t *rcpt;
    const char *domain = say_text(d, "domain");
    const json_t *site = json_object_get(json_object_get(m, "sites"), domain);
    fputs("\nFor", stdout);
    json_array_foreach(json_object_get(d, "recipients"), index, rcpt)
    {
        fputs(index == 0 ? " <" : ", <", stdout);
        say_safely(json_string_value(rcpt));
        putchar('>');
    }
    puts(":");
    if (str_equal(str_from(domain), QUEUE_EXPANDED_DOMAIN)) {
        puts("  Its sender is still to be told that this alias was expanded.");
        return;
    }
    print_trouble(w, d);
    print_next(w, d, site);
}

/* When it is given up, and what becomes of it then. */
static void print_end(const struct why *w, const json_t *m)
{
    char left[SAY_MAX], at[SAY_MAX];
    int64_t expires_ms = say_number(m, "expires_ms");
    const char *end = say_text(m, "sender")[0] ? "returns it to its sender"
                                               : "is its end: a notice is not returned to anybody";
    if (expires_ms > w->now_ms)
        printf("\nAn attempt that fails after %s (in %s) %s.\n", say_time(expires_ms, at),
               say_duration(expires_ms - w->now_ms, left), end);
    else
        printf("\nIt is older than bounce-after; an attempt that fails %s.\n", end);
}

static void print_why(void *arg, const json_t *m)
{
    struct why *w = arg;
    char size[SAY_MAX], age[SAY_MAX], at[SAY_MAX];
    size_t index;
    const json_t *d;
    w->now_ms = say_number(m, "now_ms");
    if (w->count++ > 0 && !w->i->is_json)
        putchar('\n');
    if (w->i->is_json) {
        say_json(m);
        return;
    }
    int64_t arrival_ms = say_number(m, "arrival_ms");
    printf("%s is a message of %s from <", say_text(m, "id"),
           say_size(say_number(m, "size"), size));
    say_safely(say_text(m, "sender"));
    fputs(">", stdout);
    if (say_text(m, "account")[0]) {
        fputs(", sent by the account ", stdout);
        say_safely(say_text(m, "account"));
    }
    printf(".\nIt came %s ago, at %s, in the session %s, and ",
           say_duration(w->now_ms - arrival_ms, age), say_time(arrival_ms, at),
           say_text(m, "session"));
    puts(strcmp(say_text(m, "rests"), "journal") == 0 ? "is in memory and in the journal."
                                                      : "rests in queue.db and a file of its own.");
    json_array_foreach(json_object_get(m, "deliveries"), index, d) print_delivery(w, m, d);
    print_end(w, m);
}

/* The ids that were asked for and are not in the queue: what the events know of them. */
static int tell_gone(const struct invocation *i, const struct conf *c, const char *word)
{
    char line[80];
    snprintf(line, sizeof line, "%s is not in the queue any more. Its story:", word);
    int64_t count = story_print(i, c, word, 0, i->is_json ? NULL : line);
    if (count > 0)
        return CLI_DONE;
    return cli_fail(i, "%s is not in the queue, and the events know nothing of it", word);
}

static int ask_why(struct invocation *i, struct why *w, json_t *filter)
{
    json_t *request = json_pack("{s:s, s:o}", "verb", "queue.why", "filter", filter);
    return cli_result(i, ask_role(w->conf, "mta", request, print_why, w));
}

/* Ids one by one, so that each is answered; else one question. */
static int explain(struct invocation *i, struct why *w, const char *const *words)
{
    json_t *filter = filter_make(i, words);
    if (!filter)
        return CLI_USAGE;
    json_t *ids = json_incref(json_object_get(filter, "ids")), *id;
    size_t index;
    int result = CLI_DONE;
    if (!ids) {
        result = ask_why(i, w, filter);
        if (result == CLI_DONE && w->count == 0)
            result = cli_fail(i, "no such message is in the queue");
        return result;
    }
    json_array_foreach(ids, index, id)
    {
        int64_t before = w->count;
        json_t *one = json_deep_copy(filter);
        json_object_set_new(one, "ids", json_pack("[O]", id));
        int each = ask_why(i, w, one);
        if (each == CLI_DONE && w->count == before)
            each = tell_gone(i, w->conf, json_string_value(id));
        result = each == CLI_DONE ? result : each;
    }
    json_decref(ids);
    json_decref(filter);
    return result;
}

int cli_queue_why(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    int result = cli_parse(i, NULL, 0, 1, CLI_WORDS_MAX, words);
    if (result != CLI_DONE)
        return result;
    struct why w = {.i = i, .conf = cli_conf(i)};
    if (!w.conf)
        return CLI_FAILED;
    result = explain(i, &w, words);
    conf_free(w.conf);
    return result;
}
