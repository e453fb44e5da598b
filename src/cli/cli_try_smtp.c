/* SPDX-License-Identifier: ISC */
/*
 * cli_try_smtp.c - eilbote try smtp: what the server would say to a client, step by step
 *
 * The policy is at work as in the server (serve/gate), with the directory, the greylist and the DNS as they are, but
 * nothing is counted or remembered. What was decided is told in its order, and ends where the client would be refused.
 */
#include <stdio.h>

#include "cli/say.h"
#include "cli/specimen.h"
#include "cli/trial.h"
#include "cli/verdicts.h"
#include "directory/cache.h"
#include "mail/idna.h"
#include "mail/address.h"
#include "net/loop.h"
#include "net/offload.h"
#include "serve/gate.h"
#include "serve/recipient.h"
#include "sign/srs_ring.h"

struct words {
    const char *ip, *helo, *mail, *rcpt, *data, *listener, *time;
};

struct smtp_trial {
    struct trial trial;
    const struct words *words;
    struct specimen specimen;
    const struct conf_listener *listener;
    struct gate_options options;
    struct gate *gate;
    struct gate_sender from;
    struct address rcpt;
    struct directory *directory;
    struct directory_cache *cache;
    struct greylist_book *book;
    struct srs_ring *srs;
    int64_t now_s;
    const char *unchecked; /* why the message would not be looked at; NULL: it would */
    json_t *decisions;
    const char *stage;    /* that was the last */
    struct fault verdict; /* what is said there */
    struct str client_name;
    unsigned questions; /* of all checks, when the message was looked at */
    bool is_marked;
};

static void add(struct smtp_trial *s, const char *stage, const char *rule, const char *result,
                struct str domain, struct str reason, const struct fault *f)
{
    json_t *o = json_pack("{s:s, s:s, s:s}", "stage", stage, "rule", rule, "result", result);
    trial_put_text(o, "domain", domain);
    if (f) {
        trial_put_fault(o, f);
        trial_put_text(o, "text", fault_text(f));
    }
    trial_put_text(o, "reason", reason);
    json_array_append_new(s->decisions, o);
}

static void take_finding(void *arg, const struct policy_finding *f)
{
    struct smtp_trial *s = arg;
    add(s, policy_stage_name(f->stage), f->rule, policy_result_name(f->result), f->domain,
        f->reason, f->fault);
    if (f->result == POLICY_WEIGHS)
        json_object_set_new(json_array_get(s->decisions, json_array_size(s->decisions) - 1),
                            "weight", json_integer(f->weight));
}

static void take_failure(void *arg, const struct fault *f)
{
    add(arg, "rcpt", "greylisting", "error", STR_NONE, fault_text(f), NULL);
}

/* The end of a stage: what the client is told. True when it may go on. */
static bool end_stage(struct smtp_trial *s, const char *stage, const char *done, struct fault f)
{
    static const struct {
        const char *stage;
        unsigned code;
    } codes[] = {{"connect", 220}, {"helo", 250}, {"mail", 250}, {"rcpt", 250}, {"data", 250}};
    struct fault fine = FINE;
    s->stage = stage;
    s->verdict = f;
    for (size_t i = 0; !f.kind && i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i].stage, stage) == 0)
            fine = fault_make(codes[i].code, FAULT_STATUS(2, 0, 0), "%s", done);
    add(s, stage, "reply",
        f.kind == FAULT_NEVER   ? "refuse"
        : f.kind == FAULT_LATER ? "defer"
                                : "pass",
        STR_NONE, STR_NONE, f.kind ? &f : &fine);
    return !f.kind;
}

static bool is_valid_helo(struct str helo)
{
    struct idna_literal literal;
    return idna_domain_is_valid(helo, false) || idna_literal_parse(helo, &literal);
}

/* A rewritten sender of ours stands for the address that it was. */
static struct fault reverse_rcpt(struct smtp_trial *s, bool *is_bounce)
{
    struct arena *a = &s->trial.arena;
    struct directory_recipients found;
    struct srs_secrets secrets;
    struct recipient_bounce b = {.conf = s->trial.conf,
                                 .secrets = &secrets,
                                 .has_sender = s->from.address.n > 0,
                                 .now_s = s->now_s};
    *is_bounce = false;
    if (!srs_is_rewritten(s->rcpt.local))
        return FINE;
    directory_cache_expand(s->cache, STR("postmaster"), s->rcpt.domain, a, &b.is_ours, &found);
    srs_ring_get(s->srs, &secrets);
    struct fault f = recipient_reverse(&b, a, &s->rcpt, is_bounce);
    if (f.kind || *is_bounce)
        add(s, "rcpt", "srs", f.kind ? "refuse" : "pass", s->rcpt.domain,
            f.kind ? fault_text(&f)
                   : arena_printf(a, "a bounce for " STR_FMT, STR_ARG(address_text(a, &s->rcpt))),
            f.kind ? &f : NULL);
    return f;
}

/* RCPT as the server decides it: is there anybody, and then the policy. */
static struct fault decide_rcpt(struct smtp_trial *s)
{
    struct directory_recipients found;
    const struct conf *c = s->trial.conf;
    const struct address *a = &s->rcpt;
    struct arena *scratch = &s->trial.arena;
    bool is_ours = false, is_bounce, may_relay = s->options.exemption == GATE_TRUSTED;
    struct fault f = reverse_rcpt(s, &is_bounce);
    if (f.kind)
        return f;
    may_relay |= is_bounce;
    struct str domain = a->domain.n > 0 ? a->domain : c->hostname;
    f = directory_cache_expand(s->cache, a->local, domain, scratch, &is_ours, &found);
    f = recipient_judge(c, a, may_relay, is_ours || a->kind == ADDRESS_POSTMASTER, &f);
    if (f.kind)
        add(s, "rcpt", "recipient", f.kind == FAULT_NEVER ? "refuse" : "defer", a->domain,
            fault_text(&f), &f);
    return f.kind ? f : gate_rcpt(s->gate, &s->from, address_text(scratch, a));
}

static const char *why_unchecked(const struct smtp_trial *s)
{
    return s->listener->authentication == CONF_AUTHENTICATION_OFF
               ? "the listener has authentication = off"
           : s->options.exemption == GATE_TRUSTED ? "the listener trusts the client"
           : s->options.exemption == GATE_LOCAL   ? "the client is this machine"
           : !s->options.is_mx                    ? "the listener is for those who log in"
                                                  : NULL;
}

static int64_t count_days(void *arg, struct str author)
{
    struct smtp_trial *s = arg;
    int64_t days = 0;
    struct fault f = greylist_book_days(s->book, s->options.rules, &s->options.ip, author,
                                        s->now_s * 1000, &days);
    if (f.kind)
        add(s, "data", "local-history", "error", STR_NONE, fault_text(&f), NULL);
    return days;
}

/* The message itself, by serve/inspection. */
static struct fault decide_data(struct smtp_trial *s)
{
    static const char *const names[] = {[INSPECTION_TAKE] = "pass",
                                        [INSPECTION_MARK_JUNK] = "mark",
                                        [INSPECTION_REFUSE] = "refuse"};
    const struct conf_listener *l = s->listener;
    struct inspection *i = s->specimen.inspection;
    struct inspection_visit visit = {.ip = s->options.ip,
                                     .helo = s->from.helo,
                                     .sender = s->from.address,
                                     .client_name = s->client_name,
                                     .hostname = s->trial.conf->hostname,
                                     .now_s = s->now_s,
                                     .deadline_ms = loop_now_ms(loop_current()) +
                                                    INSPECTION_TIME_MS - s->gate->asked_ms,
                                     .resolver = s->trial.resolver,
                                     .questions_asked = s->gate->questions,
                                     .mark = gate_mark(s->gate),
                                     .forwarders = l->trusted_forwarders.item,
                                     .forwarder_count = l->trusted_forwarders.count,
                                     .count_days = count_days,
                                     .arg = s,
                                     .history_days = l->history_days,
                                     .may_refuse = l->authentication == CONF_AUTHENTICATION_REFUSE,
                                     .may_mark = l->authentication >= CONF_AUTHENTICATION_MARK};
    if (s->specimen.fault.kind || !i)
        return s->specimen.fault;
    if (s->unchecked) {
        add(s, "data", "authentication", "pass", STR_NONE, str_from(s->unchecked), NULL);
        return FINE;
    }
    inspection_decide(i, &visit);
    s->questions = i->questions;
    bool is_refused = i->action == INSPECTION_REFUSE;
    s->is_marked = i->action == INSPECTION_MARK_JUNK;
    add(s, "data", "authentication", names[i->action], i->dmarc.author,
        is_refused         ? fault_text(&i->fault)
        : i->history.n > 0 ? i->history
        : s->is_marked     ? i->mark
                           : i->dmarc.reason,
        is_refused ? &i->fault : NULL);
    return is_refused ? i->fault : FINE;
}

static void run(void *arg)
{
    struct smtp_trial *s = arg;
    struct str helo = str_from(s->words->helo);
    s->options.resolver = s->trial.resolver;
    s->gate = gate_make(&s->options);
    if (!end_stage(s, "connect", "welcome", gate_connect(s->gate)) ||
        !end_stage(s, "helo", "hello", gate_helo(s->gate, helo, is_valid_helo(helo))) ||
        !end_stage(s, "mail", "sender ok", gate_mail(s->gate, &s->from)) ||
        !end_stage(s, "rcpt", "recipient ok", decide_rcpt(s)))
        return;
    s->client_name = arena_copy(&s->trial.arena, gate_client_name(s->gate));
    s->is_marked = gate_mark(s->gate).n > 0;
    if (s->words->data)
        end_stage(s, "data", "accepted", decide_data(s));
}

static json_t *report_json(const struct smtp_trial *s)
{
    const struct fault *f = &s->verdict;
    const struct policy *p = &s->gate->policy;
    size_t at = str_last_index(s->from.address, '@');
    json_t *o = json_pack("{s:s, s:s}", "result",
                          f->kind == FAULT_NEVER   ? "refuse"
                          : f->kind == FAULT_LATER ? "defer"
                          : s->is_marked           ? "mark"
                                                   : "accept",
                          "stage", s->stage);
    trial_put_text(o, "domain", str_skip(s->from.address, at + 1));
    const json_t *last = NULL, *one;
    size_t index;
    json_array_foreach(s->decisions, index, one) if (strcmp(say_text(one, "rule"), "reply") != 0 &&
                                                     json_object_get(one, "reply")) last = one;
    if (f->kind)
        trial_put_fault(o, f);
    trial_put_text(o, "rule",
                   f->kind && last ? str_from(say_text(last, "rule")) : gate_mark(s->gate));
    if (!f->kind)
        trial_put_text(o, "reason", STR_NONE);
    trial_put_text(o, "listener", s->listener->name);
    trial_put_text(o, "client_name", s->client_name);
    json_object_set_new(o, "score",
                        json_integer(p->client_score + p->helo_score + p->sender_score));
    json_object_set_new(o, "questions",
                        json_integer(s->questions > 0 ? s->questions : s->gate->questions));
    json_object_set(o, "decisions", s->decisions);
    if (strcmp(s->stage, "data") == 0)
        verdict_put_all(o, s->unchecked ? NULL : s->specimen.inspection, true);
    return o;
}

static void print_table(const json_t *o)
{
    size_t index;
    json_t *one;
    json_array_foreach(json_object_get(o, "decisions"), index, one)
    {
        bool is_reply = json_object_get(one, "reply");
        trial_print_row(say_text(one, "stage"), say_text(one, "result"), say_text(one, "rule"),
                        say_text(one, "domain"), say_text(one, "reason"));
        if (!is_reply || strcmp(say_text(one, "rule"), "reply") != 0)
            continue;
        printf("        %lld %s ", (long long)say_number(one, "reply"), say_text(one, "status"));
        say_safely(say_text(one, "text"));
        putchar('\n');
    }
    if (json_object_get(o, "dmarc"))
        verdict_print_all(o);
    printf("result  %s at %s\n", say_text(o, "result"), say_text(o, "stage"));
}

static int report(const struct smtp_trial *s)
{
    json_t *o = report_json(s);
    if (s->trial.i->is_json)
        return cli_print_json(o);
    print_table(o);
    json_decref(o);
    return CLI_DONE;
}

static int find_listener(struct smtp_trial *s)
{
    const struct conf *c = s->trial.conf;
    const char *name = s->words->listener;
    for (size_t k = 0; k < c->listener_count && !s->listener; k++) {
        const struct conf_listener *l = &c->listener[k];
        bool has_policy = l->role == CONF_ROLE_MX || l->role == CONF_ROLE_SUBMISSION ||
                          l->role == CONF_ROLE_SUBMISSIONS;
        if (name ? has_policy && str_equal(l->name, str_from(name)) : l->role == CONF_ROLE_MX)
            s->listener = l;
    }
    if (s->listener)
        return CLI_DONE;
    return name ? cli_fail(s->trial.i, "there is no listener \"%s\" that takes mail of strangers",
                           name)
                : cli_fail(s->trial.i, "the configuration has no listener with role = mx");
}

static bool is_any(const struct ip_address *ip)
{
    static const struct ip_address any[] = {{{0}}, {{[10] = 0xFF, [11] = 0xFF}}};
    return ip_equal(ip, &any[0]) || ip_equal(ip, &any[1]);
}

static void apply_configuration(struct smtp_trial *s)
{
    const struct conf_listener *l = s->listener;
    struct gate_options *o = &s->options;
    o->rules = l->policy;
    o->hostname = s->trial.conf->hostname;
    o->has_own_ip = l->address.count > 0 && !is_any(&l->address.item[0]);
    if (o->has_own_ip)
        o->own_ip = l->address.item[0];
    o->exemption = ip_is_loopback(&o->ip)                     ? GATE_LOCAL
                   : conf_networks_contain(&l->trust, &o->ip) ? GATE_TRUSTED
                                                              : GATE_STRANGER;
    o->is_mx = l->role == CONF_ROLE_MX;
    o->is_name_wanted = l->is_client_named;
    o->now_ms = s->words->time ? s->now_s * 1000 : 0;
    o->tell = take_finding;
    o->tell_fault = take_failure;
    o->arg = s;
    s->unchecked = why_unchecked(s);
}

static int take_words(struct smtp_trial *s)
{
    struct trial *t = &s->trial;
    const struct words *w = s->words;
    if (!w->ip || !w->helo || !w->mail || !w->rcpt)
        return cli_usage(t->i, "%s is missing; --from-ip, --helo, --mail and --rcpt go together",
                         !w->ip     ? "--from-ip"
                         : !w->helo ? "--helo"
                         : !w->mail ? "--mail"
                                    : "--rcpt");
    int result = trial_ip(t, "--from-ip", w->ip, &s->options.ip);
    if (result == CLI_DONE)
        result = trial_check_helo(t, w->helo);
    if (result == CLI_DONE)
        result = trial_sender(t, "--mail", w->mail, &s->from.address);
    if (result == CLI_DONE)
        result = trial_time(t, w->time, &s->now_s);
    s->from.helo = str_from(w->helo);
    if (result == CLI_DONE &&
        !address_parse(&t->arena, str_from(w->rcpt), ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_POSTMASTER,
                       &s->rcpt))
        return cli_usage(t->i, "--rcpt is \"%s\"; allowed: an address", w->rcpt);
    return result;
}

/* What the server would remember of the client; nothing is written. */
static int open_memory(struct smtp_trial *s)
{
    struct trial *t = &s->trial;
    s->directory = cli_directory(t->i, DIRECTORY_READ);
    if (!s->directory)
        return CLI_FAILED;
    s->cache = directory_cache_make(s->directory);
    s->srs = srs_ring_make(conf_state_path(t->conf, &t->arena, "spool/" SRS_RING_NAME));
    if (cli_result(t->i, srs_ring_load(s->srs, false)) != CLI_DONE)
        return CLI_FAILED;
    const char *path = conf_state_path(t->conf, &t->arena, "spool/" GREYLIST_BOOK_NAME);
    struct fault f = greylist_book_open(path, true, &s->book);
    s->options.book = s->options.rules->greylisting.act == POLICY_OFF ? NULL : s->book;
    return cli_result(t->i, f);
}

static int try_smtp(struct smtp_trial *s)
{
    int result = take_words(s);
    if (result == CLI_DONE)
        result = trial_load(&s->trial, true);
    if (result == CLI_DONE)
        result = find_listener(s);
    if (result != CLI_DONE)
        return result;
    apply_configuration(s);
    result = open_memory(s);
    if (result == CLI_DONE && s->words->data) {
        specimen_begin(&s->specimen, &s->listener->limits, s->now_s);
        result = specimen_open(&s->specimen, s->trial.i, s->words->data);
    }
    if (result == CLI_DONE)
        result = trial_run(&s->trial, run, s);
    return result == CLI_DONE ? report(s) : result;
}

int cli_try_smtp(struct invocation *i)
{
    struct words w = {0};
    struct smtp_trial s = {.trial = trial_make(i), .words = &w, .decisions = json_array()};
    const struct cli_option options[] = {
        {"--from-ip", NULL, &w.ip, NULL}, {"--helo", NULL, &w.helo, NULL},
        {"--mail", NULL, &w.mail, NULL},  {"--rcpt", NULL, &w.rcpt, NULL},
        {"--data", NULL, &w.data, NULL},  {"--listener", NULL, &w.listener, NULL},
        {"--time", NULL, &w.time, NULL},  TRIAL_OPTIONS(&s.trial)};
    int result = cli_parse(i, options, sizeof options / sizeof options[0], 0, 0, NULL);
    if (result == CLI_DONE)
        result = try_smtp(&s);
    specimen_free(&s.specimen);
    gate_free(s.gate);
    json_decref(s.decisions);
    greylist_book_close(s.book);
    srs_ring_free(s.srs);
    directory_cache_free(s.cache);
    directory_close(s.directory);
    trial_free(&s.trial);
    return result;
}
