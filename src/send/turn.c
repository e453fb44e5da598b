/* SPDX-License-Identifier: ISC */
/*
 * turn.c - whose delivery is next at a site: senders take turns
 */
#include "send/turn.h"

#include <stdlib.h>
#include <string.h>

/* Who takes turns: an account, else a sender's domain, else notices. */
static struct str flow_key(const struct queue_message *m)
{
    return m->envelope.account.n ? m->envelope.account : envelope_domain(m->envelope.sender);
}

static struct flow *flow_of(struct site *site, struct str key)
{
    struct map_node *n = map_find(&site->flows, key);
    if (n)
        return MAP_ENTRY(n, struct flow, node);
    struct flow *f = calloc(1, sizeof *f + key.n + 1);
    if (!f)
        abort();
    if (key.n)
        memcpy(f->key, key.p, key.n);
    list_init(&f->deliveries);
    list_init(&f->link);
    map_insert(&site->flows, &f->node, str_make(f->key, key.n));
    return f;
}

void turn_add(struct site *site, struct queue_delivery *d)
{
    struct flow *f = flow_of(site, flow_key(d->message));
    list_push_back(&f->deliveries, &d->link);
    f->count++;
    if (list_is_empty(&f->link))
        list_push_back(&site->turn, &f->link);
    site->waiting++;
    site->sender->waiting++;
    dispatch_look_at_crowd(site->sender);
}

/* A flow that has run dry is forgotten. */
struct queue_delivery *turn_take(struct site *site)
{
    struct flow *f = LIST_ENTRY(list_pop_front(&site->turn), struct flow, link);
    struct queue_delivery *d =
        LIST_ENTRY(list_pop_front(&f->deliveries), struct queue_delivery, link);
    f->count--;
    site->waiting--;
    site->sender->waiting--;
    if (!list_is_empty(&f->deliveries)) {
        list_push_back(&site->turn, &f->link);
    } else {
        map_remove(&site->flows, &f->node);
        free(f);
    }
    return d;
}
