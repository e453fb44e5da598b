/* SPDX-License-Identifier: ISC */
/*
 * route.c - where mail for a domain goes, by today's configuration and DNS (RFC 5321 section 5.1)
 */
#include "send/route.h"

#include <stdlib.h>

#include "mail/idna.h"
#include "net/loop.h"
#include "os/random.h"
#include "proto/dns.h"

enum {
    ARENA_LIMIT = 4 << 20,
    LOOKUP_MS = 30000,
    ADDRESSES_MS = 60000, /* for the lookups of all hosts together */
    TTL_MOST_S = 300,
    TTL_LEAST_S = 10,
    MX_MOST = 64,
    DANE_HOSTS_MOST = 16 /* the best ones; those behind are not used where DANE may have a say */
};

static int64_t deadline(const struct route_context *x, int64_t ms)
{
    int64_t at_ms = loop_now_ms(loop_current()) + ms;
    return x->deadline_ms > 0 && x->deadline_ms < at_ms ? x->deadline_ms : at_ms;
}

static int by_preference(const void *a, const void *b)
{
    const struct route_host *x = a, *y = b;
    if (x->preference != y->preference)
        return x->preference < y->preference ? -1 : 1;
    return str_compare(x->name, y->name);
}

static bool is_listed(const struct route *r, struct str name)
{
    for (size_t i = 0; i < r->host_count; i++)
        if (str_equal(r->host[i].name, name))
            return true;
    return false;
}

/* Takes the hosts of an MX answer, the best first, each once. */
static void read_hosts(struct route *r, const struct resolver_answer *answer)
{
    struct arena scratch = arena_make(ARENA_LIMIT);
    struct route_host *all = arena_alloc(&scratch, answer->count * sizeof *all);
    size_t count = 0;
    for (size_t i = 0; i < answer->count; i++) {
        struct dns_mx mx;
        if (dns_mx_read(answer->data[i], &scratch, &mx))
            all[count++] = (struct route_host){.name = mx.host, .preference = mx.preference};
    }
    qsort(all, count, sizeof *all, by_preference);
    r->host = arena_alloc(&r->arena, MX_MOST * sizeof *r->host);
    for (size_t i = 0; i < count && r->host_count < MX_MOST; i++)
        if (!is_listed(r, all[i].name))
            r->host[r->host_count++] = (struct route_host){
                .name = arena_copy(&r->arena, all[i].name), .preference = all[i].preference};
    arena_free(&scratch);
}

static bool sts_applies(const struct route *r)
{
    return r->sts.state == STS_FOUND && r->sts.policy.mode != MTA_STS_NONE;
}

/* A host that finds itself among the MX may only hand on to better ones (section 5.1). */
static void drop_from_ourselves_on(struct route *r, struct str hostname)
{
    for (size_t i = 0; i < r->host_count; i++) {
        if (!str_equal_nocase(r->host[i].name, hostname))
            continue;
        size_t keep = 0;
        while (keep < i && r->host[keep].preference < r->host[i].preference)
            keep++;
        r->host_count = keep;
        if (keep == 0)
            r->fault = fault_make(554, FAULT_STATUS(5, 4, 6),
                                  "mail for this domain loops back to " STR_FMT, STR_ARG(hostname));
        return;
    }
}

/*
 * What makes connections to the same hosts differ: one that was made by the policy of a domain is not for mail to another.
 * DANE-EE is about hosts alone, so all domains share them.
 */
static void append_policy(const struct route *r, struct buf *b)
{
    static const char *const wishes[ROUTE_WISHES] = {
        [ROUTE_TLS_REQUIRED] = " requiretls", [ROUTE_TLS_OPTIONAL] = " tls-optional"};
    bool is_dane = false, is_own = sts_applies(r);
    for (size_t i = 0; i < r->host_count; i++) {
        is_dane = is_dane || r->host[i].dane.state != DANE_ABSENT;
        is_own = is_own || dane_has_authority(&r->host[i].dane);
    }
    if (is_dane)
        buf_append(b, STR(" dane"));
    if (sts_applies(r))
        buf_printf(b, " mta-sts-%s", mta_sts_mode_name(r->sts.policy.mode));
    if (is_own)
        buf_printf(b, " for " STR_FMT, STR_ARG(r->domain));
    if (r->tls != CONF_PEER_TLS_MAY)
        buf_printf(b, " tls-%d", r->tls);
    buf_append(b, str_from(wishes[r->wish]));
}

static struct str site_of_hosts(struct route *r)
{
    struct buf b = buf_make(MX_MOST * 260 + 512);
    for (size_t i = 0; i < r->host_count; i++) {
        if (i > 0)
            buf_append_byte(&b, ' ');
        buf_append(&b, r->host[i].name);
    }
    append_policy(r, &b);
    struct str site = arena_copy(&r->arena, buf_str(&b));
    buf_free(&b);
    return site;
}

static void use_single_host(struct route *r, struct str name)
{
    r->host = arena_alloc(&r->arena, sizeof *r->host);
    r->host[0] = (struct route_host){.name = arena_copy(&r->arena, name)};
    r->host_count = 1;
}

/* One record alone, whose host is the root (RFC 7505 section 3). */
static bool is_null_mx(const struct resolver_answer *answer)
{
    return answer->count == 1 && dns_mx_is_null(answer->data[0]);
}

static void live_shorter(struct route *r, uint32_t ttl_s)
{
    uint32_t ttl = ttl_s > TTL_MOST_S ? TTL_MOST_S : ttl_s < TTL_LEAST_S ? TTL_LEAST_S : ttl_s;
    int64_t until_ms = loop_now_ms(loop_current()) + (int64_t)ttl * 1000;
    if (until_ms < r->expires_ms)
        r->expires_ms = until_ms;
}

static void find_dane(const struct route_context *x, struct route *r)
{
    for (size_t i = 0; i < r->host_count; i++) {
        struct dane *d = &r->host[i].dane;
        if (i < DANE_HOSTS_MOST) {
            dane_find(x->resolver, &r->arena, r->host[i].name, r->port, deadline(x, LOOKUP_MS), d);
            live_shorter(r, d->ttl_s);
        } else {
            d->state = DANE_FAILED;
            d->fault = fault_make(451, FAULT_STATUS(4, 4, 3), "more hosts than are looked up");
        }
    }
}

/* What the domain and its hosts ask for (RFC 7672, RFC 8461), unless the operator or the message knows better. */
static void find_policies(const struct route_context *x, struct route *r)
{
    const struct conf *conf = r->live->conf;
    const struct conf_tls_policy *set = conf_tls_policy(conf, r->domain);
    r->tls = set ? set->tls : conf->delivery.tls;
    if (set || r->tls == CONF_PEER_TLS_NEVER || r->wish == ROUTE_TLS_OPTIONAL)
        return;
    if (r->is_secure && conf->delivery.is_dane_used)
        find_dane(x, r);
    if (x->sts && conf->delivery.is_sts_used)
        sts_find(x->sts, r->domain, deadline(x, LOOKUP_MS), &r->arena, &r->sts);
    if (r->sts.is_unreadable)
        r->fault = fault_make(451, FAULT_STATUS(4, 7, 5),
                              "the MTA-STS policy that is kept of " STR_FMT " cannot be read now",
                              STR_ARG(r->domain));
}

static void find_mx(const struct route_context *x, struct str domain, struct route *r)
{
    struct resolver_answer answer;
    char text[IDNA_DOMAIN_MAX];
    struct str ascii = idna_to_ascii(domain, text);
    if (ascii.n == 0) {
        r->fault = fault_make(550, FAULT_STATUS(5, 1, 2), "the recipient's domain is not valid");
        return;
    }
    r->fault = resolver_lookup(x->resolver, &r->arena, arena_c_string(&r->arena, ascii),
                               RESOLVER_MX, deadline(x, LOOKUP_MS), &answer);
    if (r->fault.kind)
        return;
    r->domain = arena_copy(&r->arena, ascii);
    r->is_secure = answer.is_secure;
    uint32_t ttl = answer.ttl_s > TTL_MOST_S ? TTL_MOST_S : answer.ttl_s;
    r->expires_ms =
        loop_now_ms(loop_current()) + (int64_t)(ttl < TTL_LEAST_S ? TTL_LEAST_S : ttl) * 1000;
    if (answer.status == RESOLVER_NO_NAME) {
        r->fault = fault_make(550, FAULT_STATUS(5, 1, 2), "the domain " STR_FMT " does not exist",
                              STR_ARG(domain));
        return;
    }
    if (answer.status == RESOLVER_NO_DATA) {
        use_single_host(r, ascii);
    } else if (is_null_mx(&answer)) {
        r->fault = fault_make(556, FAULT_STATUS(5, 1, 10),
                              "the domain " STR_FMT " accepts no mail (null MX)", STR_ARG(domain));
        return;
    } else {
        read_hosts(r, &answer);
    }
    if (r->host_count == 0) {
        r->fault = fault_make(550, FAULT_STATUS(5, 4, 4),
                              "no MX record of " STR_FMT " names a host", STR_ARG(domain));
        return;
    }
    drop_from_ourselves_on(r, r->live->conf->hostname);
    if (!r->fault.kind)
        find_policies(x, r);
    r->site = site_of_hosts(r);
}

static void use_hop(struct route *r, const struct conf_next_hop *hop)
{
    r->hop = hop;
    r->is_lmtp = hop->protocol == CONF_PROTOCOL_LMTP;
    r->tls = hop->tls;
    if (hop->path.n > 0) {
        r->path = arena_c_string(&r->arena, hop->path);
        r->site = arena_copy(&r->arena, hop->path);
        return;
    }
    r->port = (uint16_t)hop->port;
    use_single_host(r, hop->host);
    r->site = arena_printf(&r->arena, STR_FMT ":%u%s", STR_ARG(hop->host), (unsigned)r->port,
                           r->wish == ROUTE_TLS_REQUIRED ? " requiretls" : "");
}

static bool use_literal(struct route *r, struct str domain)
{
    struct ip_address ip;
    if (domain.n < 2 || domain.p[0] != '[')
        return false;
    struct str inner = str_make(domain.p + 1, domain.n - 2);
    if (str_starts_nocase(inner, STR("IPv6:")))
        inner = str_skip(inner, 5);
    if (!ip_parse(inner, &ip))
        r->fault = fault_make(501, FAULT_STATUS(5, 1, 3), "not an address literal");
    use_single_host(r, inner);
    r->site = arena_printf(&r->arena, STR_FMT "%s", STR_ARG(domain),
                           r->wish == ROUTE_TLS_REQUIRED ? " requiretls" : "");
    return true;
}

static void find(const struct route_context *x, struct str domain, struct route *r)
{
    const struct conf *conf = r->live->conf;
    struct directory_recipients ignored;
    bool is_ours;
    struct fault f = directory_cache_expand(x->directory, STR("postmaster"), domain, &r->arena,
                                            &is_ours, &ignored);
    if (f.kind == FAULT_LATER) {
        r->fault = f;
        return;
    }
    if (is_ours) {
        use_hop(r, &conf->local);
        r->is_local = true;
        return;
    }
    const struct conf_next_hop *hop = conf_transport(conf, domain);
    if (!hop && conf->smarthost.host.n > 0)
        hop = &conf->smarthost;
    if (hop)
        use_hop(r, hop);
    else if (!use_literal(r, domain))
        find_mx(x, domain, r);
}

struct route *route_find(const struct route_context *x, struct str domain, enum route_wish wish)
{
    struct arena arena = arena_make(ARENA_LIMIT);
    struct route *r = arena_alloc(&arena, sizeof *r);
    r->arena = arena;
    atomic_init(&r->references, 1);
    r->holder = x->live;
    r->live = live_keep(x->live);
    r->port = (uint16_t)r->live->conf->delivery.port;
    r->tls = CONF_PEER_TLS_MAY;
    r->wish = wish;
    r->expires_ms = loop_now_ms(loop_current()) + TTL_LEAST_S * 1000;
    /* Postmaster without a domain is ours. */
    find(x, domain.n > 0 ? domain : r->live->conf->hostname, r);
    return r;
}

struct route *route_keep(struct route *r)
{
    atomic_fetch_add(&r->references, 1);
    return r;
}

void route_drop(struct route *r)
{
    if (!r || atomic_fetch_sub(&r->references, 1) != 1)
        return;
    live_drop(r->holder, r->live);
    struct arena arena = r->arena;
    arena_free(&arena);
}

/* Looks one host up and adds its addresses; the first fault that may pass is kept in *later. */
static void add_addresses(const struct route_context *x, const struct route *r, struct str host,
                          int64_t until_ms, struct route_addresses *out, struct fault *later)
{
    struct ip_address ip;
    if (ip_parse(host, &ip)) {
        out->address[out->count] = endpoint_from_ip(&ip, r->port);
        out->name[out->count++] = host;
        return;
    }
    static const uint16_t family[] = {RESOLVER_AAAA, RESOLVER_A};
    for (size_t i = 0; i < 2; i++) {
        struct resolver_answer answer;
        struct arena a = arena_make(ARENA_LIMIT);
        struct fault f = resolver_lookup(x->resolver, &a, arena_c_string(&a, host), family[i],
                                         until_ms, &answer);
        if (f.kind)
            *later = f;
        size_t first = answer.count ? random_below(answer.count) : 0;
        for (size_t k = 0; k < answer.count && out->count < ROUTE_ADDRESSES_MAX; k++) {
            if (!dns_address_read(answer.data[(first + k) % answer.count],
                                  family[i] == RESOLVER_AAAA, &ip))
                continue;
            out->address[out->count] = endpoint_from_ip(&ip, r->port);
            out->name[out->count++] = host;
        }
        arena_free(&a);
    }
}

static struct fault no_address(struct str where)
{
    return fault_make(550, FAULT_STATUS(5, 4, 4), "no address was found for " STR_FMT,
                      STR_ARG(where));
}

struct fault route_host_addresses(const struct route_context *x, const struct route *r, size_t host,
                                  struct route_addresses *out)
{
    struct fault later = FINE;
    struct str name = r->host[host].name;
    out->count = 0;
    add_addresses(x, r, name, deadline(x, ADDRESSES_MS), out, &later);
    if (out->count > 0)
        return FINE;
    return later.kind ? later : no_address(name);
}

/* The hosts with equal preferences in random order (section 5.1: to spread the load). */
static void shuffle(struct route_host *host, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = random_below(i);
        struct route_host swap = host[i - 1];
        host[i - 1] = host[j];
        host[j] = swap;
    }
}

struct fault route_addresses(const struct route_context *x, const struct route *r,
                             struct route_addresses *out)
{
    out->count = 0;
    if (r->path) {
        if (!endpoint_from_path(r->path, &out->address[0]))
            return fault_make(451, FAULT_STATUS(4, 3, 5), "the socket's path is too long");
        out->name[out->count++] = STR("");
        return FINE;
    }
    struct arena a = arena_make(ARENA_LIMIT);
    struct route_host *host = arena_alloc(&a, r->host_count * sizeof *host);
    memcpy(host, r->host, r->host_count * sizeof *host);
    for (size_t i = 0, n; i < r->host_count; i += n) {
        for (n = 1; i + n < r->host_count && host[i + n].preference == host[i].preference;)
            n++;
        shuffle(host + i, n);
    }
    struct fault later = FINE;
    int64_t until_ms = deadline(x, ADDRESSES_MS);
    for (size_t i = 0; i < r->host_count && out->count < ROUTE_ADDRESSES_MAX; i++)
        add_addresses(x, r, host[i].name, until_ms, out, &later);
    arena_free(&a);
    if (out->count > 0)
        return FINE;
    return later.kind ? later : no_address(r->site);
}
