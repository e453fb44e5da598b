/* SPDX-License-Identifier: ISC */
/*
 * session_gate.c - the policy of the listener, at each step of a session
 *
 * What a rule finds is an event. Who is refused again and again is answered ever later; a session that is held up costs
 * what an idle one does, few are held up at a time, and none where others need its place.
 */
#include "net/loop.h"
#include "serve/session.h"

enum { SLICE_MS = 500 /* after which a session that is held up looks around */ };

static __attribute__((noinline)) void tell_finding(void *arg, const struct policy_finding *f)
{
    const struct session *s = arg;
    struct event e;
    if (f->result == POLICY_PASSES)
        return;
    visitor_begin_event(&s->visitor, &e, "policy.decision");
    event_text(&e, "stage", str_from(policy_stage_name(f->stage)));
    event_text(&e, "rule", str_from(f->rule));
    event_text(&e, "result", str_from(policy_result_name(f->result)));
    if (f->domain.n > 0)
        event_text(&e, "domain", f->domain);
    if (f->reason.n > 0)
        event_text(&e, "reason", f->reason);
    if (f->result == POLICY_WEIGHS)
        event_number(&e, "weight", f->weight);
    if (f->fault)
        event_fault(&e, f->fault);
    event_end(&e);
}

static void tell_fault(void *arg, const struct fault *f)
{
    const struct session *s = arg;
    visitor_tell(&s->visitor, "policy.failed", f);
}

/* The machine's own processes are exempt from all but what is about logins. */
static bool is_guarded(const struct visitor *v)
{
    int role = v->listener->role;
    return v->is_ip && ((role == CONF_ROLE_MX && !v->is_local) || role == CONF_ROLE_SUBMISSION ||
                        role == CONF_ROLE_SUBMISSIONS);
}

static bool is_stranger(const struct session *s)
{
    return s->gate && !s->gate->policy.is_exempt && s->account.n == 0;
}

static void set_hold(struct session *s)
{
    const struct visitor *v = &s->visitor;
    const struct policy_rules *r = v->listener->policy;
    if (r->tarpit_after > 0)
        s->hold_ms =
            policy_tarpit_ms(r, clients_refusals(v->server->clients, &v->ip, r->tarpit_forget_ms));
}

__attribute__((noinline)) struct fault session_open_gate(struct session *s)
{
    const struct visitor *v = &s->visitor;
    struct endpoint local = conn_local(v->conn);
    if (!is_guarded(v))
        return FINE;
    struct gate_options o = {.rules = v->listener->policy,
                             .hostname = v->live->conf->hostname,
                             .ip = v->ip,
                             .exemption = v->is_local     ? GATE_LOCAL
                                          : v->is_trusted ? GATE_TRUSTED
                                                          : GATE_STRANGER,
                             .is_mx = v->listener->role == CONF_ROLE_MX,
                             .is_name_wanted = v->listener->is_client_named,
                             .is_known = v->is_known,
                             .clients = v->server->clients,
                             .book = v->server->greylist,
                             .resolver = v->server->resolver,
                             .tell = tell_finding,
                             .tell_fault = tell_fault,
                             .arg = s};
    o.has_own_ip = endpoint_ip(&local, &o.own_ip);
    s->gate = gate_make(&o);
    struct fault f = gate_connect(s->gate);
    session_note_refusal(s, &f);
    if (is_stranger(s))
        set_hold(s);
    return f;
}

void session_note_refusal(struct session *s, const struct fault *f)
{
    const struct visitor *v = &s->visitor;
    const struct policy_rules *r = v->listener->policy;
    if (f->kind != FAULT_NEVER || !is_stranger(s) || r->tarpit_after == 0)
        return;
    clients_refused(v->server->clients, &v->ip, r->tarpit_forget_ms);
    set_hold(s);
}

struct fault session_greet_gate(struct session *s, const struct smtp_event *e)
{
    return s->gate ? gate_helo(s->gate, e->hello.name, e->hello.is_valid) : FINE;
}

static struct gate_sender sender_of(const struct session *s, struct str sender)
{
    return (struct gate_sender){sender, s->account, smtp_server_helo(&s->engine)};
}

struct fault session_pass_mail(struct session *s, struct str sender)
{
    struct gate_sender from = sender_of(s, sender);
    if (!s->gate)
        return FINE;
    s->gate->o.book = s->visitor.server->greylist; /* there once we are in charge */
    return gate_mail(s->gate, &from);
}

struct fault session_pass_rcpt(struct session *s, struct str rcpt)
{
    struct gate_sender from = sender_of(s, s->transaction.envelope.sender);
    return s->gate ? gate_rcpt(s->gate, &from, rcpt) : FINE;
}

void session_count_bytes(struct session *s, int64_t bytes)
{
    struct gate_sender from = sender_of(s, s->transaction.envelope.sender);
    if (s->gate)
        gate_count_bytes(s->gate, &from, bytes);
}

/* Whether others may need the place that a session has. */
static bool is_place_needed(const struct visitor *v)
{
    return atomic_load(&v->service->session_count) * 2 > v->listener->limits.session_max ||
           atomic_load(&v->server->session_count) * 2 > v->server->session_max;
}

static struct fault turn_away(void)
{
    return fault_make(421, FAULT_STATUS(4, 7, 0),
                      "too much from your address has been refused, try again later");
}

struct fault session_hold_up(struct session *s)
{
    struct visitor *v = &s->visitor;
    struct server *server = v->server;
    int64_t until = visitor_deadline(s->hold_ms);
    struct fault f = FINE;
    if (s->hold_ms == 0 || !is_stranger(s) || smtp_server_output(&s->engine).n == 0)
        return FINE;
    bool has_room = atomic_fetch_add(&server->held_count, 1) < v->listener->policy->tarpit_sessions;
    while (has_room && !f.kind && !is_place_needed(v) && !atomic_load(&server->is_draining) &&
           loop_now_ms(loop_current()) < until) {
        int64_t left = until - loop_now_ms(loop_current());
        f = task_sleep(left < SLICE_MS ? left : SLICE_MS);
    }
    atomic_fetch_sub(&server->held_count, 1);
    return !f.kind && (!has_room || is_place_needed(v)) ? turn_away() : FINE;
}
