/* SPDX-License-Identifier: ISC */
/*
 * cli_try_message.c - eilbote try message: what the server would say of a message, and do with it
 *
 * The checks and the rule are those of serve/inspection, by the first listener of the configuration that takes mail
 * of strangers. Without a client SPF is left out, and DMARC counts signatures alone.
 */
#include <stdio.h>

#include "cli/say.h"
#include "cli/specimen.h"
#include "cli/trial.h"
#include "cli/verdicts.h"
#include "serve/gate.h"
#include "serve/greylist_book.h"
#include "serve/intake.h"

struct words {
    const char *file, *ip, *helo, *from, *time;
};

struct message_trial {
    struct trial trial;
    struct specimen specimen;
    const struct conf_listener *listener; /* NULL: the rule is the usual one */
    struct inspection_visit visit;
    struct greylist_book *book; /* with the local history; NULL: nobody knows it */
    struct fault book_fault;    /* why not */
    const char *unchecked;      /* why the server would not look; NULL: it would */
};

static int take_client(struct message_trial *m, const struct words *w)
{
    struct trial *t = &m->trial;
    struct inspection_visit *v = &m->visit;
    v->is_client_unknown = !w->ip && !w->helo && !w->from;
    if (v->is_client_unknown)
        return CLI_DONE;
    if (!w->ip || !w->helo || !w->from)
        return cli_usage(t->i, "%s is missing; --ip, --helo and --from go together",
                         !w->ip     ? "--ip"
                         : !w->helo ? "--helo"
                                    : "--from");
    int result = trial_ip(t, "--ip", w->ip, &v->ip);
    if (result == CLI_DONE)
        result = trial_word(t, "--helo", w->helo, &v->helo);
    return result == CLI_DONE ? trial_word(t, "--from", w->from, &v->sender) : result;
}

static const struct conf_listener *find_listener(const struct conf *c)
{
    for (size_t k = 0; c && k < c->listener_count; k++)
        if (c->listener[k].role == CONF_ROLE_MX)
            return &c->listener[k];
    return NULL;
}

/* Whose mail a listener takes without a look. */
static const char *why_unchecked(const struct message_trial *m)
{
    const struct conf_listener *l = m->listener;
    const struct inspection_visit *v = &m->visit;
    if (l && l->authentication == CONF_AUTHENTICATION_OFF)
        return "the listener has authentication = off";
    if (v->is_client_unknown)
        return NULL;
    if (l && conf_networks_contain(&l->trust, &v->ip))
        return "the listener trusts the client";
    return ip_is_loopback(&v->ip) ? "the client is this machine" : NULL;
}

/* The rule of the listener, which is to refuse unless it says otherwise. */
static void apply_configuration(struct message_trial *m)
{
    struct inspection_visit *v = &m->visit;
    const struct conf_listener *l = m->listener = find_listener(m->trial.conf);
    int rule = l ? l->authentication : CONF_AUTHENTICATION_REFUSE;
    m->unchecked = why_unchecked(m);
    specimen_begin(&m->specimen, l ? &l->limits : NULL, v->now_s);
    v->hostname = trial_hostname(&m->trial);
    v->forwarders = l ? l->trusted_forwarders.item : NULL;
    v->forwarder_count = l ? l->trusted_forwarders.count : 0;
    v->may_refuse = !m->unchecked && rule == CONF_AUTHENTICATION_REFUSE;
    v->may_mark = !m->unchecked && rule >= CONF_AUTHENTICATION_MARK;
}

static int64_t count_days(void *arg, struct str author)
{
    struct message_trial *m = arg;
    int64_t days = 0;
    m->book_fault = greylist_book_days(m->book, m->listener->policy, &m->visit.ip, author,
                                       m->visit.now_s * 1000, &days);
    return days;
}

/* What the server remembers of the client's network; it is the server's, and may not be readable. */
static void open_history(struct message_trial *m)
{
    struct trial *t = &m->trial;
    struct inspection_visit *v = &m->visit;
    if (!m->listener || m->listener->history_days == 0 || v->is_client_unknown || m->unchecked)
        return;
    const char *path = conf_state_path(t->conf, &t->arena, "spool/" GREYLIST_BOOK_NAME);
    m->book_fault = greylist_book_open(path, true, &m->book);
    if (m->book_fault.kind)
        return;
    v->count_days = count_days;
    v->arg = m;
    v->history_days = m->listener->history_days;
}

static void find_client_name(struct message_trial *m)
{
    struct inspection_visit *v = &m->visit;
    if (v->is_client_unknown || (m->listener && !m->listener->is_client_named))
        return;
    static const struct policy_rules none = {0};
    struct gate *g = gate_make(&(struct gate_options){
        .rules = &none, .ip = v->ip, .is_name_wanted = true, .resolver = v->resolver});
    v->client_name = arena_copy(&m->specimen.inspection->arena, gate_client_name(g));
    v->questions_asked = g->questions;
    gate_free(g);
}

static void check(void *arg)
{
    struct message_trial *m = arg;
    m->visit.resolver = m->trial.resolver;
    m->visit.deadline_ms = m->trial.deadline_ms;
    find_client_name(m);
    inspection_decide(m->specimen.inspection, &m->visit);
}

static void put_verdicts(json_t *o, const struct message_trial *m)
{
    const struct inspection *i = m->specimen.inspection;
    verdict_put_all(o, i, !m->visit.is_client_unknown);
    if (!i)
        return;
    json_object_set_new(o, "is_list", json_boolean(i->is_list));
    trial_put_text(o, "vouched_by", i->vouched_by);
    trial_put_text(o, "history", i->history);
    trial_put_text(o, "client_name", m->visit.client_name);
    json_object_set_new(o, "questions", json_integer(i->questions));
}

/* What the server would do, and put on top. */
static void put_action(json_t *o, const struct message_trial *m)
{
    static const char *const names[] = {[INSPECTION_TAKE] = "take",
                                        [INSPECTION_MARK_JUNK] = "mark",
                                        [INSPECTION_REFUSE] = "refuse"};
    const struct specimen *s = &m->specimen;
    enum inspection_action action = s->fault.kind ? INSPECTION_REFUSE : s->inspection->action;
    struct buf fields = buf_make(INTAKE_TOP_MAX);
    json_object_set_new(o, "action", json_string(names[action]));
    if (action == INSPECTION_REFUSE)
        trial_put_fault(o, s->fault.kind ? &s->fault : &s->inspection->fault);
    else
        trial_put_text(o, "reason", STR_NONE);
    if (action != INSPECTION_REFUSE && !m->unchecked)
        inspection_append(s->inspection, &m->visit, &fields);
    trial_put_text(o, "fields", buf_str(&fields));
    buf_free(&fields);
}

static void put_notes(json_t *o, const struct message_trial *m)
{
    const struct specimen *s = &m->specimen;
    json_t *notes = json_array();
    if (s->has_lf)
        json_array_append_new(notes,
                              json_string("lines that end with LF count as ending with CRLF"));
    if (s->has_mbox_line)
        json_array_append_new(notes, json_string("the line \"From ...\" on top is left out"));
    if (m->visit.is_client_unknown)
        json_array_append_new(notes,
                              json_string("SPF is left out, it needs --ip, --helo and --from"));
    if (m->book_fault.kind)
        json_array_append_new(
            notes, json_sprintf("the local history is left out: %s", m->book_fault.text));
    if (m->unchecked)
        json_array_append_new(
            notes, json_sprintf("the server would take it without a look: %s", m->unchecked));
    json_object_set_new(o, "notes", notes);
}

static void print_table(const json_t *o)
{
    size_t index;
    json_t *item;
    verdict_print_all(o);
    printf("action  %s", say_text(o, "action"));
    if (json_object_get(o, "reply"))
        printf("  %lld %s ", (long long)say_number(o, "reply"), say_text(o, "status"));
    say_safely(say_text(o, "reason"));
    putchar('\n');
    json_array_foreach(json_object_get(o, "notes"), index, item)
        printf("note    %s\n", json_string_value(item));
}

static int report(const struct message_trial *m)
{
    const struct specimen *s = &m->specimen;
    json_t *o = json_object();
    put_action(o, m);
    put_verdicts(o, m);
    json_object_set_new(o, "octets", json_integer((json_int_t)s->octets));
    json_object_set_new(o, "line_ends",
                        json_string(!s->has_lf    ? "crlf"
                                    : s->has_crlf ? "mixed"
                                                  : "lf"));
    trial_put_text(o, "listener", m->listener ? m->listener->name : STR_NONE);
    put_notes(o, m);
    if (m->trial.i->is_json)
        return cli_print_json(o);
    print_table(o);
    json_decref(o);
    return CLI_DONE;
}

static int try_message(struct message_trial *m, const struct words *w)
{
    int result = take_client(m, w);
    if (result == CLI_DONE)
        result = trial_time(&m->trial, w->time, &m->visit.now_s);
    if (result == CLI_DONE)
        result = trial_load(&m->trial, false);
    if (result != CLI_DONE)
        return result;
    apply_configuration(m);
    open_history(m);
    result = specimen_open(&m->specimen, m->trial.i, w->file);
    if (result == CLI_DONE && m->specimen.inspection)
        result = trial_run(&m->trial, check, m);
    return result == CLI_DONE ? report(m) : result;
}

int cli_try_message(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX];
    struct words w = {0};
    struct message_trial m = {.trial = trial_make(i)};
    const struct cli_option options[] = {{"--ip", NULL, &w.ip, NULL},
                                         {"--helo", NULL, &w.helo, NULL},
                                         {"--from", NULL, &w.from, NULL},
                                         {"--time", NULL, &w.time, NULL},
                                         TRIAL_OPTIONS(&m.trial)};
    int result = cli_parse(i, options, sizeof options / sizeof options[0], 1, 1, words);
    w.file = words[0];
    if (result == CLI_DONE)
        result = try_message(&m, &w);
    specimen_free(&m.specimen);
    greylist_book_close(m.book);
    trial_free(&m.trial);
    return result;
}
