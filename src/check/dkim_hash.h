/* SPDX-License-Identifier: ISC */
/*
 * dkim_hash.h - the digest of everything that is signed
 */
#ifndef CHECK_DKIM_HASH_H
#define CHECK_DKIM_HASH_H

#include <openssl/types.h>

/* SHA-256, looked up in OpenSSL once: that takes as long as to hash a few hundred octets. Any thread. */
const EVP_MD *dkim_hash(void);

/* A digest that has seen nothing yet, for EVP_MD_CTX_free. */
EVP_MD_CTX *dkim_hash_begin(void);

#endif
