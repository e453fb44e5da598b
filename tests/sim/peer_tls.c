/* SPDX-License-Identifier: ISC */
/*
 * peer_tls.c - TLS at the peers' end of a stream
 */
#include "peer_tls.h"

#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

enum { PIECE_BYTES = 2048, OPEN_MOST = 256, SERIAL = 1, AGE_S = 20 * 365 * 86400 };

struct peer_tls {
    struct stream *stream;
    int64_t patience_ns;
    uint64_t process; /* whose memory it is */
    SSL *ssl;
    BIO *in, *out; /* what came, what is to go */
    char piece[PIECE_BYTES];
};

static SSL_CTX *context;
static unsigned char digest[PEER_TLS_DIGEST];
static SSL *open_sessions[OPEN_MOST]; /* of this process */

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    unsigned char *spki = NULL;
    ASN1_INTEGER_set(X509_get_serialNumber(x), SERIAL);
    X509_gmtime_adj(X509_getm_notBefore(x), -AGE_S);
    X509_gmtime_adj(X509_getm_notAfter(x), AGE_S);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"peer", -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    int size = i2d_PUBKEY(key, &spki);
    if (size <= 0 || X509_sign(x, key, NULL) == 0)
        sim_broken("the peers have no certificate");
    SHA256(spki, (size_t)size, digest);
    OPENSSL_free(spki);
    return x;
}

void peer_tls_prepare(void)
{
    static const unsigned char seed[32] = "the key of all simulated servers";
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    X509 *certificate = make_certificate(key);
    context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    if (SSL_CTX_use_certificate(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(context, key) != 1)
        sim_broken("the peers cannot use their certificate");
    X509_free(certificate);
    EVP_PKEY_free(key);
}

const unsigned char *peer_tls_digest(void)
{
    return digest;
}

static bool is_alive(const struct peer_tls *t)
{
    return t->process == world->process;
}

static SSL **find_session(const SSL *ssl)
{
    for (size_t i = 0; i < OPEN_MOST; i++)
        if (open_sessions[i] == ssl)
            return &open_sessions[i];
    sim_broken("peers have too many sessions of TLS");
}

void peer_tls_free(struct peer_tls *t)
{
    if (!t)
        return;
    if (is_alive(t)) {
        *find_session(t->ssl) = NULL;
        SSL_free(t->ssl);
    }
    world_free(t, sizeof *t);
}

void peer_tls_end(void)
{
    for (size_t i = 0; i < OPEN_MOST; i++)
        SSL_free(open_sessions[i]);
}

/* Sends what there is to send. */
static bool flush(struct peer_tls *t)
{
    for (int n; is_alive(t) && (n = BIO_read(t->out, t->piece, PIECE_BYTES)) > 0;)
        if (!net_write(t->stream, t->piece, (size_t)n, world->now_ns + t->patience_ns))
            return false;
    return is_alive(t);
}

/* Waits for more. */
static bool fill(struct peer_tls *t)
{
    ptrdiff_t n = net_read(t->stream, t->piece, PIECE_BYTES, world->now_ns + t->patience_ns);
    return n > 0 && is_alive(t) && BIO_write(t->in, t->piece, (int)n) == (int)n;
}

/* After a call that gave no result: whether it is to be made again. */
static bool may_go_on(struct peer_tls *t, int result)
{
    bool wants_more = SSL_get_error(t->ssl, result) == SSL_ERROR_WANT_READ;
    return flush(t) && wants_more && fill(t);
}

struct peer_tls *peer_tls_accept(struct stream *s, int64_t patience_ns)
{
    struct peer_tls *t = world_alloc(sizeof *t);
    t->stream = s;
    t->patience_ns = patience_ns;
    t->process = world->process;
    t->ssl = SSL_new(context);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    SSL_set_bio(t->ssl, t->in, t->out);
    *find_session(NULL) = t->ssl;
    int result;
    while ((result = SSL_accept(t->ssl)) <= 0)
        if (!may_go_on(t, result))
            break;
    if (result > 0 && flush(t))
        return t;
    peer_tls_free(t);
    return NULL;
}

ptrdiff_t peer_tls_read(struct peer_tls *t, void *memory, size_t size)
{
    while (is_alive(t)) {
        int n = SSL_read(t->ssl, memory, (int)size);
        if (n > 0)
            return n;
        if (SSL_get_error(t->ssl, n) == SSL_ERROR_ZERO_RETURN)
            return 0;
        if (!may_go_on(t, n))
            break;
    }
    return -1;
}

bool peer_tls_write(struct peer_tls *t, const void *memory, size_t size)
{
    return is_alive(t) && SSL_write(t->ssl, memory, (int)size) == (int)size && flush(t);
}
