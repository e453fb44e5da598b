/* SPDX-License-Identifier: ISC */
/*
 * peer_tls.h - TLS at the peers' end of a stream, with one certificate for all of them
 *
 * OpenSSL's memory is that of the server's process and ends with it: what a peer had begun in one process it cannot go on
 * with in the next one.
 */
#ifndef SIM_PEER_TLS_H
#define SIM_PEER_TLS_H

#include "net.h"

struct peer_tls;

enum { PEER_TLS_DIGEST = 32 };

/* Once, before any world: key and certificate. */
void peer_tls_prepare(void);

/* SHA-256 of the certificate's public key, for TLSA records 3 1 1. */
const unsigned char *peer_tls_digest(void);

/* The handshake; NULL when there is none. */
struct peer_tls *peer_tls_accept(struct stream *s, int64_t patience_ns);

/* As net_read and net_write. */
ptrdiff_t peer_tls_read(struct peer_tls *t, void *memory, size_t size);
bool peer_tls_write(struct peer_tls *t, const void *memory, size_t size);

void peer_tls_free(struct peer_tls *t); /* NULL is allowed; the stream stays */

/* Gives back what peers still hold in this process, which ends. */
void peer_tls_end(void);

#endif
