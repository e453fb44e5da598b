/* SPDX-License-Identifier: ISC */
/*
 * tls_peer.h - who the server at the other end of a TLS stream has to be, and whether it is (RFC 7671, RFC 7672, RFC 6125)
 *
 *   struct tls_peer peer = {.name = "mx.example.net", ...};
 *   conn_start_tls_peer(conn, tls, &peer, deadline);
 *   trust = conn_tls_trust(conn, &peer);
 *
 * The handshake goes on with a certificate that is not trusted: what is to come of that, the caller decides.
 */
#ifndef NET_TLS_PEER_H
#define NET_TLS_PEER_H

#include "proto/dns.h"

#include <openssl/types.h>

enum { TLS_PEER_NAMES_MAX = 4 };

struct tls_peer {
    const char *name;                          /* sent as SNI; NULL: none is */
    const char *reference[TLS_PEER_NAMES_MAX]; /* one of them is in the certificate; up to a NULL */
    const struct dns_tlsa *tlsa;               /* DANE, when there are any: by these alone */
    size_t tlsa_count;
    bool
        is_common_name_ignored; /* only what the certificate says as a DNS name counts (RFC 8461 section 4.1) */
    size_t usable_count; /* of the records, after the start: with none there is nothing to prove */
};

enum tls_trust {
    TLS_TRUSTED,
    TLS_EXPIRED,    /* or not valid yet */
    TLS_OTHER_NAME, /* the certificate is for another host */
    TLS_NOT_TRUSTED,
    TLS_NO_MATCH /* with none of the TLSA records */
};

/* Tells the session (not started) whom to expect. False when memory is missing. For conn.c. */
bool tls_peer_prepare(SSL *ssl, struct tls_peer *peer);

/* Whether the server is the one that was wanted; *reason (static) says why not. The handshake is over. */
enum tls_trust tls_peer_trust(SSL *ssl, const struct tls_peer *peer, const char **reason);

#endif
