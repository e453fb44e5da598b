/* SPDX-License-Identifier: ISC */
/*
 * share.c - whose the connections are that there may be
 *
 * Two heaps, of sites that starve by how few connections they have, and of sites that could spare
 * one by how many. Nothing is moved in them while a site's numbers stay the same, and as long as
 * nobody starves a job costs a place in the list of idle carriers and one look at the first heap.
 */
#include "send/share.h"

#include "net/loop.h"

enum {
    TURN_MS = 2000 /* a site's only connection is its own for that long while others have none */
};

/* By connections, then by who came first. */
static const int64_t one_connection = (int64_t)1 << 40;

bool share_is_full(const struct sender *s)
{
    struct live *live = live_keep(s->options.live);
    bool is_reached = s->carrier_count >= (size_t)live->conf->delivery.connection_max;
    live_drop(s->options.live, live);
    return is_reached;
}

/* The site's numbers have changed. */
static void put_in_place(struct site *site)
{
    struct sender *s = site->sender;
    heap_remove(&s->holders, &site->holder);
    if (site->working_count > 0)
        heap_insert(&s->holders, &site->holder, -(int64_t)site->held_count);
    if (!heap_has(&site->starved))
        return;
    heap_remove(&s->starved, &site->starved);
    heap_insert(&s->starved, &site->starved,
                (int64_t)site->held_count * one_connection + site->starved_turn);
}

/* The carrier leaves for the sake of the site that starves most, which is promised its place. */
static void make_leave(struct carrier *c)
{
    struct sender *s = c->sender;
    struct site *site = HEAP_ENTRY(heap_top(&s->starved), struct site, starved);
    heap_remove(&s->starved, &site->starved);
    list_push_back(&s->promised, &site->promised);
    share_carrier_leaves(c);
    carrier_dismiss(c);
}

/* The carrier of a site that will end its work first. */
static struct carrier *least_busy(const struct site *site)
{
    struct carrier *best = NULL;
    LIST_EACH(link, &site->carriers)
    {
        struct carrier *c = LIST_ENTRY(link, struct carrier, link);
        if (c->is_started && !c->is_leaving && (!best || c->load < best->load))
            best = c;
    }
    return best;
}

/* Who should leave for this site; NULL: nobody. */
static struct carrier *who_leaves_for(const struct site *site)
{
    struct sender *s = site->sender;
    if (!list_is_empty(&s->idle))
        return LIST_ENTRY(s->idle.next, struct carrier, idle);
    if (!heap_top(&s->holders))
        return NULL;
    const struct site *most = HEAP_ENTRY(heap_top(&s->holders), struct site, holder);
    return most->held_count > site->held_count + 1 ? least_busy(most) : NULL;
}

static void give_way(struct sender *s)
{
    for (struct heap_node *n; (n = heap_top(&s->starved));) {
        struct site *site = HEAP_ENTRY(n, struct site, starved);
        struct carrier *c = site->waiting > 0 ? who_leaves_for(site) : NULL;
        if (c)
            make_leave(c);
        else if (site->waiting == 0)
            heap_remove(&s->starved, n);
        else
            return;
    }
}

void share_starve(struct site *site)
{
    struct sender *s = site->sender;
    if (heap_has(&site->starved) || !list_is_empty(&site->promised))
        return;
    site->starved_turn = s->starved_turns++;
    heap_insert(&s->starved, &site->starved,
                (int64_t)site->held_count * one_connection + site->starved_turn);
    give_way(s);
}

struct site *share_next(struct sender *s)
{
    struct list *link = list_pop_front(&s->promised);
    if (link)
        return LIST_ENTRY(link, struct site, promised);
    struct heap_node *n = heap_top(&s->starved);
    if (!n)
        return NULL;
    heap_remove(&s->starved, n);
    return HEAP_ENTRY(n, struct site, starved);
}

void share_forget(struct site *site)
{
    heap_remove(&site->sender->holders, &site->holder);
    heap_remove(&site->sender->starved, &site->starved);
    list_remove(&site->promised);
}

void share_carrier_made(struct carrier *c)
{
    c->turn_began_ms = loop_now_ms(c->sender->owner);
    c->site->held_count++;
    put_in_place(c->site);
}

void share_carrier_busy(struct carrier *c)
{
    list_remove(&c->idle);
}

void share_carrier_works(struct carrier *c)
{
    if (c->is_leaving)
        return;
    c->site->working_count++;
    put_in_place(c->site);
}

/* The only connection of a site, which has had its turn, while another has none. */
static bool is_turn_over(const struct carrier *c)
{
    const struct sender *s = c->sender;
    const struct site *site = HEAP_ENTRY(heap_top(&s->starved), struct site, starved);
    return site->held_count == 0 && c->site->held_count == 1 &&
           loop_now_ms(s->owner) - c->turn_began_ms >= TURN_MS;
}

void share_carrier_back(struct carrier *c)
{
    struct sender *s = c->sender;
    if (c->load == 0 && c->is_started && !c->is_leaving)
        list_push_back(&s->idle, &c->idle);
    if (!heap_top(&s->starved))
        return;
    give_way(s);
    if (heap_top(&s->starved) && c->is_started && !c->is_leaving && is_turn_over(c))
        make_leave(c);
}

void share_carrier_leaves(struct carrier *c)
{
    if (c->is_leaving)
        return;
    c->is_leaving = true;
    list_remove(&c->idle);
    c->site->held_count--;
    c->site->working_count -= c->is_started;
    put_in_place(c->site);
}
