/* SPDX-License-Identifier: ISC */
/*
 * tls_rows.h - what is asked of TLS on a route, as JSON and for people
 */
#ifndef CLI_TLS_ROWS_H
#define CLI_TLS_ROWS_H

#include <jansson.h>

#include "send/route.h"

/* Which policy decides, where it is from, and what it says. */
json_t *tls_rows_policy(const struct route *r);

/* What the DNS says of a host's certificate. */
json_t *tls_rows_dane(const struct dane *d);

/* The rows of a table, from that JSON. */
void tls_rows_print_policy(const json_t *policy);
void tls_rows_print_dane(const json_t *host);

#endif
