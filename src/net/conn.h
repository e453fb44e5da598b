/* SPDX-License-Identifier: ISC */
/*
 * conn.h - a byte stream: TCP or Unix socket, in the clear or under TLS
 *
 * One task uses a stream at a time. Input is read into a buffer of the loop, which the stream
 * holds only while it has unread bytes; an idle stream owns no buffer. Faults: 421 4.4.2 when the
 * deadline passes or the peer is gone, 421 4.3.2 when the task was cancelled, 454 4.7.0 when TLS
 * fails.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/fault.h"
#include "net/endpoint.h"
#include "net/tls_peer.h"

#include <stdint.h>

struct conn;
struct tls_context;

/* Takes over a connected non-blocking socket, which it closes; the calling thread's loop owns it.
 */
struct fault conn_open(int descriptor, struct conn **out);

/* Ends the stream: TLS close_notify if it can be sent at once, then close. NULL is allowed. */
void conn_close(struct conn *c);

/* Ends the stream with a reset, so that no memory stays with a peer that does not read. */
void conn_abort(struct conn *c);

/*
 * Gives the unread bytes; when there are none, waits for some. An empty *in with FINE is the end
 * of the stream. The slice is valid until the next call on this stream.
 */
struct fault conn_read(struct conn *c, int64_t deadline_ms, struct str *in);

/* Marks the first n unread bytes as read. */
void conn_consume(struct conn *c, size_t n);

/* Bytes that are here and unread, without asking the system. */
size_t conn_unread(const struct conn *c);

/* Whether reading might not have to wait, as far as is known without asking the system. */
bool conn_may_have_input(const struct conn *c);

/* Asks the system, without waiting, whether there are bytes (or the end) to read. */
bool conn_has_input(struct conn *c);

/*
 * Waits until there is something to read, another task wakes this one, or the deadline. FINE in
 * the first two cases: ask conn_may_have_input, or conn_has_input to be sure.
 */
struct fault conn_wait_input(struct conn *c, int64_t deadline_ms);

/* Writes all parts, in order. */
struct fault conn_write(struct conn *c, const struct str *parts, size_t count, int64_t deadline_ms);

/*
 * Turns the stream into TLS as server or client. No byte may be unread: what came in the clear is
 * not for the secure stream (RFC 3207 section 4.2). A client says whom it expects (borrowed until
 * the handshake is over) and asks conn_tls_trust afterwards.
 */
struct fault conn_start_tls_server(struct conn *c, struct tls_context *tls, int64_t deadline_ms);
struct fault conn_start_tls_client(struct conn *c, struct tls_context *tls, struct tls_peer *peer,
                                   int64_t deadline_ms);

bool conn_is_tls(const struct conn *c);

/* "TLSv1.3" and "TLS_AES_256_GCM_SHA384"; NULL in the clear. Static. */
const char *conn_tls_version(const struct conn *c);
const char *conn_tls_cipher(const struct conn *c);

/* True when the handshake continued an earlier session. */
bool conn_tls_is_resumed(const struct conn *c);

/* Client: whether the server is the one that the handshake was begun for, and why not. */
enum tls_trust conn_tls_trust(const struct conn *c, const struct tls_peer *peer,
                              const char **reason);

/* The 32 octets of tls-exporter channel binding (RFC 9266). False where it is not safe. */
bool conn_tls_exporter(const struct conn *c, unsigned char octets[32]);

/* The other end, and this end. The peer may be set: the PROXY protocol tells the true one. */
const struct endpoint *conn_peer(const struct conn *c);
void conn_set_peer(struct conn *c, const struct endpoint *peer);
struct endpoint conn_local(const struct conn *c);

#endif
