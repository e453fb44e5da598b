/* SPDX-License-Identifier: ISC */
/*
 * dial.h - connecting to other hosts
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "net/conn.h"

/*
 * Connects to an endpoint, from the source address when one is given (NULL: the system's choice).
 * Faults: 451 4.4.1 with the endpoint and the system's word; 421 4.3.2 when cancelled.
 */
struct fault dial(const struct endpoint *to, const struct endpoint *source, int64_t deadline_ms,
                  struct conn **out);

#endif
