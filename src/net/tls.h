/* SPDX-License-Identifier: ISC */
/*
 * tls.h - keys, certificates and settings that many TLS streams share
 *
 * A server context holds one or more certificates: an ECDSA and an RSA one for the same name are
 * used as the client can; a certificate for other names is chosen by SNI. Contexts are reference
 * counted, so that a reload gives new streams the new certificate while old ones go on.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/fault.h"

#include <openssl/types.h>

struct tls_context;

struct tls_certificate {
    const char *certificate_path; /* PEM, with the chain */
    const char *key_path;         /* PEM */
};

enum tls_version { TLS_1_0, TLS_1_2, TLS_1_3 };

/*
 * A server context from PEM files. Session tickets of predecessor (may be NULL) stay valid. The
 * fault (451 4.3.5) names the file that cannot be used and why.
 */
struct fault tls_context_server(const struct tls_certificate *certificates, size_t count,
                                enum tls_version minimum, struct tls_context *predecessor,
                                struct tls_context **out);

/* A client context that trusts the system's certificate authorities, and those in the PEM file
 * authorities (may be NULL). Verification is reported, not enforced: see conn_tls_trust. */
struct fault tls_context_client(enum tls_version minimum, const char *authorities,
                                struct tls_context **out);

struct tls_context *tls_context_keep(struct tls_context *t);
void tls_context_drop(struct tls_context *t); /* NULL is allowed */

/* True when handshakes take long enough (RSA keys only) to be done away from the loop. */
bool tls_context_is_slow(const struct tls_context *t);

/* A new OpenSSL session of the context; for conn.c. */
SSL *tls_context_new_session(struct tls_context *t);

#endif
