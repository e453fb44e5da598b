/* SPDX-License-Identifier: ISC */
/*
 * share.h - whose the connections are that there may be (`connections` of the configuration)
 *
 * While they are all in use, sites starve: the one with the fewest connections gets the next. An
 * idle connection leaves at once for it; else one of the site that holds most leaves when its
 * transaction has ended, as long as that brings the two closer together. Where nobody holds more
 * than one, each has it for a turn. Everything here runs on the owner's loop.
 */
#ifndef SEND_SHARE_H
#define SEND_SHARE_H

#include "send/internal.h"

/* All the connections that there may be, to whatever site, are there. */
bool share_is_full(const struct sender *s);

/* The site has mail, room for a connection of its own, and no connection was left for it. */
void share_starve(struct site *site);

/* The site whose turn it is to get a connection that has become free, starved no more; or NULL. */
struct site *share_next(struct sender *s);

/* The site is about to be freed. */
void share_forget(struct site *site);

/* The life of a carrier: made, given a job, one has come back (the first time with an answer: it
 * works), about to leave. */
void share_carrier_made(struct carrier *c);
void share_carrier_busy(struct carrier *c);
void share_carrier_works(struct carrier *c);
void share_carrier_back(struct carrier *c);
void share_carrier_leaves(struct carrier *c);

#endif
