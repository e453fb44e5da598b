/* SPDX-License-Identifier: ISC */
/*
 * turn.h - whose delivery is next at a site: senders take turns
 *
 * A sender is an account, else a domain, else all notices together. On the owner's loop.
 */
#ifndef SEND_TURN_H
#define SEND_TURN_H

#include "send/internal.h"

/* A delivery that is to wait for the site. */
void turn_add(struct site *site, struct queue_delivery *d);

/* The delivery whose sender's turn it is; some wait. */
struct queue_delivery *turn_take(struct site *site);

#endif
