/* SPDX-License-Identifier: ISC */
/*
 * key_pair.c - key pairs for signatures, from the system's randomness (RFC 8301, 8463), and as PEM
 */
#include "os/key_pair.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

EVP_PKEY *key_pair_make(enum dkim_key_kind kind)
{
    EVP_PKEY *key = kind == DKIM_KEY_RSA
                        ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)KEY_PAIR_RSA_BITS)
                        : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    ERR_clear_error();
    return key;
}

bool key_pair_write(const EVP_PKEY *key, struct buf *out)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    bool is_good = memory && PEM_write_bio_PrivateKey(memory, key, NULL, NULL, 0, NULL, NULL) == 1;
    long n = is_good ? BIO_get_mem_data(memory, &text) : 0;
    is_good = n > 0 && buf_append(out, str_make(text, (size_t)n));
    if (n > 0)
        OPENSSL_cleanse(text, (size_t)n);
    BIO_free(memory);
    ERR_clear_error();
    return is_good;
}

/* Instead of the question at the terminal that OpenSSL would put. */
static int refuse_passphrase(char *out, int size, int is_writing, void *context)
{
    (void)out, (void)size, (void)is_writing, (void)context;
    return -1;
}

EVP_PKEY *key_pair_read(struct str pem)
{
    if (pem.n > KEY_PAIR_PEM_MAX)
        return NULL;
    BIO *memory = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = memory ? PEM_read_bio_PrivateKey(memory, NULL, refuse_passphrase, NULL) : NULL;
    BIO_free(memory);
    ERR_clear_error();
    return key;
}
