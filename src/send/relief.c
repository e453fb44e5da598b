/* SPDX-License-Identifier: ISC */
/*
 * relief.c - putting off what cannot be delivered soon
 *
 * A server that takes connections and then says nothing would keep all of its mail with the sender,
 * in memory, until the last time-out. When the queue asks for relief, every site keeps what it can
 * deliver until the rest comes back, and gives the rest to the queue, which can put it on the disk.
 */
#include "event/event.h"
#include "net/loop.h"
#include "os/random.h"
#include "send/internal.h"

enum {
    KEPT_LEAST = 100,   /* deliveries that a site or domain keeps in any case */
    PUT_OFF_MS = 10000, /* at least; twice as long at most */
    RATE_MS = 1000      /* the time over which deliveries are counted, at least */
};

/* What the site has delivered lately tells what it will until the rest comes back. */
static size_t keep_at(struct site *site)
{
    int64_t now = loop_now_ms(site->sender->owner), past = now - site->done_since_ms;
    int64_t soon = site->done_count * PUT_OFF_MS / (past > RATE_MS ? past : RATE_MS);
    if (past > RATE_MS) {
        site->done_since_ms = now;
        site->done_count = 0;
    }
    return KEPT_LEAST + (size_t)soon;
}

/* Puts off the newest of the list until no more than kept are left; how many. */
static size_t put_off_newest(struct sender *s, struct list *l, size_t count, size_t kept)
{
    size_t done = 0;
    for (; count > kept; count--, done++) {
        struct list *last = l->prev;
        list_remove(last);
        queue_put_off(s->queue, LIST_ENTRY(last, struct queue_delivery, link),
                      PUT_OFF_MS + (int64_t)random_below(PUT_OFF_MS));
    }
    return done;
}

static void tell_crowded(struct sender *s, const char *kind, const char *name, size_t put_off,
                         size_t kept)
{
    struct event e;
    event_begin(&e, s->options.log, "site.crowded");
    event_text(&e, kind, str_from(name));
    event_number(&e, "put-off", (int64_t)put_off);
    event_number(&e, "kept", (int64_t)kept);
    event_end(&e);
}

/* Each sender keeps its share, and one at least. */
static void relieve_site(struct site *site)
{
    struct sender *s = site->sender;
    size_t kept = keep_at(site), before = site->waiting;
    if (before <= kept)
        return;
    size_t share = kept / site->flows.count;
    LIST_EACH(link, &site->turn)
    {
        struct flow *f = LIST_ENTRY(link, struct flow, link);
        size_t put_off = put_off_newest(s, &f->deliveries, f->count, share ? share : 1);
        f->count -= put_off;
        site->waiting -= put_off;
        s->waiting -= put_off;
    }
    tell_crowded(s, "site", site->name, before - site->waiting, site->waiting);
}

static void relieve_destination(struct destination *d)
{
    size_t put_off = put_off_newest(d->sender, &d->waiting, d->waiting_count, KEPT_LEAST);
    d->waiting_count -= put_off;
    if (put_off > 0)
        tell_crowded(d->sender, "domain", d->name, put_off, d->waiting_count);
}

void sender_relieve(void *arg)
{
    struct sender *s = arg;
    size_t cursor = 0;
    for (struct map_node *n = map_walk(&s->sites, &cursor, NULL); n;
         n = map_walk(&s->sites, &cursor, n))
        relieve_site(MAP_ENTRY(n, struct site, node));
    cursor = 0;
    for (struct map_node *n = map_walk(&s->domains, &cursor, NULL); n;
         n = map_walk(&s->domains, &cursor, n))
        relieve_destination(MAP_ENTRY(n, struct destination, node));
    dispatch_look_at_crowd(s);
}
