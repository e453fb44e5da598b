/* SPDX-License-Identifier: ISC */
/*
 * cli_try_spf.c - eilbote try spf: what SPF says of a client and its sender
 */
#include <stdio.h>

#include "cli/say.h"
#include "cli/trial.h"
#include "cli/verdicts.h"
#include "net/inquiry.h"
#include "os/clock.h"

struct spf_trial {
    struct trial trial;
    struct spf_question question;
    struct arena arena;
    struct spf_verdict verdict;
    unsigned questions;
};

static void check(void *arg)
{
    struct spf_trial *s = arg;
    struct inquiry inquiry = {.resolver = s->trial.resolver, .deadline_ms = s->trial.deadline_ms};
    struct asker asker = inquiry_asker(&inquiry, &s->arena, INSPECTION_QUESTIONS_MAX);
    spf_check(&s->question, &asker, &s->verdict);
    s->questions = INSPECTION_QUESTIONS_MAX - asker.left;
}

static int report(const struct spf_trial *s)
{
    json_t *o = verdict_spf(&s->verdict);
    json_object_set_new(o, "questions", json_integer(s->questions));
    if (s->trial.i->is_json)
        return cli_print_json(o);
    verdict_print("spf", o);
    if (s->verdict.explanation.n > 0) {
        fputs("the domain says: ", stdout);
        say_safely_slice(s->verdict.explanation);
        putchar('\n');
    }
    json_decref(o);
    return CLI_DONE;
}

struct words {
    const char *ip, *helo, *from;
};

/* Without a sender it is the name in HELO that is checked. */
static int take(struct spf_trial *s, const struct words *w)
{
    struct trial *t = &s->trial;
    struct spf_question *q = &s->question;
    if (!w->ip || !w->helo)
        return cli_usage(t->i, "%s is missing", w->ip ? "--helo" : "--ip");
    int result = trial_ip(t, "--ip", w->ip, &q->ip);
    if (result == CLI_DONE)
        result = trial_word(t, "--helo", w->helo, &q->helo);
    if (result == CLI_DONE && w->from)
        result = trial_word(t, "--from", w->from, &q->mail_from);
    q->identity = w->from ? SPF_MAIL_FROM : SPF_HELO;
    q->now_s = clock_real_ms() / 1000;
    q->void_limit = SPF_VOID_LIMIT;
    return result;
}

int cli_try_spf(struct invocation *i)
{
    struct words w = {0};
    struct spf_trial s = {.trial = trial_make(i), .arena = arena_make(INSPECTION_ARENA_LIMIT)};
    const struct cli_option options[] = {{"--ip", NULL, &w.ip, NULL},
                                         {"--helo", NULL, &w.helo, NULL},
                                         {"--from", NULL, &w.from, NULL},
                                         TRIAL_OPTIONS(&s.trial)};
    int result = cli_parse(i, options, sizeof options / sizeof options[0], 0, 0, NULL);
    if (result == CLI_DONE)
        result = take(&s, &w);
    if (result == CLI_DONE)
        result = trial_load(&s.trial, false);
    s.question.receiver = trial_hostname(&s.trial);
    if (result == CLI_DONE)
        result = trial_run(&s.trial, check, &s);
    if (result == CLI_DONE)
        result = report(&s);
    arena_free(&s.arena);
    trial_free(&s.trial);
    return result;
}
