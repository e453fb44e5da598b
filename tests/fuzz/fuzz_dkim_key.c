/* SPDX-License-Identifier: ISC */
/*
 * fuzz_dkim_key.c - a key that is opened is the one that OpenSSL's own reader finds, of an allowed size, and its record
 * written again reads as the same key
 */
#include "check/dkim_key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "fuzz.h"

static void check_rsa(const struct dkim_key *key, EVP_PKEY *opened, unsigned bits)
{
    const unsigned char *at = (const unsigned char *)key->data.p;
    must(bits >= DKIM_RSA_BITS_MIN && bits <= DKIM_RSA_BITS_MAX);
    EVP_PKEY *other = d2i_PUBKEY(NULL, &at, (long)key->data.n);
    if (!other) {
        at = (const unsigned char *)key->data.p;
        other = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)key->data.n);
    }
    must(other && EVP_PKEY_eq(opened, other) == 1);
    EVP_PKEY_free(other);
    ERR_clear_error();
}

static void check_written(EVP_PKEY *opened, enum dkim_key_kind kind)
{
    struct arena arena = arena_make(8192);
    struct buf record = buf_make(DKIM_RECORD_MAX);
    struct dkim_finding found;
    struct dkim_key key;
    unsigned bits;
    must(dkim_key_append_record(opened, &record));
    must(
        !dkim_key_read(buf_str(&record), (struct dkim_key_use){.kind = kind}, &arena, &key).result);
    EVP_PKEY_CTX *again = dkim_key_open(&key, &bits, &found);
    must(again && EVP_PKEY_eq(opened, EVP_PKEY_CTX_get0_pkey(again)) == 1);
    EVP_PKEY_CTX_free(again);
    buf_free(&record);
    arena_free(&arena);
}

static void check_key(const struct dkim_key *key)
{
    struct dkim_finding found;
    unsigned bits;
    unsigned char hash[DKIM_HASH_SIZE] = {0};
    EVP_PKEY_CTX *ready = dkim_key_open(key, &bits, &found);
    must((ready != NULL) == (found.result == DKIM_NONE));
    must(ERR_peek_error() == 0);
    if (!ready)
        return;
    EVP_PKEY *opened = EVP_PKEY_CTX_get0_pkey(ready);
    if (key->kind == DKIM_KEY_RSA)
        check_rsa(key, opened, bits);
    check_written(opened, key->kind);
    must(!dkim_key_verify(ready, STR("not a signature"), hash));
    EVP_PKEY_CTX_free(ready);
}

const struct fuzz_memory fuzz_memory = {.factor = 64, .base = 64 << 10};

void fuzz_one(struct str in)
{
    struct dkim_key key;
    uint8_t choice = take_octet(&in);
    struct dkim_key_use use = {.kind = choice & 1 ? DKIM_KEY_ED25519 : DKIM_KEY_RSA,
                               .is_tls_report = choice & 2};
    struct arena arena = arena_make(8192);
    struct dkim_finding found = dkim_key_read(in, use, &arena, &key);
    must(found.result == DKIM_NONE || found.result == DKIM_NEUTRAL ||
         found.result == DKIM_PERMERROR);
    must((found.result == DKIM_NONE) == (*found.reason == '\0'));
    if (!found.result)
        check_key(&key);
    arena_free(&arena);
}
