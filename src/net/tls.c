/* SPDX-License-Identifier: ISC */
/*
 * tls.c - keys, certificates and settings that many TLS streams share
 */
#include "net/tls.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

enum { MOST_CERTIFICATES = 64, TICKET_KEYS_MAX = 128 };

struct named {
    X509 *certificate;
    SSL_CTX *context;
};

struct tls_context {
    SSL_CTX *context[MOST_CERTIFICATES]; /* the first one serves clients without SNI */
    size_t count;
    struct named named[MOST_CERTIFICATES];
    size_t named_count;
    atomic_uint references;
    bool is_slow;
};

static struct fault ssl_fault(const char *what, const char *path)
{
    /* The system's own word stands first, before what the library thinks of it. */
    unsigned long first = ERR_peek_error(), code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    if (ERR_SYSTEM_ERROR(first))
        reason = strerrordesc_np(ERR_GET_REASON(first));
    struct fault f = fault_make(451, FAULT_STATUS(4, 3, 5), "%s %s: %s", what, path,
                                reason ? reason : "cannot be read");
    ERR_clear_error();
    return f;
}

static SSL_CTX *new_context(const SSL_METHOD *method, enum tls_version minimum)
{
    SSL_CTX *x = SSL_CTX_new(method);
    if (!x)
        abort();
    static const int versions[] = {
        [TLS_1_0] = TLS1_VERSION, [TLS_1_2] = TLS1_2_VERSION, [TLS_1_3] = TLS1_3_VERSION};
    SSL_CTX_set_min_proto_version(x, versions[minimum]);
    SSL_CTX_set_options(x, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(x, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
    return x;
}

static struct fault load(SSL_CTX *x, const struct tls_certificate *certificate)
{
    if (SSL_CTX_use_certificate_chain_file(x, certificate->certificate_path) != 1)
        return ssl_fault("certificate", certificate->certificate_path);
    if (SSL_CTX_use_PrivateKey_file(x, certificate->key_path, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(x) != 1)
        return ssl_fault("key", certificate->key_path);
    return FINE;
}

static int choose_by_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    const struct tls_context *t = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!name)
        return SSL_TLSEXT_ERR_NOACK;
    for (size_t i = 0; i < t->named_count; i++) {
        if (X509_check_host(t->named[i].certificate, name, 0, 0, NULL) == 1) {
            SSL_set_SSL_CTX(ssl, t->named[i].context);
            break;
        }
    }
    return SSL_TLSEXT_ERR_OK;
}

/* The context that has a certificate for the same name with another type of key, or NULL: an RSA
 * and an ECDSA certificate share a context. */
static SSL_CTX *context_for(const struct tls_context *t, X509 *certificate)
{
    char name[256];
    X509_NAME *subject = X509_get_subject_name(certificate);
    if (X509_NAME_get_text_by_NID(subject, NID_commonName, name, sizeof name) <= 0)
        return NULL;
    int type = EVP_PKEY_get_base_id(X509_get0_pubkey(certificate));
    for (size_t i = 0; i < t->named_count; i++) {
        X509 *other = t->named[i].certificate;
        if (X509_check_host(other, name, 0, 0, NULL) == 1 &&
            EVP_PKEY_get_base_id(X509_get0_pubkey(other)) != type)
            return t->named[i].context;
    }
    return NULL;
}

static void remember(struct tls_context *t, SSL_CTX *x, X509 *certificate)
{
    X509_up_ref(certificate);
    t->named[t->named_count++] = (struct named){certificate, x};
}

static struct fault add_certificate(struct tls_context *t, const struct tls_certificate *c,
                                    enum tls_version minimum)
{
    SSL_CTX *x = new_context(TLS_server_method(), minimum);
    struct fault f = load(x, c);
    if (f.kind) {
        SSL_CTX_free(x);
        return f;
    }
    X509 *certificate = SSL_CTX_get0_certificate(x);
    SSL_CTX *shared = context_for(t, certificate);
    remember(t, shared ? shared : x, certificate);
    if (shared) {
        SSL_CTX_free(x);
        return load(shared, c);
    }
    SSL_CTX_set_num_tickets(x, 1);
    SSL_CTX_set_session_id_context(x, (const unsigned char *)"eilbote", 7);
    SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
    if (EVP_PKEY_get_base_id(SSL_CTX_get0_privatekey(x)) == EVP_PKEY_RSA)
        t->is_slow = true;
    t->context[t->count++] = x;
    return FINE;
}

/* One set of ticket keys for all certificates, taken over from the predecessor. */
static void share_ticket_keys(struct tls_context *t, struct tls_context *predecessor)
{
    unsigned char keys[TICKET_KEYS_MAX];
    SSL_CTX *source = predecessor ? predecessor->context[0] : t->context[0];
    long size = SSL_CTX_get_tlsext_ticket_keys(source, NULL, 0);
    if (size <= 0 || size > TICKET_KEYS_MAX ||
        SSL_CTX_get_tlsext_ticket_keys(source, keys, size) != 1)
        return;
    for (size_t i = 0; i < t->count; i++)
        SSL_CTX_set_tlsext_ticket_keys(t->context[i], keys, size);
    OPENSSL_cleanse(keys, sizeof keys);
}

struct fault tls_context_server(const struct tls_certificate *certificates, size_t count,
                                enum tls_version minimum, struct tls_context *predecessor,
                                struct tls_context **out)
{
    *out = NULL;
    if (count == 0 || count > MOST_CERTIFICATES)
        return fault_make(451, FAULT_STATUS(4, 3, 5), "between 1 and %d certificates are needed",
                          MOST_CERTIFICATES);
    struct tls_context *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    atomic_init(&t->references, 1);
    for (size_t i = 0; i < count; i++) {
        struct fault f = add_certificate(t, &certificates[i], minimum);
        if (f.kind) {
            tls_context_drop(t);
            return f;
        }
    }
    SSL_CTX_set_tlsext_servername_callback(t->context[0], choose_by_name);
    SSL_CTX_set_tlsext_servername_arg(t->context[0], t);
    share_ticket_keys(t, predecessor);
    *out = t;
    return FINE;
}

struct fault tls_context_client(enum tls_version minimum, const char *authorities,
                                struct tls_context **out)
{
    struct tls_context *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    atomic_init(&t->references, 1);
    SSL_CTX *x = new_context(TLS_client_method(), minimum);
    t->context[t->count++] = x;
    SSL_CTX_set_verify(x, SSL_VERIFY_NONE, NULL);
    if (SSL_CTX_dane_enable(x) != 1)
        abort();
    /* Not SSL_CTX_set_default_verify_paths: that adds a store which lists the whole directory once
     * more in each handshake with a certificate that nobody vouches for. */
    SSL_CTX_set_default_verify_file(x);
    SSL_CTX_set_default_verify_dir(x);
    *out = NULL;
    if (authorities && SSL_CTX_load_verify_file(x, authorities) != 1) {
        tls_context_drop(t);
        return ssl_fault("certificate authorities", authorities);
    }
    ERR_clear_error();
    *out = t;
    return FINE;
}

struct tls_context *tls_context_keep(struct tls_context *t)
{
    atomic_fetch_add(&t->references, 1);
    return t;
}

void tls_context_drop(struct tls_context *t)
{
    if (!t || atomic_fetch_sub(&t->references, 1) != 1)
        return;
    for (size_t i = 0; i < t->count; i++)
        SSL_CTX_free(t->context[i]);
    for (size_t i = 0; i < t->named_count; i++)
        X509_free(t->named[i].certificate);
    free(t);
}

bool tls_context_is_slow(const struct tls_context *t)
{
    return t->is_slow;
}

SSL *tls_context_new_session(struct tls_context *t)
{
    return SSL_new(t->context[0]);
}
