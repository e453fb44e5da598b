/* SPDX-License-Identifier: ISC */
/*
 * dkim_verify.h - the signatures of a message (RFC 6376 6, 8301, 8463, 8616)
 *
 *   begin    reads the signatures from the header section, and says to the body which hashes are wanted
 *   fetch    asks the DNS for their keys; any time between begin and finish
 *   finish   once the body has ended: compares, which takes the processor some 30 us a signature
 *
 * A verifier is used by one thread at a time; finish reads nothing but its verifier, the header section and the body,
 * so it may run on a thread of its own while nobody else touches these.
 */
#ifndef CHECK_DKIM_VERIFY_H
#define CHECK_DKIM_VERIFY_H

#include "check/ask.h"
#include "check/dkim_body.h"
#include "check/dkim_key.h"
#include "check/dkim_result.h"
#include "check/dkim_select.h"

struct dkim_verify_options {
    int64_t now_s;
    bool may_pass_partial; /* l= that leaves some of the body out may pass; else it is policy */
    bool
        is_tls_report; /* the message is a report by RFC 8460: keys for "tlsrpt" alone serve, too */
};

struct dkim_verdict {
    enum dkim_result result;
    const char *reason; /* for people; empty for pass */
    struct str domain,
        selector;          /* lower-case A-labels; empty when the field has none that are valid */
    struct str identity;   /* i=, as written, or "@" and the domain */
    struct str b;          /* the beginning of b= that tells it from the others (RFC 6008) */
    const char *algorithm; /* "rsa-sha256"; empty when unknown */
    unsigned key_bits;     /* 0: the key was not tried */
    bool is_testing;    /* t=y: unless it passes, treat it as if there were no signature (3.6.1) */
    bool is_key_secure; /* the key was proven by DNSSEC */
    bool has_length;    /* l= is there */
    uint64_t uncovered_octets;     /* of the canonical body, behind l= */
    int64_t signed_at, expires_at; /* -1: not said */
};

struct dkim_verifier;

/*
 * Begins with a header section (borrowed until free; with or without its empty line) and a body of which nothing has
 * come yet (borrowed until finish). One with more fields or octets than dkim_fields.h allows has one verdict, policy.
 */
struct dkim_verifier *dkim_verify_begin(struct str section, struct dkim_body *body,
                                        const struct dkim_verify_options *options);

/* Asks for the keys, once; at most one question for each signature that is checked. */
void dkim_verify_fetch(struct dkim_verifier *v, struct asker *asker);

/* How many keys finish may have to try, after fetch: each takes the processor some 20 to 100 us. */
size_t dkim_verify_key_count(const struct dkim_verifier *v);

/* Decides, once, after fetch and the end of the body. Keys are opened by the opener, which may be NULL. */
void dkim_verify_finish(struct dkim_verifier *v, const struct dkim_key_opener *opener);

/* How many verdicts there are (0: the result is "none"), and each of them, in the order of the header. They live as
 * long as the verifier. */
size_t dkim_verify_count(const struct dkim_verifier *v);
const struct dkim_verdict *dkim_verify_verdict(const struct dkim_verifier *v, size_t i);

void dkim_verify_free(struct dkim_verifier *v);

#endif
