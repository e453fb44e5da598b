/* SPDX-License-Identifier: ISC */
/*
 * queue_filter.h - which deliveries of the queue an operator means
 *
 * The member "filter" of a request is an object of conditions that all must hold; an empty or
 * missing one holds for every delivery that has not ended. A request that changes messages says
 * that with "all": true.
 */
#ifndef ROLE_QUEUE_FILTER_H
#define ROLE_QUEUE_FILTER_H

#include "base/fault.h"
#include "queue/message.h"

#include <jansson.h>

struct queue_filter {
    struct str sender, recipient, domain, state;
    int64_t older_ms, younger_ms; /* 0: any */
    const json_t *ids;            /* messages to look at; none: all */
    bool has_choice;              /* a condition, or "all" */
};

/* Reads the request's filter. Borrows. 501 5.5.4 for a condition that is unknown or of the wrong
 * type, which ignored would hold for more than was meant, and for "all" beside conditions. */
struct fault queue_filter_read(const json_t *request, struct queue_filter *out);

/* The same for what changes messages: 501 5.5.4 also when nothing says which. */
struct fault queue_filter_read_choice(const json_t *request, struct queue_filter *out);

/* Whether the conditions (all but the ids) hold for the delivery at that time. */
bool queue_filter_fits(const struct queue_filter *f, const struct queue_delivery *d,
                       int64_t now_ms);

/* The state as filters and answers name it. */
const char *queue_filter_state_name(const struct queue_delivery *d);

#endif
