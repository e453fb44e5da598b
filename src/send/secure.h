/* SPDX-License-Identifier: ISC */
/*
 * secure.h - TLS with the next hop as the policies want it: DANE, MTA-STS, REQUIRETLS, the configuration
 *
 * For a mail exchanger DANE decides where it applies (RFC 7672), then the domain's MTA-STS policy (RFC 8461 section 2), then
 * the configuration. A policy that cannot be kept makes the message wait; REQUIRETLS returns it (RFC 8689 section 4.2.1).
 */
#ifndef SEND_SECURE_H
#define SEND_SECURE_H

#include "send/tls_outcome.h"
#include "send/transfer.h"

/* The host of a route by that name, or NULL (a socket's). */
const struct route_host *secure_host(const struct route *r, struct str name);

/*
 * Whether the host may be connected to at all: 451 4.7.5 when its TLSA records cannot be had or the domain's enforced
 * MTA-STS policy does not name it.
 */
struct fault secure_may_connect(struct transfer *t, const struct route *r,
                                const struct route_host *h);

/*
 * TLS on the connection, after the server has answered the hello. FINE, also without TLS, when all wishes are met. *is_broken:
 * the handshake failed, and without TLS, on another connection, the server might do. Faults: 451 4.7.10 no TLS, 451 4.7.5 not
 * the right server; for mail with REQUIRETLS 550 5.7.10 and 550 5.7.30, then t->is_requirement_unmet.
 */
struct fault secure_connection(struct transfer *t, const struct route *r,
                               const struct route_host *h, bool *is_broken);

#endif
