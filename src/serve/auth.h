/* SPDX-License-Identifier: ISC */
/*
 * auth.h - logging in: SASL exchanges over libgsasl, against the directory
 * (RFC 4422, 4616, 5802, 7677, 9266)
 *
 * Shared by SMTP and POP3. Every step runs on an offload thread, because checking a password costs
 * milliseconds. A failed login looks the same and takes as long whether or not the account exists.
 */
#ifndef SERVE_AUTH_H
#define SERVE_AUTH_H

#include "base/buf.h"
#include "base/fault.h"
#include "directory/directory.h"
#include "net/conn.h"

struct auth; /* one exchange */

/* Mechanisms offered on a stream under TLS, best first: with channel binding, and without. */
extern const char auth_mechanisms_tls[];
extern const char auth_mechanisms_clear[];

/* Starts an exchange; the mechanism is one of those above. 504 5.5.4 when it is not to be had. */
struct fault auth_start(struct directory *d, const struct conn *c, struct str mechanism,
                        struct auth **out);
void auth_free(struct auth *a); /* NULL is allowed */

enum auth_step { AUTH_CONTINUE, AUTH_DONE, AUTH_FAILED };

/*
 * Takes the client's next response (decoded) and appends the challenge for it to out. In
 * AUTH_CONTINUE send it; AUTH_DONE may also leave data, to be sent as a last challenge whose answer
 * is empty. AUTH_FAILED: *fault is 535 5.7.8, or 454 4.7.0 when the directory could not be asked.
 */
enum auth_step auth_step(struct auth *a, struct str response, struct buf *out, struct fault *fault);

/* The same for a name and a password as POP3's USER and PASS give them. */
struct fault auth_check(struct directory *d, struct str login, struct str password);

/* The account that was asked for; valid until auth_free. Empty before the client has named one. */
struct str auth_account(const struct auth *a);

#endif
