/* SPDX-License-Identifier: ISC */
/*
 * dkim_hash.c - the digest of everything that is signed
 */
#include "check/dkim_hash.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>

static _Atomic(EVP_MD *) sha256;

const EVP_MD *dkim_hash(void)
{
    EVP_MD *known = atomic_load(&sha256), *none = NULL;
    if (known)
        return known;
    known = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!known)
        abort();
    if (atomic_compare_exchange_strong(&sha256, &none, known))
        return known;
    EVP_MD_free(known); /* another thread was faster */
    return none;
}

EVP_MD_CTX *dkim_hash_begin(void)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!c || EVP_DigestInit_ex(c, dkim_hash(), NULL) != 1)
        abort();
    return c;
}
