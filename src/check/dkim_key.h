/* SPDX-License-Identifier: ISC */
/*
 * dkim_key.h - public keys as the DNS has them (RFC 6376 3.6.1, 8301, 8463)
 */
#ifndef CHECK_DKIM_KEY_H
#define CHECK_DKIM_KEY_H

#include <openssl/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "check/dkim_canon.h"
#include "check/dkim_result.h"

enum dkim_key_kind { DKIM_KEY_RSA, DKIM_KEY_ED25519 };

enum {
    DKIM_RSA_BITS_MIN = 1024,
    DKIM_RSA_BITS_MAX = 4096,
    DKIM_RSA_EXPONENT_BITS_MAX = 64, /* a larger one makes a check as dear as a signature */
    DKIM_RECORD_MAX = 4096,
    DKIM_KEY_OCTETS_MAX = 1024
};

struct dkim_key {
    enum dkim_key_kind kind;
    bool is_testing; /* t=y: a bad signature is no worse than none */
    bool is_strict;  /* t=s: i= and d= have the same domain */
    struct str data; /* what p= holds */
};

/* What a key is wanted for. */
struct dkim_key_use {
    enum dkim_key_kind kind;
    bool is_tls_report; /* keys for "tlsrpt" alone serve, too (RFC 8460 3) */
};

/*
 * Reads a TXT record; the key's data goes into the arena. The finding is NONE when the key serves that use, NEUTRAL
 * when this is no key record at all, else PERMERROR: revoked, for another algorithm, hash or service, not base64.
 */
struct dkim_finding dkim_key_read(struct str record, struct dkim_key_use use, struct arena *arena,
                                  struct dkim_key *out);

/*
 * Makes the key ready for dkim_key_verify; *bits is its size. NULL, with a finding, when the data is no such key or its
 * size is outside what RFC 8301 allows. The caller frees it with EVP_PKEY_CTX_free.
 */
EVP_PKEY_CTX *dkim_key_open(const struct dkim_key *key, unsigned *bits, struct dkim_finding *out);

/* Makes keys usable for a verifier, as dkim_key_open does, whose job it may be to know those it has made. */
struct dkim_key_opener {
    EVP_PKEY_CTX *(*open)(void *context, const struct dkim_key *key, unsigned *bits,
                          struct dkim_finding *out);
    /* Takes it back: it has served one verification. */
    void (*close)(void *context, const struct dkim_key *key, EVP_PKEY_CTX *ready);
    void *context;
};

/* Whether the signature over that hash is the key's (RFC 8017 8.2, RFC 8463 3). One thread at a time. */
bool dkim_key_verify(EVP_PKEY_CTX *ready, struct str signature,
                     const unsigned char hash[DKIM_HASH_SIZE]);

/* Signs that hash with a private key: appends the octets of the signature. False when OpenSSL or out refuses. */
bool dkim_key_sign(EVP_PKEY *key, const unsigned char hash[DKIM_HASH_SIZE], struct buf *out);

/* What a key is good for; false when it is neither RSA nor Ed25519. */
bool dkim_key_kind(const EVP_PKEY *key, enum dkim_key_kind *out);

/*
 * Appends the text of the TXT record for a key pair: "v=DKIM1; k=rsa; p=...". The caller cuts it into strings of
 * 255 octets. False when it is neither RSA nor Ed25519, or out is full.
 */
bool dkim_key_append_record(EVP_PKEY *key, struct buf *out);

#endif
