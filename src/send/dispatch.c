/* SPDX-License-Identifier: ISC */
/*
 * dispatch.c - which delivery goes over which connection, and when
 *
 * A delivery finds its destination (domain), the destination its route, the route its site. At a
 * site the senders take turns, so that a million messages of one do not hold up the first of
 * another. Everything here runs on the owner's loop.
 */
#include <assert.h>
#include <stdlib.h>

#include "net/loop.h"
#include "os/random.h"
#include "send/share.h"
#include "send/turn.h"

enum {
    DOWN_FIRST_MS = 30000,
    DOWN_MOST_MS = 600000,
    DOWN_LOCAL_MS = 1000,
    CROWD = 500,
    MOVING_MS = 100,
    DESTINATIONS_KEPT = 10000,
    IDLE_A_ROUND = 256,
    PURGE_MS = 10,
    KEEP_POLICIES_MS = 3600000,
    UNPROVEN_CARRIERS = 2 /* connections to a site that has not answered yet */
};

static void pump(struct site *site);

static char *copy_text(struct str s)
{
    char *text = malloc(s.n + 1);
    if (!text)
        abort();
    if (s.n)
        memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return text;
}

struct sender *sender_make(const struct sender_options *options)
{
    struct sender *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->options = *options;
    s->owner = loop_current();
    s->domains = map_make(random_u64(), random_u64());
    s->sites = map_make(random_u64(), random_u64());
    list_init(&s->promised);
    list_init(&s->idle);
    s->sts = sts_make(&(struct sts_options){options->sts_folder, false, options->live,
                                            options->resolver, options->log});
    return s;
}

void sender_set_queue(struct sender *s, struct queue *q)
{
    s->queue = q;
}

/* Jobs. */
struct job *job_make(struct sender *s, struct queue_delivery *d)
{
    struct job *j = calloc(1, sizeof *j + d->rcpt_count * sizeof(struct fault) + d->rcpt_count);
    if (!j)
        abort();
    j->sender = s;
    j->delivery = d;
    j->result = (struct fault *)(void *)(j + 1);
    j->is_settled = (bool *)(j->result + d->rcpt_count);
    j->dialogue = buf_make(4096);
    j->started_ms = loop_now_ms(s->owner);
    list_init(&j->link);
    s->job_count++;
    return j;
}

void job_fail(struct job *j, const struct fault *f)
{
    for (size_t i = 0; i < j->delivery->rcpt_count; i++) {
        if (j->is_settled[i])
            continue;
        j->result[i] = *f;
        j->is_settled[i] = true;
    }
}

void job_free(struct job *j)
{
    j->sender->job_count--;
    buf_free(&j->dialogue);
    free(j);
}

/* Sites and flows. */
static struct site *site_of(struct sender *s, struct str name)
{
    struct map_node *n = map_find(&s->sites, name);
    if (n)
        return MAP_ENTRY(n, struct site, node);
    struct site *site = calloc(1, sizeof *site);
    if (!site)
        abort();
    site->sender = s;
    site->name = copy_text(name);
    site->flows = map_make(random_u64(), random_u64());
    list_init(&site->turn);
    list_init(&site->promised);
    list_init(&site->carriers);
    site->done_since_ms = loop_now_ms(s->owner);
    map_insert(&s->sites, &site->node, str_from(site->name));
    return site;
}

static void free_site_if_unused(struct site *site)
{
    if (site->references > 0 || site->waiting > 0 || site->carrier_count > 0)
        return;
    map_remove(&site->sender->sites, &site->node);
    share_forget(site);
    size_t cursor = 0;
    for (struct map_node *n = map_walk(&site->flows, &cursor, NULL), *next; n; n = next) {
        next = map_walk(&site->flows, &cursor, n);
        free(MAP_ENTRY(n, struct flow, node));
    }
    map_free(&site->flows);
    route_drop(site->route);
    free(site->name);
    free(site);
}

/* Tells the queue whether more waits than is good while things are moving. A destination that does
 * not answer is no reason to hold anybody back. */
void dispatch_look_at_crowd(struct sender *s)
{
    bool is_moving = loop_now_ms(s->owner) - s->last_done_ms < MOVING_MS;
    queue_set_crowded(s->queue, is_moving && s->waiting > CROWD);
}

/* Destinations. */
static void forget_route(struct destination *d);

static void free_destination(struct destination *d)
{
    forget_route(d);
    map_remove(&d->sender->domains, &d->node);
    free(d->name);
    free(d);
}

static bool is_idle(const struct destination *d)
{
    bool is_stale = !d->route || d->route->expires_ms <= loop_now_ms(d->sender->owner);
    return is_stale && !d->is_looking_up && d->waiting_count == 0;
}

/* Forgets domains that nothing was sent to lately: mass mail goes to more than should be kept. */
static void forget_idle_destinations(struct sender *s)
{
    struct destination *idle[IDLE_A_ROUND];
    size_t count = 0, cursor = 0;
    s->next_purge_ms = loop_now_ms(s->owner) + PURGE_MS;
    for (struct map_node *n = map_walk(&s->domains, &cursor, NULL); n && count < IDLE_A_ROUND;
         n = map_walk(&s->domains, &cursor, n))
        if (is_idle(MAP_ENTRY(n, struct destination, node)))
            idle[count++] = MAP_ENTRY(n, struct destination, node);
    for (size_t i = 0; i < count; i++)
        free_destination(idle[i]);
}

/* What the key of a domain's destinations ends in: no domain has such an octet. */
static const char wish_marks[ROUTE_WISHES] = {'\0', '\1', '\2'};

static enum route_wish wish_of(const struct queue_message *m)
{
    return m->envelope.is_tls_required   ? ROUTE_TLS_REQUIRED
           : m->envelope.is_tls_optional ? ROUTE_TLS_OPTIONAL
                                         : ROUTE_USUAL;
}

static struct map_node *find_destination(const struct sender *s, struct str domain,
                                         enum route_wish wish)
{
    if (wish == ROUTE_USUAL)
        return map_find(&s->domains, domain);
    struct buf key = buf_make(domain.n + 1);
    buf_append(&key, domain);
    buf_append_byte(&key, wish_marks[wish]);
    struct map_node *n = map_find(&s->domains, buf_str(&key));
    buf_free(&key);
    return n;
}

static struct destination *destination_of(struct sender *s, struct str name, enum route_wish wish)
{
    struct map_node *n = find_destination(s, name, wish);
    if (n)
        return MAP_ENTRY(n, struct destination, node);
    if (s->domains.count > DESTINATIONS_KEPT && loop_now_ms(s->owner) >= s->next_purge_ms)
        forget_idle_destinations(s);
    struct destination *d = calloc(1, sizeof *d);
    if (!d)
        abort();
    d->sender = s;
    d->wish = wish;
    d->name = calloc(1, name.n + 2);
    if (!d->name)
        abort();
    memcpy(d->name, name.n ? name.p : "", name.n);
    d->name[name.n] = wish_marks[wish];
    d->domain_size = name.n;
    list_init(&d->waiting);
    map_insert(&s->domains, &d->node, str_make(d->name, name.n + (wish != ROUTE_USUAL)));
    return d;
}

static void forget_route(struct destination *d)
{
    struct site *site = d->site;
    route_drop(d->route);
    d->route = NULL;
    d->site = NULL;
    if (site) {
        site->references--;
        free_site_if_unused(site);
    }
}

static bool is_route_fresh(const struct destination *d)
{
    return d->route && d->route->expires_ms > loop_now_ms(d->sender->owner);
}

/* Gives a delivery to its site, or fails it when there is no way. */
static void go_on(struct destination *to, struct queue_delivery *d)
{
    if (to->site) {
        turn_add(to->site, d);
        return;
    }
    struct job *j = job_make(to->sender, d);
    job_fail(j, &to->route->fault);
    settle_job(j);
}

/* A domain has moved, or has another policy now: what waits here is not to go the old way. */
static void look_again(struct site *site)
{
    for (size_t left = site->waiting; left > 0 && site->waiting > 0; left--)
        sender_ready(site->sender, turn_take(site));
}

static void look_up(void *arg)
{
    struct destination *d = arg;
    struct sender *s = d->sender;
    struct route_context x = {.live = s->options.live,
                              .directory = s->options.directory,
                              .resolver = s->options.resolver,
                              .sts = s->sts};
    struct route *route = route_find(&x, str_make(d->name, d->domain_size), d->wish);
    struct site *before = d->site;
    if (before)
        before->references++;
    forget_route(d);
    d->route = route;
    if (!route->fault.kind) {
        d->site = site_of(s, route->site);
        d->site->references++;
        route_drop(d->site->route);
        d->site->route = route_keep(route);
    }
    d->is_looking_up = false;
    s->lookup_count--;
    while (!list_is_empty(&d->waiting) && !s->is_stopping) {
        d->waiting_count--;
        go_on(d, LIST_ENTRY(list_pop_front(&d->waiting), struct queue_delivery, link));
    }
    if (d->site)
        pump(d->site);
    if (!before)
        return;
    if (d->site && d->site != before)
        look_again(before);
    before->references--;
    free_site_if_unused(before);
}

void sender_ready(void *arg, struct queue_delivery *d)
{
    struct sender *s = arg;
    list_init(&d->link);
    if (s->is_stopping)
        return; /* stays with us; after the restart it is simply due again */
    if (delivery_is_expanded(d)) {
        settle_job(job_make(s, d));
        return;
    }
    struct destination *to = destination_of(s, d->domain, wish_of(d->message));
    if (is_route_fresh(to)) {
        go_on(to, d);
        if (to->site)
            pump(to->site);
        return;
    }
    list_push_back(&to->waiting, &d->link);
    to->waiting_count++;
    if (to->is_looking_up)
        return;
    to->is_looking_up = true;
    s->lookup_count++;
    if (!task_start(s->options.scope, "route", look_up, to))
        abort();
}

/* Connections. */
static struct carrier *choose_carrier(const struct site *site)
{
    struct carrier *best = NULL;
    LIST_EACH(link, &site->carriers)
    {
        struct carrier *c = LIST_ENTRY(link, struct carrier, link);
        if (!c->is_leaving && c->load < JOBS_A_CARRIER && (!best || c->load < best->load))
            best = c;
    }
    return best;
}

/* None of its connections has answered yet, and there are as many as there may be until one has. */
static bool is_silent(const struct site *site)
{
    return site->carrier_count <= site->starting_count && site->carrier_count >= UNPROVEN_CARRIERS;
}

/* The site's own limits allow another connection. */
static bool has_room(const struct site *site)
{
    struct live *live = live_keep(site->sender->options.live);
    size_t most = (size_t)live->conf->delivery.site_connection_max;
    live_drop(site->sender->options.live, live);
    return !is_silent(site) && site->carrier_count < most;
}

/* Connections have ended: whoever found none left comes first. */
static void feed_starved(struct sender *s)
{
    struct site *site;
    while (!share_is_full(s) && (site = share_next(s)))
        pump(site);
}

static void assign(struct carrier *c, struct queue_delivery *d)
{
    struct job *j = job_make(c->sender, d);
    j->carrier = c;
    c->load++;
    share_carrier_busy(c);
    carrier_give(c, j);
}

static bool is_down(const struct site *site)
{
    return site->down_until_ms > loop_now_ms(site->sender->owner);
}

/* Everything that waits for a site that is down fails for now, without a connection. */
static void fail_waiting(struct site *site)
{
    site->references++;
    while (site->waiting > 0) {
        struct job *j = job_make(site->sender, turn_take(site));
        job_fail(j, &site->down_fault);
        j->is_site_down = true;
        j->is_local = site->route->is_local;
        memcpy(j->remote, site->down_remote, sizeof j->remote);
        settle_job(j);
    }
    site->references--;
}

/* Hands out what the limits allow. */
static void pump(struct site *site)
{
    if (site->carrier_count == 0 && is_down(site))
        fail_waiting(site);
    while (site->waiting > 0 && !site->sender->is_stopping) {
        struct carrier *c = choose_carrier(site);
        bool is_wanted = (!c || c->load > 0) && has_room(site);
        if (is_wanted && !share_is_full(site->sender)) {
            carrier_start(site->sender, site, site->route);
            c = LIST_ENTRY(site->carriers.prev, struct carrier, link);
        } else if (is_wanted && !c) {
            share_starve(site);
        }
        if (!c)
            break;
        struct queue_delivery *d = turn_take(site);
        if (d->is_hold_wanted)
            queue_put_off(site->sender->queue, d, 0);
        else
            assign(c, d);
    }
    free_site_if_unused(site);
}

static void mark_up(struct site *site, struct carrier *c)
{
    if (!c->is_started) {
        c->is_started = true;
        site->starting_count--;
        share_carrier_works(c);
    }
    site->down_until_ms = 0;
    site->down_pause_ms = 0;
}

static void mark_down(struct site *site, const struct job *j)
{
    if (site->carrier_count > site->starting_count)
        return; /* other connections work */
    bool is_local = j->is_local;
    int64_t pause = site->down_pause_ms * 2;
    if (pause == 0)
        pause = is_local ? DOWN_LOCAL_MS : DOWN_FIRST_MS;
    if (pause > (is_local ? DOWN_LOCAL_MS : DOWN_MOST_MS))
        pause = is_local ? DOWN_LOCAL_MS : DOWN_MOST_MS;
    if (!is_down(site))
        site->down_pause_ms = pause;
    site->down_until_ms = loop_now_ms(site->sender->owner) + site->down_pause_ms;
    site->down_fault = j->result[0];
    memcpy(site->down_remote, j->remote, sizeof site->down_remote);
}

void dispatch_job_back(struct job *j)
{
    struct carrier *c = j->carrier;
    struct site *site = c->site;
    c->load--;
    if (j->is_untried) {
        struct queue_delivery *d = j->delivery;
        job_free(j);
        sender_ready(site->sender, d); /* its domain may have moved meanwhile */
    } else {
        if (j->is_site_down)
            mark_down(site, j);
        else
            mark_up(site, c);
        site->sender->last_done_ms = loop_now_ms(site->sender->owner);
        site->done_count += !j->is_site_down;
        settle_job(j);
    }
    dispatch_look_at_crowd(site->sender);
    pump(site);
    share_carrier_back(c);
}

void dispatch_carrier_gone(struct carrier *c)
{
    struct site *site = c->site;
    list_remove(&c->link);
    site->carrier_count--;
    if (!c->is_started)
        site->starting_count--;
    site->sender->carrier_count--;
    site->references++; /* feeding may take its last delivery */
    feed_starved(site->sender);
    site->references--;
    pump(site);
}

/* Stopping and looking. */
void sender_stop(struct sender *s)
{
    atomic_store(&s->is_stopping, true);
}

void sender_keep_policies(struct sender *s)
{
    while (!task_sleep(KEEP_POLICIES_MS).kind)
        sts_refresh(s->sts);
}

void sender_refresh(struct sender *s)
{
    size_t cursor = 0;
    for (struct map_node *n = map_walk(&s->domains, &cursor, NULL); n;
         n = map_walk(&s->domains, &cursor, n))
        if (MAP_ENTRY(n, struct destination, node)->route)
            MAP_ENTRY(n, struct destination, node)->route->expires_ms = 0;
    cursor = 0;
    for (struct map_node *n = map_walk(&s->sites, &cursor, NULL); n;
         n = map_walk(&s->sites, &cursor, n))
        MAP_ENTRY(n, struct site, node)->down_until_ms = 0;
}

bool sender_is_idle(const struct sender *s)
{
    return s->carrier_count == 0 && s->job_count == 0 && s->lookup_count == 0;
}

void sender_free(struct sender *s)
{
    size_t cursor = 0;
    for (struct map_node *n = map_walk(&s->domains, &cursor, NULL), *next; n; n = next) {
        next = map_walk(&s->domains, &cursor, n);
        struct destination *d = MAP_ENTRY(n, struct destination, node);
        if (d->site)
            d->site->waiting = 0; /* the deliveries are the queue's, which forgets them too */
        free_destination(d);
    }
    map_free(&s->domains);
    map_free(&s->sites);
    heap_free(&s->starved);
    heap_free(&s->holders);
    sts_free(s->sts);
    free(s);
}

static void report(const struct site *site, struct sender_site_report *out)
{
    struct live *live = live_keep(site->sender->options.live);
    int64_t left = site->down_until_ms - loop_now_ms(site->sender->owner);
    *out = (struct sender_site_report){
        .site = str_from(site->name),
        .connections = site->carrier_count,
        .connections_most = (size_t)live->conf->delivery.site_connection_max,
        .waiting = site->waiting,
        .all_connections = site->sender->carrier_count,
        .all_connections_most = (size_t)live->conf->delivery.connection_max,
        .is_silent = is_silent(site),
        .is_down = left > 0,
        .down_for_ms = left > 0 ? left : 0,
    };
    if (out->is_down)
        out->fault = site->down_fault;
    live_drop(site->sender->options.live, live);
}

void sender_report(const struct sender *s, struct str domain, struct sender_site_report *out)
{
    *out = (struct sender_site_report){0};
    struct map_node *n = NULL;
    for (int wish = ROUTE_USUAL; !n && wish < ROUTE_WISHES; wish++)
        n = find_destination(s, domain, (enum route_wish)wish);
    struct destination *d = n ? MAP_ENTRY(n, struct destination, node) : NULL;
    if (d && d->site)
        report(d->site, out);
    else if (d && d->route)
        out->fault = d->route->fault;
}

void sender_each_site(const struct sender *s,
                      void (*each)(void *arg, const struct sender_site_report *r), void *arg)
{
    size_t cursor = 0;
    for (struct map_node *n = map_walk(&s->sites, &cursor, NULL); n;
         n = map_walk(&s->sites, &cursor, n)) {
        struct sender_site_report r;
        report(MAP_ENTRY(n, struct site, node), &r);
        each(arg, &r);
    }
}
