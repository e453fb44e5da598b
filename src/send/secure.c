/* SPDX-License-Identifier: ISC */
/*
 * secure.c - TLS with the next hop as the policies want it: DANE, MTA-STS, REQUIRETLS, the configuration
 */
#include "send/secure.h"

#include "base/encode.h"
#include "event/event.h"
#include "net/loop.h"

enum { STRINGS_MAX = 64, STRINGS_ROOM = 1 << 18 };

/* What is asked of a server, and by whom. */
struct demand {
    struct transfer *t;
    const struct route *route;
    const struct route_host *host; /* NULL: a socket's */
    enum tls_policy_type type;
    const char *policy; /* for people */
    bool must_encrypt;
    bool is_checked;   /* its certificate */
    bool must_be_good; /* and the message waits when it is not */
    bool is_required;  /* REQUIRETLS */
    bool is_told;      /* what came of it, by secure_may_connect */
    struct tls_peer peer;
    enum tls_result result;
    struct fault why; /* of a result that is no success */
};

const struct route_host *secure_host(const struct route *r, struct str name)
{
    for (size_t i = 0; i < r->host_count; i++)
        if (str_equal(r->host[i].name, name))
            return &r->host[i];
    return NULL;
}

static bool has_sts(const struct route *r)
{
    return r->sts.state == STS_FOUND && r->sts.policy.mode != MTA_STS_NONE;
}

static void demand_dane(struct demand *d, struct arena *a)
{
    const struct dane *dane = &d->host->dane;
    d->type = TLS_POLICY_TLSA;
    d->policy = "DANE";
    d->must_encrypt = true;
    if (dane->state != DANE_USABLE)
        return;
    const char *base = arena_c_string(a, dane->base);
    d->is_checked = d->must_be_good = true;
    d->peer = (struct tls_peer){
        .name = base,
        .reference = {base, arena_c_string(a, d->host->name), arena_c_string(a, d->route->domain)},
        .tlsa = dane->record,
        .tlsa_count = dane->count};
}

static void demand_sts(struct demand *d)
{
    d->type = TLS_POLICY_STS;
    d->policy = "the MTA-STS policy of the domain";
    d->is_checked = d->peer.is_common_name_ignored = true;
    d->is_told = !mta_sts_policy_has(&d->route->sts.policy, d->host->name);
    if (d->route->sts.policy.mode == MTA_STS_ENFORCE)
        d->must_encrypt = d->must_be_good = true;
}

/* What goes to mailboxes by LMTP is where it was meant to go. */
static bool needs_requiretls(const struct route *r)
{
    return r->wish == ROUTE_TLS_REQUIRED && !r->is_lmtp;
}

static struct demand make_demand(struct transfer *t, const struct route *r,
                                 const struct route_host *h, struct arena *a)
{
    struct demand d = {.t = t, .route = r, .host = h, .policy = "the configuration"};
    const char *name = t->host[0] ? t->host : NULL;
    d.peer = (struct tls_peer){.name = name, .reference = {name}};
    d.must_encrypt = r->tls == CONF_PEER_TLS_ENCRYPT || r->tls == CONF_PEER_TLS_VERIFY;
    d.is_checked = d.must_be_good = r->tls == CONF_PEER_TLS_VERIFY;
    if (h && (h->dane.state == DANE_USABLE || h->dane.state == DANE_UNUSABLE))
        demand_dane(&d, a);
    else if (h && has_sts(r))
        demand_sts(&d);
    d.is_required = needs_requiretls(r);
    if (d.is_required) {
        d.is_checked = d.must_encrypt = d.must_be_good = true;
        d.policy = "REQUIRETLS";
    }
    return d;
}

/* The policy as RFC 8460 section 4.4 wants to see it. */
static size_t policy_strings(const struct demand *d, struct arena *a, struct str *strings)
{
    size_t count = 0;
    if (d->type == TLS_POLICY_TLSA) {
        const struct dane *dane = &d->host->dane;
        for (size_t i = 0; i < dane->count; i++) {
            const struct dns_tlsa *t = &dane->record[i];
            struct buf hex = buf_make(2 * DNS_TLSA_DATA_MAX);
            encode_hex(&hex, t->data);
            strings[count++] = arena_printf(a, "%u %u %u " STR_FMT, t->usage, t->selector,
                                            t->matching, STR_ARG(buf_str(&hex)));
            buf_free(&hex);
        }
    }
    struct str rest = d->type == TLS_POLICY_STS ? d->route->sts.text : STR_NONE, line;
    while (rest.n > 0 && count < STRINGS_MAX) {
        str_cut(rest, '\n', &line, &rest);
        if (str_trim(line).n > 0)
            strings[count++] = str_trim(line);
    }
    return count;
}

static void tell_event(const struct demand *d, const struct tls_outcome *o)
{
    char ip[IP_TEXT_MAX];
    struct event e;
    event_begin(&e, d->t->carrier->sender->options.log, "tls.session");
    event_text(&e, "domain", o->policy_domain);
    event_text(&e, "mx", o->receiving_mx);
    event_text(&e, "policy", str_from(tls_policy_type_name(o->policy_type)));
    if (o->policy_type == TLS_POLICY_STS)
        event_text(&e, "mode", str_from(mta_sts_mode_name(d->route->sts.policy.mode)));
    event_text(&e, "result", str_from(tls_result_name(o->result)));
    event_flag(&e, "tls", d->t->conn && conn_is_tls(d->t->conn));
    if (o->result != TLS_SUCCESS)
        event_flag(&e, "enforced", o->is_enforced);
    if (o->has_addresses) {
        event_text(&e, "sending_ip", ip_format(&o->sending_ip, ip));
        event_text(&e, "receiving_ip", ip_format(&o->receiving_ip, ip));
        event_text(&e, "helo", o->receiving_helo);
    }
    if (o->reason.n > 0)
        event_text(&e, "reason", o->reason);
    event_end(&e);
}

/*
 * Tells what came of it, of mail exchangers alone. Mail with TLS-Required: No follows no policy, so it says nothing about
 * one; reports about TLS are of that kind, and are not to be reported (RFC 8460).
 */
static void tell(const struct demand *d)
{
    const struct route *r = d->route;
    const struct sender_options *options = &d->t->carrier->sender->options;
    if (r->domain.n == 0 || d->is_told)
        return;
    struct arena a = arena_make(STRINGS_ROOM * 4);
    struct str *strings = arena_alloc(&a, STRINGS_MAX * sizeof *strings);
    bool is_sts = d->type == TLS_POLICY_STS;
    struct tls_outcome o = {.domain = r->domain,
                            .policy_type = d->type,
                            .policy_domain = is_sts || d->type == TLS_POLICY_NONE || !d->host
                                                 ? r->domain
                                                 : d->host->dane.base,
                            .policy_string = strings,
                            .policy_string_count = policy_strings(d, &a, strings),
                            .mx_host = r->sts.policy.mx,
                            .mx_host_count = is_sts ? r->sts.policy.mx_count : 0,
                            .result = d->result,
                            .is_enforced = d->why.kind && (d->must_be_good || d->must_encrypt),
                            .receiving_mx = d->host ? d->host->name : STR_NONE,
                            .reason = fault_text(&d->why)};
    if (d->type == TLS_POLICY_TLSA && o.policy_domain.n == 0)
        o.policy_domain = r->domain;
    if (d->t->conn) {
        struct endpoint here = conn_local(d->t->conn);
        o.has_addresses = endpoint_ip(&here, &o.sending_ip) &&
                          endpoint_ip(conn_peer(d->t->conn), &o.receiving_ip);
        o.receiving_helo = str_from(d->t->client.server_name);
    }
    tell_event(d, &o);
    if (options->tell_tls && r->wish != ROUTE_TLS_OPTIONAL)
        options->tell_tls(options->tell_tls_arg, &o);
    arena_free(&a);
}

/* Notes that something failed and gives the fault. */
static struct fault fail(struct demand *d, enum tls_result result, struct fault why)
{
    d->result = result;
    d->why = why;
    tell(d);
    return why;
}

struct fault secure_may_connect(struct transfer *t, const struct route *r,
                                const struct route_host *h)
{
    if (!h)
        return FINE;
    struct demand d = {.t = t, .route = r, .host = h, .must_be_good = true};
    if (h->dane.state == DANE_FAILED) {
        d.type = TLS_POLICY_TLSA;
        return fail(&d, TLS_DNSSEC_INVALID,
                    fault_make(451, FAULT_STATUS(4, 7, 5),
                               "DANE: the TLSA records of " STR_FMT " cannot be had: %s",
                               STR_ARG(h->name), h->dane.fault.text));
    }
    if (h->dane.state != DANE_ABSENT || !has_sts(r) || mta_sts_policy_has(&r->sts.policy, h->name))
        return FINE;
    d.type = TLS_POLICY_STS;
    d.must_be_good = r->sts.policy.mode == MTA_STS_ENFORCE;
    struct fault f = fail(&d, TLS_VALIDATION_FAILURE,
                          fault_make(451, FAULT_STATUS(4, 7, 5),
                                     "the MTA-STS policy of " STR_FMT
                                     " does not name the mail exchanger " STR_FMT,
                                     STR_ARG(r->domain), STR_ARG(h->name)));
    return d.must_be_good ? f : FINE;
}

/* No TLS. A message with REQUIRETLS goes back, one that a policy keeps waits, others go as they are. */
static struct fault without_tls(struct demand *d, const char *what)
{
    if (d->is_required) {
        d->t->is_requirement_unmet = true;
        return fail(d, TLS_STARTTLS_NOT_SUPPORTED,
                    fault_make(550, FAULT_STATUS(5, 7, 10), "%s, which REQUIRETLS needs", what));
    }
    struct fault f = fail(d, TLS_STARTTLS_NOT_SUPPORTED,
                          d->must_encrypt ? fault_make(451, FAULT_STATUS(4, 7, 10),
                                                       "%s, which %s wants", what, d->policy)
                                          : fault_make(451, FAULT_STATUS(4, 7, 10), "%s", what));
    return d->must_encrypt ? f : FINE;
}

static enum tls_result result_of(enum tls_trust trust)
{
    switch (trust) {
    case TLS_TRUSTED:
        return TLS_SUCCESS;
    case TLS_EXPIRED:
        return TLS_CERTIFICATE_EXPIRED;
    case TLS_OTHER_NAME:
        return TLS_CERTIFICATE_HOST_MISMATCH;
    case TLS_NOT_TRUSTED:
        return TLS_CERTIFICATE_NOT_TRUSTED;
    case TLS_NO_MATCH:
        return TLS_VALIDATION_FAILURE;
    }
    return TLS_VALIDATION_FAILURE;
}

/* The hosts are the right ones only when DNSSEC, an enforced policy or the operator says so (RFC 8689 section 4.2.1). */
static bool is_host_known(const struct demand *d)
{
    const struct route *r = d->route;
    return r->hop || r->is_secure ||
           (d->type == TLS_POLICY_STS && r->sts.policy.mode == MTA_STS_ENFORCE);
}

/* The handshake is over: is it the server that was meant? */
static struct fault check_certificate(struct demand *d)
{
    const char *reason = NULL;
    bool is_open = d->peer.tlsa_count > 0 && d->peer.usable_count == 0;
    if (!d->is_checked || (is_open && !d->is_required))
        return FINE;
    enum tls_trust trust = conn_tls_trust(d->t->conn, &d->peer, &reason);
    if (trust == TLS_TRUSTED)
        return FINE;
    struct fault f = fault_make(451, FAULT_STATUS(4, 7, 5), "certificate not accepted by %s: %s",
                                d->policy, reason);
    if (d->is_required) {
        d->t->is_requirement_unmet = true;
        f = fault_make(550, FAULT_STATUS(5, 7, 30), "REQUIRETLS: certificate not accepted: %s",
                       reason);
    }
    fail(d, result_of(trust), f);
    return d->must_be_good ? f : FINE;
}

/* A session as it was meant to be; unless the domain has a policy that could not be had. */
static void tell_success(struct demand *d)
{
    static const enum tls_result troubles[] = {[STS_ABSENT] = TLS_SUCCESS,
                                               [STS_FOUND] = TLS_SUCCESS,
                                               [STS_UNFETCHED] = TLS_STS_POLICY_FETCH_ERROR,
                                               [STS_UNTRUSTED] = TLS_STS_WEBPKI_INVALID,
                                               [STS_INVALID] = TLS_STS_POLICY_INVALID};
    if (d->why.kind)
        return;
    d->result = d->type == TLS_POLICY_NONE ? troubles[d->route->sts.state] : TLS_SUCCESS;
    if (d->result != TLS_SUCCESS)
        d->why = fault_make(451, FAULT_STATUS(4, 4, 0), STR_FMT, STR_ARG(d->route->sts.trouble));
    tell(d);
}

static struct fault await_ready(struct transfer *t)
{
    struct smtp_client_event e;
    struct fault f = transfer_await(t, &e);
    if (f.kind)
        return f;
    return e.kind == SMTP_CLIENT_READY ? FINE : e.fault;
}

/* REQUIRETLS: the host is known securely, and takes the wish over. */
static struct fault check_requirement(struct demand *d)
{
    if (!d->is_required)
        return FINE;
    const char *what = NULL;
    if (!is_host_known(d))
        what = "its mail exchangers are known neither by DNSSEC nor by an enforced MTA-STS policy";
    else if (!(d->t->client.capabilities & SMTP_HAS_REQUIRETLS))
        what = "the server does not offer it";
    if (!what)
        return FINE;
    d->t->is_requirement_unmet = true;
    return fault_make(550, FAULT_STATUS(5, 7, 30), "REQUIRETLS: %s", what);
}

static struct fault shake_hands(struct demand *d, bool *is_broken)
{
    struct transfer *t = d->t;
    int64_t deadline_ms = loop_now_ms(loop_current()) + t->limits->greeting_timeout_ms;
    struct fault f =
        conn_unread(t->conn) > 0
            ? fault_make(451, FAULT_STATUS(4, 7, 5), "bytes behind the reply to STARTTLS")
            : conn_start_tls_client(t->conn, d->route->live->client_tls, &d->peer, deadline_ms);
    if (f.kind) {
        *is_broken = !d->must_encrypt;
        return fail(d, TLS_VALIDATION_FAILURE, f);
    }
    f = check_certificate(d);
    if (f.kind)
        return f;
    smtp_client_tls_started(&t->client);
    f = await_ready(t);
    return f.kind ? f : check_requirement(d);
}

static struct fault connect_with(struct demand *d, bool *is_broken)
{
    struct smtp_client_event e;
    struct transfer *t = d->t;
    if (!(t->client.capabilities & SMTP_HAS_STARTTLS))
        return without_tls(d, "the server does not offer STARTTLS");
    smtp_client_starttls(&t->client);
    struct fault f = transfer_await(t, &e);
    if (f.kind)
        return f;
    if (e.fault.kind) {
        struct buf what = buf_make(FAULT_TEXT_MAX + 64);
        buf_printf(&what, "STARTTLS refused: %.160s%c", e.fault.text, '\0');
        f = without_tls(d, what.data);
        buf_free(&what);
        return f;
    }
    f = shake_hands(d, is_broken);
    if (!f.kind)
        tell_success(d);
    return f;
}

struct fault secure_connection(struct transfer *t, const struct route *r,
                               const struct route_host *h, bool *is_broken)
{
    *is_broken = false;
    if (r->tls == CONF_PEER_TLS_NEVER && !needs_requiretls(r))
        return FINE;
    struct arena a = arena_make(1 << 14);
    struct demand d = make_demand(t, r, h, &a);
    struct fault f = connect_with(&d, is_broken);
    arena_free(&a);
    return f;
}
