/* SPDX-License-Identifier: ISC */
/*
 * certificate.c - a self-signed certificate, so that TLS works from the first minute
 */
#include "cli/certificate.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "os/random.h"

enum { DAY_SECONDS = 24 * 3600, YEARS = 10 };

static bool add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool is_added = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return is_added;
}

static bool add_names(X509 *x, const struct str *names, size_t count)
{
    struct buf list = buf_make(4096);
    bool is_good = true;
    for (size_t i = 0; i < count && is_good; i++) {
        bool is_address = str_starts(names[i], STR("IP:"));
        is_good = (i == 0 || buf_append_byte(&list, ',')) &&
                  (is_address || buf_append(&list, STR("DNS:"))) && buf_append(&list, names[i]);
    }
    is_good = is_good && buf_append_byte(&list, '\0') &&
              add_extension(x, NID_subject_alt_name, list.data);
    buf_free(&list);
    return is_good;
}

static bool fill(X509 *x, EVP_PKEY *key, const struct str *names, size_t count)
{
    X509_NAME *subject = X509_get_subject_name(x);
    /* The common name holds 64 bytes at most; longer names stand among the others only. */
    struct str first = str_head(names[0], 64);
    return X509_set_version(x, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), random_u64() >> 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(x), -DAY_SECONDS) &&
           X509_gmtime_adj(X509_getm_notAfter(x), (long)YEARS * 365 * DAY_SECONDS) &&
           X509_set_pubkey(x, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)first.p,
                                      (int)first.n, -1, 0) == 1 &&
           X509_set_issuer_name(x, subject) == 1 &&
           add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
           add_names(x, names, count) && X509_sign(x, key, EVP_sha256()) > 0;
}

static bool take_pem(BIO *bio, struct buf *out)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    return n > 0 && buf_append(out, str_make(data, (size_t)n));
}

bool certificate_make(const struct str *names, size_t count, struct buf *chain, struct buf *key)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    BIO *chain_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
    bool is_good = pair && x && chain_pem && key_pem && fill(x, pair, names, count) &&
                   PEM_write_bio_X509(chain_pem, x) == 1 &&
                   PEM_write_bio_PrivateKey(key_pem, pair, NULL, NULL, 0, NULL, NULL) == 1 &&
                   take_pem(chain_pem, chain) && take_pem(key_pem, key);
    BIO_free(chain_pem);
    BIO_free(key_pem);
    X509_free(x);
    EVP_PKEY_free(pair);
    return is_good;
}

bool certificate_digest(struct str bytes, char hex[CERTIFICATE_DIGEST_HEX_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(bytes.p, bytes.n, digest, &size, EVP_sha256(), NULL) != 1)
        return false;
    for (unsigned i = 0; i < size; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return true;
}

bool certificate_key_digest(struct str pem, struct str host, char hex[CERTIFICATE_DIGEST_HEX_SIZE])
{
    unsigned char *key = NULL;
    BIO *memory = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *certificate = memory ? PEM_read_bio_X509(memory, NULL, NULL, NULL) : NULL;
    bool is_good = certificate && X509_check_host(certificate, host.p, host.n, 0, NULL) == 1;
    int size = is_good ? i2d_PUBKEY(X509_get0_pubkey(certificate), &key) : 0;
    is_good = size > 0 && certificate_digest(str_make((const char *)key, (size_t)size), hex);
    OPENSSL_free(key);
    X509_free(certificate);
    BIO_free(memory);
    ERR_clear_error();
    return is_good;
}

/* Whether the certificate, or its key, is what the record has. */
static bool is_of(X509 *certificate, const struct dns_tlsa *t)
{
    enum { KEY = 1, FULL = 0, SHA_512 = 2 };
    unsigned char *der = NULL, digest[EVP_MAX_MD_SIZE];
    unsigned digest_n = 0;
    int n = t->selector == KEY ? i2d_PUBKEY(X509_get0_pubkey(certificate), &der)
                               : i2d_X509(certificate, &der);
    if (n <= 0)
        return false;
    struct str whole = str_make((const char *)der, (size_t)n);
    bool is_same =
        t->matching == FULL
            ? str_equal(whole, t->data)
            : EVP_Digest(whole.p, whole.n, digest, &digest_n,
                         t->matching == SHA_512 ? EVP_sha512() : EVP_sha256(), NULL) == 1 &&
                  str_equal(str_make((const char *)digest, digest_n), t->data);
    OPENSSL_free(der);
    return is_same;
}

bool certificate_fits(struct str pem, struct str host, const struct dns_tlsa *record)
{
    enum { DANE_EE = 3 };
    BIO *memory = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *one;
    bool is_fit = false, is_for_host = record->usage == DANE_EE;
    for (bool is_first = true; memory && dns_tlsa_is_usable(record) && !is_fit &&
                               (is_first || record->usage != DANE_EE) &&
                               (one = PEM_read_bio_X509(memory, NULL, NULL, NULL));
         is_first = false) {
        if (is_first)
            is_for_host = is_for_host || X509_check_host(one, host.p, host.n, 0, NULL) == 1;
        is_fit = is_for_host && is_of(one, record);
        X509_free(one);
    }
    BIO_free(memory);
    ERR_clear_error();
    return is_fit;
}
