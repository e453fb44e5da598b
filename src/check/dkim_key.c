/* SPDX-License-Identifier: ISC */
/*
 * dkim_key.c - public keys as the DNS has them (RFC 6376 3.6.1, 8301, 8463)
 *
 * RSA keys are SubjectPublicKeyInfo or, as the RFC's text says, the RSAPublicKey in it; Ed25519 keys are the 32 octets
 * alone. The outer layers of the former are taken off here: OpenSSL's decoder for them costs four times as much as
 * the check of a signature.
 */
#include "check/dkim_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/encode.h"
#include "check/dkim_hash.h"
#include "check/tag_list.h"

enum { ED25519_SIZE = 32, SIGNATURE_MAX = 1024 };

static struct dkim_finding permanent(const char *reason)
{
    return (struct dkim_finding){DKIM_PERMERROR, reason};
}

static const struct dkim_finding NO_FINDING = {DKIM_NONE, ""};

/* Whether a tag that is a list has one of two items; without the tag, everything is in it. */
static bool allows(const struct tag_list *list, const char *name, struct str one, struct str other)
{
    const struct tag *tag = tag_list_find(list, name);
    if (!tag)
        return true;
    struct str rest = tag->value, item;
    while (tag_item_next(&rest, ':', &item))
        if (str_equal(item, one) || str_equal(item, other))
            return true;
    return false;
}

static bool has_flag(const struct tag_list *list, struct str flag)
{
    return tag_list_find(list, "t") && allows(list, "t", flag, flag);
}

static struct dkim_finding read_data(const struct tag_list *list, struct arena *arena,
                                     struct str *out)
{
    const struct tag *p = tag_list_find(list, "p");
    struct buf text = buf_make(DKIM_RECORD_MAX), data = buf_make(DKIM_KEY_OCTETS_MAX);
    if (!p)
        return permanent("the key record has no key");
    if (p->value.n == 0)
        return permanent("the key has been revoked");
    bool is_good = tag_value_join(&text, p->value) && decode_base64(&data, buf_str(&text));
    if (is_good)
        *out = arena_copy(arena, buf_str(&data));
    buf_free(&text);
    buf_free(&data);
    return is_good ? NO_FINDING : permanent("the key is not base64");
}

static struct dkim_finding check_use(const struct tag_list *list, struct dkim_key_use use)
{
    const struct tag *k = tag_list_find(list, "k");
    struct str kind = k ? k->value : STR("rsa");
    struct str wanted = use.kind == DKIM_KEY_RSA ? STR("rsa") : STR("ed25519");
    if (!str_equal(kind, wanted))
        return permanent("the key is for another algorithm");
    if (!allows(list, "h", STR("sha256"), STR("sha256")))
        return permanent("the key is not for SHA-256");
    if (!allows(list, "s", STR("*"), STR("email")) &&
        !(use.is_tls_report && allows(list, "s", STR("tlsrpt"), STR("tlsrpt"))))
        return permanent("the key is not for mail");
    return NO_FINDING;
}

struct dkim_finding dkim_key_read(struct str record, struct dkim_key_use use, struct arena *arena,
                                  struct dkim_key *out)
{
    struct tag_list list;
    *out = (struct dkim_key){.kind = use.kind};
    if (record.n > DKIM_RECORD_MAX || !tag_list_parse(record, &list))
        return (struct dkim_finding){DKIM_NEUTRAL, "the key record cannot be read"};
    const struct tag *v = tag_list_find(&list, "v");
    if (v && (v != &list.tag[0] || !str_equal(v->value, STR("DKIM1"))))
        return (struct dkim_finding){DKIM_NEUTRAL, "the record is no key record"};
    out->is_testing = has_flag(&list, STR("y"));
    out->is_strict = has_flag(&list, STR("s"));
    struct dkim_finding f = check_use(&list, use);
    return f.result ? f : read_data(&list, arena, &out->data);
}

/* Takes the head of a DER element with that tag off; the element must be all that is there. */
static bool enter(struct str *der, unsigned char tag)
{
    const unsigned char *p = (const unsigned char *)der->p;
    size_t head = 2, n = 0;
    if (der->n < 2 || p[0] != tag)
        return false;
    if (p[1] < 0x80) {
        n = p[1];
    } else {
        head += p[1] & 0x7FU;
        if (p[1] > 0x82 || der->n < head)
            return false;
        for (size_t i = 2; i < head; i++)
            n = n << 8 | p[i];
    }
    if (der->n - head != n)
        return false;
    *der = str_skip(*der, head);
    return true;
}

/* SubjectPublicKeyInfo: a sequence of what it is (rsaEncryption) and a string of bits; else it is as it was. */
static struct str take_rsa_key(struct str der)
{
    static const char algorithm[] = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05";
    struct str inner = der;
    if (!enter(&inner, 0x30) || !str_starts(inner, str_make(algorithm, 15)))
        return der;
    inner = str_skip(inner, 15);
    if (!enter(&inner, 0x03) || inner.n == 0 || inner.p[0] != 0)
        return der;
    return str_skip(inner, 1);
}

static bool has_large_exponent(const EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    bool is_large = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1 ||
                    BN_num_bits(e) > DKIM_RSA_EXPONENT_BITS_MAX;
    BN_free(e);
    return is_large;
}

static EVP_PKEY *open_rsa(struct str data, unsigned *bits, struct dkim_finding *out)
{
    struct str der = take_rsa_key(data);
    const unsigned char *at = (const unsigned char *)der.p;
    EVP_PKEY *key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)der.n);
    if (!key || at != (const unsigned char *)der.p + der.n)
        *out = permanent("the key is no RSA key");
    else if ((*bits = (unsigned)EVP_PKEY_get_bits(key)) < DKIM_RSA_BITS_MIN)
        *out = (struct dkim_finding){DKIM_POLICY, "the key is shorter than 1024 bits"};
    else if (*bits > DKIM_RSA_BITS_MAX)
        *out = (struct dkim_finding){DKIM_POLICY, "the key is longer than 4096 bits"};
    else if (has_large_exponent(key))
        *out = (struct dkim_finding){DKIM_POLICY, "the key's exponent is too large"};
    else
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

static bool prepare_rsa(EVP_PKEY_CTX *context)
{
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(context, dkim_hash()) == 1;
}

/* Takes the key. To look its algorithm up takes a fifth of a verification. */
static EVP_PKEY_CTX *make_ready(EVP_PKEY *key, enum dkim_key_kind kind)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    EVP_PKEY_free(key);
    if (!context ||
        (kind == DKIM_KEY_RSA && (EVP_PKEY_verify_init(context) != 1 || !prepare_rsa(context))))
        abort();
    return context;
}

EVP_PKEY_CTX *dkim_key_open(const struct dkim_key *key, unsigned *bits, struct dkim_finding *out)
{
    EVP_PKEY *opened = NULL;
    *out = NO_FINDING;
    *bits = 0;
    if (key->kind == DKIM_KEY_RSA) {
        opened = open_rsa(key->data, bits, out);
    } else if (key->data.n == ED25519_SIZE) {
        opened = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
                                             (const unsigned char *)key->data.p, key->data.n);
        *bits = ED25519_SIZE * 8;
    }
    if (!opened && !out->result)
        *out = permanent("the key is no Ed25519 key");
    EVP_PKEY_CTX *ready = opened ? make_ready(opened, key->kind) : NULL;
    ERR_clear_error();
    return ready;
}

static bool verify_rsa(EVP_PKEY_CTX *ready, struct str signature, const unsigned char *hash)
{
    return EVP_PKEY_verify(ready, (const unsigned char *)signature.p, signature.n, hash,
                           DKIM_HASH_SIZE) == 1;
}

static bool verify_ed25519(EVP_PKEY_CTX *ready, struct str signature, const unsigned char *hash)
{
    EVP_PKEY *key = EVP_PKEY_CTX_get0_pkey(ready);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
                   EVP_DigestVerify(context, (const unsigned char *)signature.p, signature.n, hash,
                                    DKIM_HASH_SIZE) == 1;
    EVP_MD_CTX_free(context);
    return is_good;
}

bool dkim_key_kind(const EVP_PKEY *key, enum dkim_key_kind *out)
{
    int id = EVP_PKEY_get_base_id(key);
    *out = id == EVP_PKEY_RSA ? DKIM_KEY_RSA : DKIM_KEY_ED25519;
    return id == EVP_PKEY_RSA || id == EVP_PKEY_ED25519;
}

bool dkim_key_verify(EVP_PKEY_CTX *ready, struct str signature,
                     const unsigned char hash[DKIM_HASH_SIZE])
{
    enum dkim_key_kind kind;
    bool is_good = dkim_key_kind(EVP_PKEY_CTX_get0_pkey(ready), &kind) &&
                   (kind == DKIM_KEY_RSA ? verify_rsa : verify_ed25519)(ready, signature, hash);
    ERR_clear_error();
    return is_good;
}

static bool sign_rsa(EVP_PKEY *key, const unsigned char *hash, unsigned char *out, size_t *n)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    bool is_good = context && EVP_PKEY_sign_init(context) == 1 && prepare_rsa(context) &&
                   EVP_PKEY_sign(context, out, n, hash, DKIM_HASH_SIZE) == 1;
    EVP_PKEY_CTX_free(context);
    return is_good;
}

static bool sign_ed25519(EVP_PKEY *key, const unsigned char *hash, unsigned char *out, size_t *n)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                   EVP_DigestSign(context, out, n, hash, DKIM_HASH_SIZE) == 1;
    EVP_MD_CTX_free(context);
    return is_good;
}

bool dkim_key_sign(EVP_PKEY *key, const unsigned char hash[DKIM_HASH_SIZE], struct buf *out)
{
    unsigned char signature[SIGNATURE_MAX];
    size_t n = sizeof signature;
    enum dkim_key_kind kind;
    bool is_good = dkim_key_kind(key, &kind) &&
                   (kind == DKIM_KEY_RSA ? sign_rsa : sign_ed25519)(key, hash, signature, &n);
    ERR_clear_error();
    return is_good && buf_append(out, str_make((const char *)signature, n));
}

static bool append_rsa(EVP_PKEY *key, struct buf *out)
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    bool is_good = n > 0 && buf_append(out, STR("v=DKIM1; k=rsa; p=")) &&
                   encode_base64(out, str_make((const char *)der, n > 0 ? (size_t)n : 0));
    OPENSSL_free(der);
    return is_good;
}

static bool append_ed25519(EVP_PKEY *key, struct buf *out)
{
    unsigned char raw[ED25519_SIZE];
    size_t n = sizeof raw;
    return EVP_PKEY_get_raw_public_key(key, raw, &n) == 1 && n == sizeof raw &&
           buf_append(out, STR("v=DKIM1; k=ed25519; p=")) &&
           encode_base64(out, str_make((const char *)raw, n));
}

bool dkim_key_append_record(EVP_PKEY *key, struct buf *out)
{
    enum dkim_key_kind kind;
    size_t start = out->used;
    if (dkim_key_kind(key, &kind) && (kind == DKIM_KEY_RSA ? append_rsa : append_ed25519)(key, out))
        return true;
    out->used = start;
    return false;
}
