/* SPDX-License-Identifier: ISC */
/*
 * tls_gather.c - what came of TLS is held until it is known who wants to hear of it, and then counted
 *
 * Domains wait in the order in which they were first told of. One that is being asked stays in the map, and what comes
 * meanwhile is counted with the rest.
 */
#include "report/tls_gather.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/map.h"
#include "check/tlsrpt_record.h"
#include "event/event.h"
#include "net/bell.h"
#include "net/inquiry.h"
#include "os/clock.h"
#include "os/random.h"
#include "os/thread.h"

struct held {
    struct list link;
    struct report_outcome *outcome;
};

struct domain {
    struct map_node node;
    struct list waiting; /* in gather->waiting, until it is asked */
    struct list held;
    struct tls_gather *gather;
    char name[];
};

struct tls_gather {
    struct report_store *store;
    struct resolver *resolver;
    struct event_log *log;
    struct scope *scope;
    struct bell bell;
    size_t asked; /* of the loop's tasks */
    struct mutex mutex;
    struct map domains;
    struct list waiting;
    size_t held;
    bool is_full; /* and that was told */
};

struct tls_gather *tls_gather_make(struct report_store *store, struct resolver *resolver,
                                   struct event_log *log)
{
    struct tls_gather *g = calloc(1, sizeof *g);
    if (!g)
        abort();
    g->store = store;
    g->resolver = resolver;
    g->log = log;
    g->domains = map_make(random_u64(), random_u64());
    list_init(&g->waiting);
    mutex_init(&g->mutex);
    bell_init(&g->bell);
    return g;
}

/* Gives its outcomes to the store, when somebody wants them, and frees it. */
static void end_domain(struct tls_gather *g, struct domain *d, struct str rua)
{
    struct list *link;
    while ((link = list_pop_front(&d->held))) {
        struct held *h = LIST_ENTRY(link, struct held, link);
        h->outcome->rua = rua;
        if (rua.n > 0)
            report_store_count(g->store, h->outcome);
        free(h->outcome);
        free(h);
    }
    free(d);
}

void tls_gather_free(struct tls_gather *g)
{
    size_t cursor;
    if (!g)
        return;
    for (struct map_node *n; cursor = 0, (n = map_walk(&g->domains, &cursor, NULL));) {
        map_remove(&g->domains, n);
        end_domain(g, MAP_ENTRY(n, struct domain, node), STR_NONE);
    }
    map_free(&g->domains);
    mutex_destroy(&g->mutex);
    free(g);
}

static struct domain *add_domain(struct tls_gather *g, struct str name)
{
    struct domain *d = calloc(1, sizeof *d + name.n);
    if (!d)
        abort();
    d->gather = g;
    memcpy(d->name, name.p, name.n);
    list_init(&d->held);
    list_push_back(&g->waiting, &d->waiting);
    map_insert(&g->domains, &d->node, str_make(d->name, name.n));
    return d;
}

static void hold(struct tls_gather *g, struct report_outcome *outcome)
{
    struct held *h = calloc(1, sizeof *h);
    if (!h)
        abort();
    h->outcome = outcome;
    struct map_node *n = map_find(&g->domains, outcome->domain);
    struct domain *d = n ? MAP_ENTRY(n, struct domain, node) : add_domain(g, outcome->domain);
    list_push_back(&d->held, &h->link);
    g->held++;
}

static void tell_loss(struct tls_gather *g, struct str domain, const char *why)
{
    struct event e;
    event_begin(&e, g->log, "report.uncounted");
    event_text(&e, "kind", str_from(report_kind_name(REPORT_TLS)));
    event_text(&e, "domain", domain);
    event_text(&e, "reason", str_from(why));
    event_end(&e);
}

void tls_gather_tell(struct tls_gather *g, const struct report_tls *t)
{
    struct report_outcome *outcome = report_tls_outcome(t);
    mutex_lock(&g->mutex);
    bool has_room = g->held < TLS_GATHER_HELD_MAX, was_full = g->is_full;
    g->is_full = !has_room;
    if (has_room)
        hold(g, outcome);
    mutex_unlock(&g->mutex);
    if (has_room) {
        bell_ring(&g->bell);
        return;
    }
    if (!was_full)
        tell_loss(g, t->domain, "too many sessions wait for the DNS");
    free(outcome);
}

static void settle(struct domain *d, struct str rua)
{
    struct tls_gather *g = d->gather;
    mutex_lock(&g->mutex);
    map_remove(&g->domains, &d->node);
    LIST_EACH(link, &d->held)
    g->held--;
    mutex_unlock(&g->mutex);
    end_domain(g, d, rua);
}

static void ask_domain(void *arg)
{
    enum { QUESTIONS = 1 };
    struct domain *d = arg;
    struct tls_gather *g = d->gather;
    struct tlsrpt_record record = {STR_NONE};
    bool has_failed;
    struct arena arena = arena_make(QUESTIONS * INQUIRY_ANSWER_BYTES + (1 << 12));
    struct inquiry inquiry = {.resolver = g->resolver,
                              .deadline_ms = clock_now_ms() + TLS_GATHER_TIME_MS};
    struct asker asker = inquiry_asker(&inquiry, &arena, QUESTIONS);
    bool is_wanted = tlsrpt_record_find(d->node.key, &asker, &record, &has_failed);
    if (has_failed)
        tell_loss(g, d->node.key, "the DNS does not say whether somebody wants the report");
    settle(d, is_wanted ? record.rua : STR_NONE);
    arena_free(&arena);
    g->asked--;
    bell_ring(&g->bell);
}

static struct domain *next_domain(struct tls_gather *g)
{
    mutex_lock(&g->mutex);
    struct list *link = list_pop_front(&g->waiting);
    mutex_unlock(&g->mutex);
    return link ? LIST_ENTRY(link, struct domain, waiting) : NULL;
}

static void gather(void *arg)
{
    struct tls_gather *g = arg;
    struct domain *d;
    while (!bell_wait(&g->bell).kind)
        while (g->asked < TLS_GATHER_ASKED_MAX && (d = next_domain(g))) {
            g->asked++;
            if (!task_start(g->scope, "tls report", ask_domain, d)) {
                g->asked--;
                settle(d, STR_NONE);
            }
        }
}

bool tls_gather_start(struct tls_gather *g, struct scope *scope)
{
    g->scope = scope;
    return task_start(scope, "tls reports", gather, g);
}
