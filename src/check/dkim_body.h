/* SPDX-License-Identifier: ISC */
/*
 * dkim_body.h - the hashes of a body that signatures want (RFC 6376 3.7), made while it arrives
 *
 * One object is for one message and serves its verifiers and signers together. Each canonical form is made and hashed
 * once, however many signatures want it; a hash of the first octets alone (l=) is taken on the way.
 */
#ifndef CHECK_DKIM_BODY_H
#define CHECK_DKIM_BODY_H

#include "check/dkim_canon.h"

enum { DKIM_BODY_WANTS_MAX = 32 };

#define DKIM_BODY_WHOLE UINT64_MAX

struct dkim_body;

/* A body of which nothing is wanted and nothing has come. The caller frees it, behind those who want of it. */
struct dkim_body *dkim_body_make(void);
void dkim_body_free(struct dkim_body *b);

/*
 * Wants the hash of the first `length` octets of that form, or of the WHOLE; before the first octet has come. Gives what
 * to ask dkim_body_hash with; -1 when DKIM_BODY_WANTS_MAX different ones are wanted already.
 */
int dkim_body_want(struct dkim_body *b, enum dkim_canon canon, uint64_t length);

/* The next octets of the body with CRLF line ends and without dots doubled, cut anywhere; then its end, once. */
void dkim_body_feed(struct dkim_body *b, struct str in);
void dkim_body_end(struct dkim_body *b);

/*
 * The hash that was wanted, once the body has ended; empty when the body is shorter than the length. Lives as long as
 * the body. *octets is how long the canonical form is as a whole.
 */
struct str dkim_body_hash(const struct dkim_body *b, int want, uint64_t *octets);

#endif
