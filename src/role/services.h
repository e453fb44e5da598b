/* SPDX-License-Identifier: ISC */
/*
 * services.h - the listeners that a role serves, and how they follow the configuration
 */
#ifndef ROLE_SERVICES_H
#define ROLE_SERVICES_H

#include "role/steward.h"

/*
 * Makes the listeners those of the order: opens the new ones, then closes the others; sessions go
 * on, and a socket that both have loses no client. The descriptors of the order are used up. On a
 * fault nothing has changed.
 */
struct fault services_set(struct steward *s, const struct order *o, const struct conf *conf);

/* Closes every listener: from here on new clients are refused, not left waiting. */
void services_close(struct steward *s);

/* Frees what is left, after the last session. */
void services_free(struct steward *s);

#endif
