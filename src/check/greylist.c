/* SPDX-License-Identifier: ISC */
/*
 * greylist.c - whether a sender whom nobody knows has to come again (greylisting, RFC 6647)
 */
#include "check/greylist.h"

struct ip_network greylist_network_of(const struct ip_address *ip)
{
    return ip_network_around(ip, ip_is_v4(ip) ? 24 : 64);
}

bool greylist_is_over(const struct greylist_terms *terms, const struct greylist_memory *m,
                      int64_t now_ms)
{
    if (m->last_ms > 0)
        return now_ms - m->last_ms > terms->lifetime_ms;
    return now_ms - m->first_ms > terms->window_ms || now_ms < m->first_ms;
}

static void pass(struct greylist_verdict *out, const char *reason, int64_t now_ms)
{
    out->may_pass = true;
    out->reason = reason;
    out->network.passes++;
    out->network.last_ms = now_ms;
    if (out->network.first_ms == 0)
        out->network.first_ms = now_ms;
}

static void put_off(struct greylist_verdict *out, const char *reason, int64_t wait_ms)
{
    out->reason = reason;
    out->wait_ms = wait_ms;
}

void greylist_decide(const struct greylist_terms *terms, const struct greylist_memory *triplet,
                     const struct greylist_memory *network, int64_t now_ms,
                     struct greylist_verdict *out)
{
    static const struct greylist_memory nothing = {0};
    *out = (struct greylist_verdict){
        .triplet = greylist_is_over(terms, triplet, now_ms) ? nothing : *triplet,
        .network = greylist_is_over(terms, network, now_ms) ? nothing : *network};
    if (terms->allow_after > 0 && out->network.passes >= terms->allow_after) {
        out->is_known_network = true;
        pass(out, "the network has delivered before", now_ms);
        return;
    }
    struct greylist_memory *t = &out->triplet;
    if (t->first_ms == 0) {
        t->first_ms = now_ms;
        put_off(out, "client network, sender and recipient are new together", terms->delay_ms);
        return;
    }
    int64_t waited_ms = now_ms - t->first_ms;
    if (t->last_ms == 0 && waited_ms < terms->delay_ms) {
        put_off(out, "it came again too early", terms->delay_ms - waited_ms);
        return;
    }
    pass(out, t->last_ms > 0 ? "it has passed before" : "it came again in time", now_ms);
    t->passes++;
    t->last_ms = now_ms;
}
