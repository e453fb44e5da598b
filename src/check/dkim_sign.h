/* SPDX-License-Identifier: ISC */
/*
 * dkim_sign.h - signatures for a message that leaves (RFC 6376 5, 8301, 8463)
 *
 *   begin    once header section and keys are known: chooses the fields, wants the hash of the body
 *   finish   once the body has ended: makes the fields, which takes the processor 0.3 to 1 ms for RSA of 2048 bits
 *
 * The message is signed as it goes out: after all changes, with CRLF line ends and without dots doubled. All keys share
 * one pass over the body, with each other and with whoever else wants hashes of it. A signer is used by one thread at
 * a time; finish may run on a thread of its own while nobody else touches what the signer borrows (keys may be shared).
 */
#ifndef CHECK_DKIM_SIGN_H
#define CHECK_DKIM_SIGN_H

#include <openssl/types.h>

#include "base/buf.h"
#include "check/dkim_body.h"

struct dkim_sign_key {
    EVP_PKEY *key;       /* RSA of 2048 bits and more (RFC 8301), or Ed25519 */
    struct str selector; /* A-labels */
};

struct dkim_sign_options {
    struct str domain; /* A-labels */
    int64_t now_s;
    int64_t lifetime_s; /* x= is so long after t=; 0: no x= */
    const struct dkim_sign_key *keys;
    size_t key_count;
};

enum {
    DKIM_SIGN_NAMES_MAX = 100,      /* h= has no more */
    DKIM_SIGN_FIELD_MAX = 8 * 1024, /* octets of a field that is made */
    DKIM_SIGN_BITS_MIN = 2048
};

struct dkim_signer;

/*
 * Begins (borrows the section, what the options point to, and the body, until free; nothing of the body has come yet).
 * NULL when the section cannot be signed: it has no From, or more fields than can be named in a signature.
 */
struct dkim_signer *dkim_sign_begin(struct str section, struct dkim_body *body,
                                    const struct dkim_sign_options *options);

/*
 * Appends a DKIM-Signature field for each key, in their order: what to put in front of the section. False, out
 * unchanged, when a key is of a kind or size that is not to sign, or out is full.
 */
bool dkim_sign_finish(const struct dkim_signer *s, struct buf *out);

void dkim_sign_free(struct dkim_signer *s);

#endif
