/* SPDX-License-Identifier: ISC */
/*
 * key_pair.h - key pairs for signatures, from the system's randomness (RFC 8301, 8463), and as PEM
 */
#ifndef OS_KEY_PAIR_H
#define OS_KEY_PAIR_H

#include <openssl/types.h>

#include "base/buf.h"
#include "check/dkim_key.h"

enum { KEY_PAIR_RSA_BITS = 2048, KEY_PAIR_PEM_MAX = 16 * 1024 };

/*
 * Makes a pair; RSA takes a tenth of a second, or ten times that. The caller frees it with EVP_PKEY_free. NULL when
 * OpenSSL fails.
 */
EVP_PKEY *key_pair_make(enum dkim_key_kind kind);

/* Appends the private key as PEM (PKCS#8, in the clear). False, out unchanged, when out is full or OpenSSL fails. */
bool key_pair_write(const EVP_PKEY *key, struct buf *out);

/* Reads a private key from PEM; NULL when it is none, or is encrypted. The caller frees it with EVP_PKEY_free. */
EVP_PKEY *key_pair_read(struct str pem);

#endif
