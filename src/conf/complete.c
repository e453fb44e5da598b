/* SPDX-License-Identifier: ISC */
/*
 * complete.c - what follows from the values together: derived values and contradictions
 */
#include "conf/complete.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/hostname.h"
#include "conf/field.h"
#include "conf/value.h"
#include "mail/address.h"

static bool fail(struct complete_error *error, const char *section, struct str title,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

static bool fail(struct complete_error *error, const char *section, struct str title,
                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    error->section = section;
    error->title = title;
    return false;
}

/* A relative path is relative to the directory. */
static void resolve(struct arena *a, struct str directory, struct str *path)
{
    if (path->n > 0 && path->p[0] != '/')
        *path = arena_printf(a, STR_FMT "/" STR_FMT, STR_ARG(directory), STR_ARG(*path));
}

/* The state directory: as written, or seen from where the file is. */
static bool complete_state_directory(struct conf *c, struct complete_error *error)
{
    size_t slash = str_last_index(c->path, '/');
    struct str folder = slash == c->path.n ? STR(".") : str_head(c->path, slash ? slash : 1);
    if (str_equal(c->state_directory, STR(".")))
        c->state_directory = folder;
    else
        resolve(&c->arena, folder, &c->state_directory);
    return c->state_directory.n <= VALUE_DIRECTORY_MAX ||
           fail(error, NULL, STR("state-directory"),
                "state-directory is a path of %zu octets; allowed: %d", c->state_directory.n,
                VALUE_DIRECTORY_MAX);
}

struct role_rule {
    int64_t port;
    int tls;
};

static const struct role_rule role_rules[] = {
    [CONF_ROLE_NONE] = {0, CONF_TLS_NONE},
    [CONF_ROLE_MX] = {25, CONF_TLS_STARTTLS},
    [CONF_ROLE_SUBMISSION] = {587, CONF_TLS_STARTTLS},
    [CONF_ROLE_SUBMISSIONS] = {465, CONF_TLS_IMPLICIT},
    [CONF_ROLE_LOCAL] = {0, CONF_TLS_NONE},
    [CONF_ROLE_LMTP] = {24, CONF_TLS_NONE},
    [CONF_ROLE_POP3] = {110, CONF_TLS_STARTTLS},
    [CONF_ROLE_POP3S] = {995, CONF_TLS_IMPLICIT},
};

static const struct ip_address any_address[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0}},
    {{0}},
};

static bool complete_place(struct conf *c, struct conf_listener *l, struct complete_error *error)
{
    resolve(&c->arena, c->state_directory, &l->path);
    if (l->path.n > 0) {
        if (l->address.count > 0 || l->port_base > 0)
            return fail(error, "listener", l->name,
                        "listener \"" STR_FMT "\" has a path; then it has no address and no port",
                        STR_ARG(l->name));
        return true;
    }
    if (l->address.count == 0)
        l->address = (struct conf_addresses){any_address, 2};
    if (l->port_base == 0)
        l->port_base = role_rules[l->role].port;
    if (l->port_base + c->port_offset > 65535)
        return fail(error, "listener", l->name,
                    "port %lld and port-offset %lld together pass 65535", (long long)l->port_base,
                    (long long)c->port_offset);
    l->port = (uint16_t)(l->port_base + c->port_offset);
    return true;
}

static bool complete_listener(struct conf *c, struct conf_listener *l, struct complete_error *error)
{
    if (l->role == CONF_ROLE_NONE)
        return fail(error, "listener", l->name,
                    "listener \"" STR_FMT "\" has no role; allowed: mx, submission, submissions, "
                    "local, lmtp, pop3, pop3s",
                    STR_ARG(l->name));
    int tls = role_rules[l->role].tls;
    if (l->tls == CONF_TLS_DEFAULT)
        l->tls = l->path.n > 0 ? CONF_TLS_NONE : tls;
    if (tls == CONF_TLS_IMPLICIT && l->tls != CONF_TLS_IMPLICIT)
        return fail(error, "listener", l->name, "role %s needs tls = implicit",
                    field_roles[l->role]);
    /* Whoever reaches it may send: only the processes of this machine can. */
    if (l->role == CONF_ROLE_LOCAL && l->path.n == 0)
        return fail(error, "listener", l->name, "role local needs a path");
    if (l->clear_auth && l->role != CONF_ROLE_POP3)
        return fail(error, "listener", l->name, "clear-auth is for role pop3 only");
    if (l->tls != CONF_TLS_NONE && c->certificate_count == 0)
        return fail(error, "listener", l->name,
                    "listener \"" STR_FMT "\" has TLS, but there is no certificate section",
                    STR_ARG(l->name));
    return complete_place(c, l, error);
}

static bool is_any(const struct ip_address *ip)
{
    for (size_t i = 0; i < 2; i++)
        if (ip_equal(ip, &any_address[i]))
            return true;
    return false;
}

/* One address, or one of them takes in the other: then only one can be bound. */
static bool overlap(const struct ip_address *a, const struct ip_address *b)
{
    if (ip_equal(a, b))
        return true;
    return ip_is_v4(a) == ip_is_v4(b) && (is_any(a) || is_any(b));
}

static bool fail_place(const struct conf_listener *l, const struct conf_listener *other,
                       struct str place, struct complete_error *error)
{
    return fail(error, "listener", l->name,
                "listener \"" STR_FMT "\" has " STR_FMT ", which listener \"" STR_FMT
                "\" of line %d has or takes in",
                STR_ARG(l->name), STR_ARG(place), STR_ARG(other->name), other->line);
}

static bool check_addresses(const struct conf_listener *l, const struct conf_listener *other,
                            struct complete_error *error)
{
    char text[IP_TEXT_MAX], place[IP_TEXT_MAX + 16];
    for (size_t i = 0; i < l->address.count; i++)
        for (size_t k = 0; k < other->address.count && (l != other || k < i); k++) {
            if (!overlap(&l->address.item[i], &other->address.item[k]))
                continue;
            int n = snprintf(place, sizeof place, STR_FMT " port %u",
                             STR_ARG(ip_format(&l->address.item[i], text)), (unsigned)l->port);
            return fail_place(l, other, str_make(place, (size_t)n), error);
        }
    return true;
}

/* Every listener has a place of its own. */
static bool check_places(const struct conf *c, struct complete_error *error)
{
    for (size_t i = 0; i < c->listener_count; i++)
        for (size_t k = 0; k <= i; k++) {
            const struct conf_listener *l = &c->listener[i], *other = &c->listener[k];
            if (i != k && l->path.n > 0 && str_equal(l->path, other->path))
                return fail_place(l, other, l->path, error);
            if (l->path.n == 0 && other->path.n == 0 && l->port == other->port &&
                !check_addresses(l, other, error))
                return false;
        }
    return true;
}

/* An address or a name; something like 192.0.2.256 is neither. */
static bool is_host(struct str host)
{
    struct ip_address ip;
    return ip_parse(host, &ip) || (hostname_is_valid(host) && !hostname_ends_in_number(host));
}

static bool complete_hop(struct conf *c, struct conf_next_hop *h, const char *section,
                         struct complete_error *error)
{
    resolve(&c->arena, c->state_directory, &h->path);
    resolve(&c->arena, c->state_directory, &h->password_file);
    if (h->path.n > 0 && h->host.n > 0)
        return fail(error, section, h->domain, "%s has a host and a path; one of them", section);
    if (h->host.n > 0 && !is_host(h->host))
        return fail(error, section, h->domain,
                    "host is \"" STR_FMT "\"; allowed: an IPv4 or IPv6 address, or a domain name",
                    STR_ARG(str_head(h->host, 60)));
    if (h->path.n > 0 && h->protocol != CONF_PROTOCOL_LMTP)
        return fail(error, section, h->domain, "a path needs protocol = lmtp");
    if ((h->username.n > 0) != (h->password_file.n > 0))
        return fail(error, section, h->domain, "username and password-file go together");
    if (h->username.n > 0 && h->tls < CONF_PEER_TLS_ENCRYPT)
        return fail(
            error, section, h->domain,
            "a password needs tls = encrypt or tls = verify, it is never sent in the clear");
    if (h->port == 0)
        h->port = h->protocol == CONF_PROTOCOL_LMTP ? 24 : h->username.n > 0 ? 587 : 25;
    return true;
}

/* A title that is a domain: checked and in lower case. */
static bool complete_domain(struct conf *c, const char *section, struct str *title,
                            struct complete_error *error)
{
    static const struct field domain = {.name = "title", .kind = FIELD_NAME};
    struct str written = *title;
    if (value_parse(&domain, written, &c->arena, title))
        return true;
    return fail(error, section, written, "\"" STR_FMT "\" is not a domain name in ASCII",
                STR_ARG(str_head(written, 60)));
}

/* The same domain in other letters; the same letters have been refused before. */
static bool fail_again(const char *section, struct str domain, struct complete_error *error)
{
    return fail(error, section, domain, "%s \"" STR_FMT "\" is there a second time", section,
                STR_ARG(domain));
}

static bool complete_hops(struct conf *c, struct complete_error *error)
{
    struct conf_next_hop *hop = &c->smarthost;
    if (!complete_hop(c, hop, "smarthost", error))
        return false;
    if (c->local.host.n == 0 && c->local.path.n == 0)
        c->local.path = STR("ctl/lmtp.sock");
    if (!complete_hop(c, &c->local, "local", error))
        return false;
    for (size_t i = 0; i < c->transport_count; i++) {
        hop = &c->transport[i];
        if (!complete_domain(c, "transport", &hop->domain, error))
            return false;
        for (size_t k = 0; k < i; k++)
            if (str_equal(c->transport[k].domain, hop->domain))
                return fail_again("transport", hop->domain, error);
        if (!complete_hop(c, hop, "transport", error))
            return false;
        if (hop->host.n == 0 && hop->path.n == 0)
            return fail(error, "transport", hop->domain,
                        "transport \"" STR_FMT "\" has neither host nor path",
                        STR_ARG(hop->domain));
    }
    return true;
}

static bool complete_tls_policies(struct conf *c, struct complete_error *error)
{
    resolve(&c->arena, c->state_directory, &c->delivery.ca_file);
    for (size_t i = 0; i < c->tls_policy_count; i++) {
        struct str *domain = &c->tls_policy[i].domain;
        if (!complete_domain(c, "tls-policy", domain, error))
            return false;
        for (size_t k = 0; k < i; k++)
            if (str_equal(c->tls_policy[k].domain, *domain))
                return fail_again("tls-policy", *domain, error);
    }
    return true;
}

static bool complete_certificates(struct conf *c, struct complete_error *error)
{
    for (size_t i = 0; i < c->certificate_count; i++) {
        struct conf_certificate *k = &c->certificate[i];
        if (k->chain.n == 0 || k->key.n == 0)
            return fail(error, "certificate", k->name,
                        "certificate \"" STR_FMT "\" needs chain and key", STR_ARG(k->name));
        resolve(&c->arena, c->state_directory, &k->chain);
        resolve(&c->arena, c->state_directory, &k->key);
    }
    return true;
}

static bool complete_stub_zones(struct conf *c, struct complete_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < c->stub_zone_count; i++) {
        struct conf_stub_zone *z = &c->stub_zone[i];
        if (!str_equal(z->zone, STR(".")) && !complete_domain(c, "stub-zone", &z->zone, error))
            return false;
        for (size_t k = 0; k < i; k++)
            if (str_equal(c->stub_zone[k].zone, z->zone))
                return fail_again("stub-zone", z->zone, error);
        if (z->server.count == 0)
            return fail(error, "stub-zone", z->zone, "stub-zone \"" STR_FMT "\" has no server",
                        STR_ARG(z->zone));
        count += z->server.count;
        if (count > CONF_STUB_SERVERS_MAX)
            return fail(error, "stub-zone", z->zone,
                        "the stub zones up to here have %zu servers; allowed: %d", count,
                        CONF_STUB_SERVERS_MAX);
    }
    return true;
}

static bool check_retries(const struct conf *c, struct complete_error *error)
{
    static const struct field duration = {.name = "retry", .kind = FIELD_DURATION};
    struct buf first = buf_make(64), most = buf_make(64);
    bool is_good = c->queue.retry_first_ms <= c->queue.retry_max_ms;
    if (!is_good && value_print(&duration, &c->queue.retry_first_ms, &first) &&
        value_print(&duration, &c->queue.retry_max_ms, &most))
        fail(error, "queue", STR_NONE,
             "retry-first is " STR_FMT "; allowed: at most retry-max, which is " STR_FMT,
             STR_ARG(buf_str(&first)), STR_ARG(buf_str(&most)));
    buf_free(&first);
    buf_free(&most);
    return is_good;
}

static bool fail_policy(const struct conf_policy *p, const char *what, struct complete_error *error)
{
    return fail(error, "policy", p->name, "policy \"" STR_FMT "\" %s", STR_ARG(p->name), what);
}

static bool complete_policy(struct conf *c, const struct conf_policy *p,
                            struct complete_error *error)
{
    const struct policy_rules *r = &p->rules;
    struct conf_listener *l = NULL;
    for (size_t i = 0; i < c->listener_count; i++)
        if (str_equal(c->listener[i].name, p->name))
            l = &c->listener[i];
    if (!l)
        return fail_policy(p, "is for a listener that is not there", error);
    if (l->role != CONF_ROLE_MX && l->role != CONF_ROLE_SUBMISSION &&
        l->role != CONF_ROLE_SUBMISSIONS)
        return fail_policy(p,
                           "is for a listener without strangers; allowed: mx, submission, "
                           "submissions",
                           error);
    if (r->dnsbl_sites.count > DNSBL_SITES_MAX || r->dnswl_sites.count > DNSBL_SITES_MAX ||
        r->rhsbl_sites.count > DNSBL_SITES_MAX)
        return fail_policy(p, "has more than 16 sites in one list", error);
    if (r->rates.count > POLICY_RATES_MAX)
        return fail_policy(p, "has more than 32 rates", error);
    if (r->greylist.delay_ms >= r->greylist.window_ms)
        return fail_policy(p, "has a greylist-delay that is not below greylist-window", error);
    l->policy = r;
    return true;
}

static bool complete_policies(struct conf *c, struct complete_error *error)
{
    for (size_t i = 0; i < c->listener_count; i++)
        c->listener[i].policy = &c->standard_policy.rules;
    for (size_t i = 0; i < c->policy_count; i++)
        if (!complete_policy(c, &c->policy[i], error))
            return false;
    return true;
}

static bool fail_milter(const struct conf_milter *m, const char *what, struct complete_error *error)
{
    return fail(error, "milter", m->name, "milter \"" STR_FMT "\" %s", STR_ARG(m->name), what);
}

/* "inet:ADDRESS:PORT" and "unix:PATH", as Postfix writes them. */
static bool complete_milter(struct conf *c, struct conf_milter *m, struct complete_error *error)
{
    static const char allowed[] =
        "needs a socket like \"inet:127.0.0.1:11332\", \"inet:[::1]:11332\" or "
        "\"unix:/run/filter.sock\"";
    struct str kind, place;
    if (!str_cut(m->socket, ':', &kind, &place) || place.n == 0)
        return fail_milter(m, allowed, error);
    if (str_equal(kind, STR("unix"))) {
        enum { PATH_MOST = 107 };
        m->path = place;
        resolve(&c->arena, c->state_directory, &m->path);
        return m->path.n <= PATH_MOST || fail_milter(m, "has a path of more than 107 bytes", error);
    }
    return (str_equal(kind, STR("inet")) && ip_endpoint_parse(place, 0, &m->address)) ||
           fail_milter(m, allowed, error);
}

static const struct conf_milter *find_milter(const struct conf *c, struct str name)
{
    for (size_t i = 0; i < c->milter_count; i++)
        if (str_equal(c->milter[i].name, name))
            return &c->milter[i];
    return NULL;
}

/* The filters that a listener names; each once. */
static bool complete_filters(struct conf *c, struct conf_listener *l, struct complete_error *error)
{
    const struct conf_names *names = &l->milter_names;
    bool may = l->role == CONF_ROLE_MX || l->role == CONF_ROLE_SUBMISSION ||
               l->role == CONF_ROLE_SUBMISSIONS || l->role == CONF_ROLE_LOCAL;
    if (names->count > 0 && !may)
        return fail(error, "listener", l->name,
                    "milters are for the roles mx, submission, submissions and local only");
    if (names->count > CONF_MILTERS_MAX)
        return fail(error, "listener", l->name, "listener \"" STR_FMT "\" has more than %d milters",
                    STR_ARG(l->name), CONF_MILTERS_MAX);
    const struct conf_milter **found = arena_alloc(&c->arena, (names->count + 1) * sizeof *found);
    for (size_t i = 0; i < names->count; i++) {
        found[i] = find_milter(c, names->item[i]);
        for (size_t k = 0; k < i; k++)
            if (found[i] == found[k])
                return fail(error, "listener", l->name, "milters has \"" STR_FMT "\" twice",
                            STR_ARG(names->item[i]));
        if (!found[i])
            return fail(error, "listener", l->name,
                        "milters has \"" STR_FMT "\"; there is no section milter of that name",
                        STR_ARG(str_head(names->item[i], 60)));
    }
    l->milter = found;
    return true;
}

static bool complete_milters(struct conf *c, struct complete_error *error)
{
    for (size_t i = 0; i < c->milter_count; i++)
        if (!complete_milter(c, &c->milter[i], error))
            return false;
    for (size_t i = 0; i < c->listener_count; i++)
        if (!complete_filters(c, &c->listener[i], error))
            return false;
    return true;
}

static bool is_address(struct conf *c, struct str text)
{
    struct address address;
    return address_parse(&c->arena, text, 0, &address) && address.kind == ADDRESS_DOMAIN;
}

static bool check_reports(struct conf *c, struct complete_error *error)
{
    const struct conf_reports *r = &c->reports;
    if (r->from.n > 0 && !is_address(c, r->from))
        return fail(error, "reports", STR_NONE,
                    "from is \"" STR_FMT "\"; allowed: an address like reports@example.org",
                    STR_ARG(str_head(r->from, 60)));
    for (size_t i = 0; i < r->address.count; i++)
        if (!is_address(c, r->address.item[i]))
            return fail(error, "reports", STR_NONE,
                        "address has \"" STR_FMT
                        "\"; allowed: addresses like dmarc-reports@example.org",
                        STR_ARG(str_head(r->address.item[i], 60)));
    return true;
}

static bool has_control_character(struct str title)
{
    for (size_t i = 0; i < title.n; i++)
        if ((unsigned char)title.p[i] < ' ' || title.p[i] == 127)
            return true;
    return false;
}

/* Names of sections are printed, told in events and handed to the roles. */
static bool check_titles(const struct conf *c, struct complete_error *error)
{
    for (size_t i = 0; i < field_section_count; i++) {
        const struct section *s = &field_sections[i];
        const char *items, *place = (const char *)c + s->offset;
        size_t count;
        if (!s->has_title)
            continue;
        memcpy(&items, place, sizeof items);
        memcpy(&count, place + sizeof items, sizeof count);
        for (size_t k = 0; k < count; k++) {
            struct str title;
            memcpy(&title, items + k * s->size, sizeof title);
            bool is_listener = str_equal(str_from(s->name), STR("listener"));
            int most = is_listener ? VALUE_LISTENER_MAX : VALUE_TITLE_MAX;
            if (has_control_character(title) || title.n > (size_t)most)
                return fail(error, s->name, title,
                            "%s \"" STR_FMT "\" has a title of %zu octets; allowed: %d, none of "
                            "them a control character",
                            s->name, STR_ARG(str_head(title, 60)), title.n, most);
        }
    }
    return true;
}

bool complete_conf(struct conf *c, struct complete_error *error)
{
    if (!check_titles(c, error) || !complete_state_directory(c, error))
        return false;
    resolve(&c->arena, c->state_directory, &c->resolver.trust_anchor_file);
    resolve(&c->arena, c->state_directory, &c->resolver.root_hints);
    if (c->hostname.n == 0)
        return fail(error, NULL, STR("hostname"),
                    "hostname is missing; it is this host's name, like mail.example.org");
    if (c->hostname.p[0] == '.')
        return fail(error, NULL, STR("hostname"),
                    "hostname is \"" STR_FMT "\"; allowed: a domain name without a dot before it",
                    STR_ARG(c->hostname));
    if (!check_retries(c, error) || !complete_stub_zones(c, error) ||
        !complete_certificates(c, error) || !complete_hops(c, error) ||
        !complete_tls_policies(c, error) || !check_reports(c, error))
        return false;
    for (size_t i = 0; i < c->listener_count; i++)
        if (!complete_listener(c, &c->listener[i], error))
            return false;
    return check_places(c, error) && complete_policies(c, error) && complete_milters(c, error);
}
