/* SPDX-License-Identifier: ISC */
/*
 * fetch.h - a small text from an HTTPS server (libcurl), under strict bounds (RFC 8461 section 3.3)
 *
 * One GET of https://HOST/PATH: the certificate has to be HOST's, nothing but 200 with text/plain is an answer, redirects are
 * not followed, no proxy, cookie, password or other protocol is used, and the addresses are those that the caller has found:
 * the library asks no DNS. The work is done on a thread of its own, so that a slow server holds up neither a loop nor what
 * else is offloaded.
 */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include "base/buf.h"
#include "base/fault.h"
#include "base/ip.h"

enum { FETCH_ADDRESSES_MAX = 8, FETCH_TIME_S = 60, FETCH_CONNECT_S = 20 };

struct fetch {
    const char *host;        /* a name */
    const char *path;        /* from the first slash on */
    const char *authorities; /* PEM file of further certificate authorities, or NULL */
    struct ip_address address[FETCH_ADDRESSES_MAX];
    size_t address_count;
    uint16_t port;
    bool
        is_certificate_bad; /* it failed because the server's certificate is not HOST's, or not trusted */
};

/*
 * Fetches the text into out (whose limit is the largest that is taken); 60 s at most. Not interrupted by cancellation but
 * soon over then. The fault is 451 4.4.0 and says why there is none. Suspends the task.
 */
struct fault fetch_text(struct fetch *f, struct buf *out);

/*
 * Whether a stranger's name may make us connect to the address: not to this host, not to private, shared, link-local or
 * otherwise reserved networks, nor to IPv4 addresses in the guise of IPv6 ones.
 */
bool fetch_is_public(const struct ip_address *ip);

#endif
