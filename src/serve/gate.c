/* SPDX-License-Identifier: ISC */
/*
 * gate.c - a listener's policy at work
 */
#include "serve/gate.h"

#include <stdlib.h>

#include "mail/idna.h"
#include "net/loop.h"
#include "net/offload.h"
#include "os/clock.h"
#include "serve/inspection.h"

enum {
    NAME_MS = 3000,                /* for the client's name */
    LISTS_MS = GATE_TIME_MS - 2000 /* for all lists */
};

struct gate *gate_make(const struct gate_options *o)
{
    struct gate *g = calloc(1, sizeof *g);
    if (!g)
        abort();
    g->o = *o;
    g->policy = (struct policy){.rules = o->rules,
                                .hostname = o->hostname,
                                .ip = o->ip,
                                .own_ip = o->own_ip,
                                .has_own_ip = o->has_own_ip,
                                .is_exempt = o->exemption != GATE_STRANGER,
                                .tell = o->tell,
                                .arg = o->arg};
    return g;
}

void gate_free(struct gate *g)
{
    if (!g)
        return;
    free(g->client_name);
    free(g);
}

/* One conversation with the DNS: what the message has left of questions and time. */
struct asking {
    struct arena arena;
    struct inquiry inquiry, list_inquiry;
    struct asker asker, lists, list_asker;
    int64_t began_ms, lists_end_ms, list_ms;
};

/* A list that says nothing takes its own time, not that of those behind it. */
static void ask_list(void *context, struct arena *arena, const char *name, enum ask_type type,
                     struct ask_answer *out)
{
    struct asking *a = context;
    int64_t until = loop_now_ms(loop_current()) + a->list_ms;
    a->list_inquiry.deadline_ms = until < a->lists_end_ms ? until : a->lists_end_ms;
    a->list_asker.answer(a->list_asker.context, arena, name, type, out);
}

static void begin_asking(const struct gate *g, struct asking *a, int64_t most_ms)
{
    a->began_ms = loop_now_ms(loop_current());
    int64_t left_ms = GATE_TIME_MS - g->asked_ms;
    if (most_ms < left_ms)
        left_ms = most_ms;
    a->arena = arena_make(INSPECTION_ARENA_LIMIT);
    a->inquiry = (struct inquiry){.resolver = g->o.resolver, .deadline_ms = a->began_ms + left_ms};
    a->list_inquiry = a->inquiry;
    a->list_ms = g->o.rules->dnsbl_timeout_ms;
    a->lists_end_ms = a->began_ms + (left_ms < LISTS_MS ? left_ms : LISTS_MS);
    unsigned questions = GATE_QUESTIONS_MAX - g->questions;
    a->asker = inquiry_asker(&a->inquiry, &a->arena, questions);
    a->list_asker = inquiry_asker(&a->list_inquiry, &a->arena, questions);
    a->lists = a->list_asker;
    a->lists.answer = ask_list;
    a->lists.context = a;
}

static void end_asking(struct gate *g, struct asking *a)
{
    g->questions = GATE_QUESTIONS_MAX - a->asker.left;
    g->asked_ms += loop_now_ms(loop_current()) - a->began_ms;
    if (g->asked_ms > GATE_TIME_MS)
        g->asked_ms = GATE_TIME_MS;
    arena_free(&a->arena);
}

static __attribute__((noinline)) void ask_name(struct gate *g)
{
    struct asking a;
    if (g->is_name_known)
        return;
    begin_asking(g, &a, NAME_MS);
    iprev_check(&g->o.ip, &a.asker, &g->name);
    g->is_name_known = true;
    g->is_name_failed = g->name.result == IPREV_TEMPERROR;
    if (g->name.name.n > 0) {
        g->client_name = strndup(g->name.name.p, g->name.name.n);
        if (!g->client_name)
            abort();
    }
    g->name.name = str_from(g->client_name);
    end_asking(g, &a);
}

struct str gate_client_name(struct gate *g)
{
    if (g->o.is_name_wanted && g->o.exemption != GATE_LOCAL)
        ask_name(g);
    return str_from(g->client_name);
}

/* Whom the rates are about: a login counts as that, wherever it comes from. */
static struct clients_who who(const struct gate *g, struct str sender, struct str account)
{
    bool is_place = account.n == 0 && g->o.exemption == GATE_STRANGER && !g->policy.is_exempt;
    return (struct clients_who){is_place ? &g->o.ip : NULL,
                                account.n > 0 || is_place ? sender : STR_NONE, account};
}

static struct fault limit(struct gate *g, enum policy_stage stage, enum policy_quantity quantity,
                          const struct clients_who *w, int64_t amount)
{
    int64_t wait_ms;
    if (!g->o.clients)
        return FINE;
    const struct policy_rate *r =
        clients_take(g->o.clients, g->o.rules, quantity, w, amount, &wait_ms);
    return r ? policy_limited(&g->policy, stage, r, wait_ms) : FINE;
}

struct fault gate_connect(struct gate *g)
{
    if (g->policy.is_exempt)
        return FINE;
    struct fault f = policy_connect(&g->policy);
    if (f.kind || g->policy.is_exempt)
        return f;
    struct clients_who w = who(g, STR_NONE, STR_NONE);
    return limit(g, POLICY_AT_CONNECT, POLICY_CONNECTIONS, &w, 1);
}

struct fault gate_helo(struct gate *g, struct str helo, bool is_valid)
{
    return g->o.is_mx ? policy_helo(&g->policy, helo, is_valid) : FINE;
}

/* Exempt is also who is logged in. */
static bool is_stranger(const struct gate *g, struct str account)
{
    return g->o.is_mx && account.n == 0 && !g->policy.is_exempt;
}

/* The domain behind the last "@", as A-labels or a literal. */
static struct str domain_of(struct str address, char ascii[IDNA_DOMAIN_MAX])
{
    struct str domain = str_skip(address, str_last_index(address, '@') + 1);
    return domain.n > 0 && domain.p[0] == '[' ? domain : idna_to_ascii(domain, ascii);
}

static __attribute__((noinline)) struct fault judge_mail(struct gate *g,
                                                         const struct gate_sender *from)
{
    char ascii[IDNA_DOMAIN_MAX];
    struct asking a;
    struct policy_mail m = {.helo = from->helo, .sender = from->address};
    if (m.sender.n > 0)
        m.domain = domain_of(m.sender, ascii);
    if (policy_wants_name(g->o.rules)) {
        ask_name(g);
        m.iprev = &g->name;
    }
    begin_asking(g, &a, GATE_TIME_MS);
    m.asker = &a.asker;
    m.lists = &a.lists;
    struct fault f = policy_mail(&g->policy, &m);
    if (a.inquiry.is_cancelled || a.list_inquiry.is_cancelled)
        f = fault_make(421, FAULT_STATUS(4, 3, 2), "we are shutting down");
    end_asking(g, &a);
    return f;
}

struct fault gate_mail(struct gate *g, const struct gate_sender *from)
{
    g->questions = 0;
    g->asked_ms = 0;
    g->is_spf_known = false;
    g->has_passed_greylist = false;
    struct clients_who w = who(g, from->address, from->account);
    struct fault f = limit(g, POLICY_AT_MAIL, POLICY_BYTES, &w, 0);
    if (!f.kind)
        f = limit(g, POLICY_AT_MAIL, POLICY_MESSAGES, &w, 1);
    if (!f.kind && is_stranger(g, from->account))
        f = judge_mail(g, from);
    return f;
}

static int64_t now_ms(const struct gate *g)
{
    return g->o.now_ms > 0 ? g->o.now_ms : clock_real_ms();
}

/* Greylisting is not for those whose domain vouches for them. */
static __attribute__((noinline)) bool passes_spf(struct gate *g, const struct gate_sender *from)
{
    if (g->is_spf_known)
        return g->spf == SPF_PASS;
    struct asking a;
    struct spf_verdict v;
    const struct spf_question q = {.identity = SPF_MAIL_FROM,
                                   .ip = g->o.ip,
                                   .helo = from->helo,
                                   .mail_from = from->address,
                                   .receiver = g->o.hostname,
                                   .now_s = now_ms(g) / 1000,
                                   .void_limit = SPF_VOID_LIMIT};
    begin_asking(g, &a, GATE_TIME_MS);
    spf_check(&q, &a.asker, &v);
    g->is_spf_known = true;
    g->spf = v.result;
    end_asking(g, &a);
    return g->spf == SPF_PASS;
}

struct looking {
    struct greylist_book *book;
    const struct policy_rules *rules;
    struct greylist_try try;
    struct greylist_verdict verdict;
    struct fault fault;
};

static void look(void *arg)
{
    struct looking *l = arg;
    l->fault = greylist_book_try(l->book, l->rules, &l->try, &l->verdict);
}

static void pass_greylist(struct gate *g, const char *reason)
{
    policy_tell(&g->policy, POLICY_AT_RCPT, "greylisting", POLICY_PASSES, STR_NONE,
                str_from(reason), NULL);
}

static struct fault greylist(struct gate *g, const struct gate_sender *from, struct str rcpt)
{
    struct looking l = {.book = g->o.book,
                        .rules = g->o.rules,
                        .try = {g->o.ip, from->address, rcpt, now_ms(g), g->has_passed_greylist}};
    if (g->o.is_known) {
        pass_greylist(g, "the client has delivered before");
        return FINE;
    }
    if (passes_spf(g, from)) {
        pass_greylist(g, "SPF passes");
        return FINE;
    }
    if (!g->o.book) {
        pass_greylist(g, "there is no memory");
        return FINE;
    }
    offload(look, &l);
    if (l.fault.kind)
        g->o.tell_fault(g->o.arg, &l.fault);
    g->has_passed_greylist = g->has_passed_greylist || l.verdict.may_pass;
    return policy_greylisted(&g->policy, &l.verdict);
}

struct fault gate_rcpt(struct gate *g, const struct gate_sender *from, struct str rcpt)
{
    const struct policy *p = &g->policy;
    struct clients_who w = who(g, from->address, from->account);
    struct fault f = limit(g, POLICY_AT_RCPT, POLICY_RECIPIENTS, &w, 1);
    bool is_looked_at = is_stranger(g, from->account) && !p->is_helo_exempt &&
                        !p->is_sender_exempt && g->o.rules->greylisting.act != POLICY_OFF;
    return f.kind || !is_looked_at ? f : greylist(g, from, rcpt);
}

void gate_count_bytes(struct gate *g, const struct gate_sender *from, int64_t bytes)
{
    struct clients_who w = who(g, from->address, from->account);
    if (g->o.clients)
        clients_charge(g->o.clients, g->o.rules, POLICY_BYTES, &w, bytes);
}

struct fault gate_may_login(struct gate *g, struct str account)
{
    struct clients_who w = {g->policy.is_exempt ? NULL : &g->o.ip, STR_NONE, account};
    struct fault f = limit(g, POLICY_AT_CONNECT, POLICY_AUTH_FAILURES, &w, 0);
    return f.kind ? fault_make(454, FAULT_STATUS(4, 7, 0), "%s", f.text) : FINE;
}

void gate_login_failed(struct gate *g, struct str account)
{
    struct clients_who w = {g->policy.is_exempt ? NULL : &g->o.ip, STR_NONE, account};
    if (g->o.clients)
        clients_charge(g->o.clients, g->o.rules, POLICY_AUTH_FAILURES, &w, 1);
}

struct str gate_mark(const struct gate *g)
{
    const struct policy *p = &g->policy;
    return str_from(p->mark ? p->mark : p->helo_mark ? p->helo_mark : p->client_mark);
}
