/* SPDX-License-Identifier: ISC */
/*
 * verifier.c - what is stored instead of a password: SCRAM-SHA-256 (RFC 5802, RFC 7677)
 */
#include "directory/verifier.h"

#include <assert.h>
#include <stdlib.h>

#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static void hmac(const void *key, size_t key_size, struct str text, uint8_t out[VERIFIER_KEY_BYTES])
{
    unsigned n = 0;
    const unsigned char *done =
        HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)text.p, text.n, out, &n);
    assert(done && n == VERIFIER_KEY_BYTES);
}

/* The password as SASLprep wants it, for free() after OPENSSL_cleanse; NULL when forbidden. */
static char *prepare(struct str password)
{
    char text[VERIFIER_PASSWORD_MAX + 1], *prepared = NULL;
    if (password.n == 0 || password.n > VERIFIER_PASSWORD_MAX || str_has(password, '\0'))
        return NULL;
    memcpy(text, password.p, password.n);
    text[password.n] = '\0';
    int result = gsasl_saslprep(text, GSASL_ALLOW_UNASSIGNED, &prepared, NULL);
    OPENSSL_cleanse(text, sizeof text);
    return result == GSASL_OK ? prepared : NULL;
}

bool verifier_make(struct str password, const uint8_t salt[VERIFIER_SALT_BYTES],
                   uint32_t iterations, struct directory_verifier *out)
{
    uint8_t salted[VERIFIER_KEY_BYTES], client_key[VERIFIER_KEY_BYTES];
    char *prepared = prepare(password);
    if (!prepared)
        return false;
    size_t n = strlen(prepared);
    int is_done = PKCS5_PBKDF2_HMAC(prepared, (int)n, salt, VERIFIER_SALT_BYTES, (int)iterations,
                                    EVP_sha256(), sizeof salted, salted);
    assert(is_done == 1);
    OPENSSL_cleanse(prepared, n);
    gsasl_free(prepared);
    memcpy(out->salt, salt, sizeof out->salt);
    out->iterations = iterations;
    hmac(salted, sizeof salted, STR("Client Key"), client_key);
    hmac(salted, sizeof salted, STR("Server Key"), out->server_key);
    is_done = EVP_Digest(client_key, sizeof client_key, out->stored_key, NULL, EVP_sha256(), NULL);
    assert(is_done == 1);
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(client_key, sizeof client_key);
    return true;
}

bool verifier_fits(const struct directory_verifier *v, struct str password)
{
    struct directory_verifier made;
    bool is_possible = verifier_make(password, v->salt, v->iterations, &made);
    if (!is_possible && !verifier_make(STR("x"), v->salt, v->iterations, &made))
        return false;
    bool is_equal = CRYPTO_memcmp(made.stored_key, v->stored_key, sizeof made.stored_key) == 0;
    return is_possible && is_equal;
}

void verifier_fake(struct str secret, struct str name, struct directory_verifier *out)
{
    uint8_t key[VERIFIER_KEY_BYTES], salt[VERIFIER_KEY_BYTES];
    hmac(secret.p, secret.n, name, key);
    hmac(key, sizeof key, STR("salt"), salt);
    memcpy(out->salt, salt, sizeof out->salt);
    out->iterations = VERIFIER_ITERATIONS;
    hmac(key, sizeof key, STR("stored key"), out->stored_key);
    hmac(key, sizeof key, STR("server key"), out->server_key);
}
