/* SPDX-License-Identifier: ISC */
/*
 * tls_peer.c - who the server at the other end of a TLS stream has to be, and whether it is
 */
#include "net/tls_peer.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* OpenSSL looks for names and chains itself where DANE-TA is concerned; with DANE-EE neither counts (RFC 7672 section 3.1.1). */
static bool prepare_dane(SSL *ssl, struct tls_peer *peer)
{
    if (SSL_dane_enable(ssl, peer->reference[0]) != 1)
        return false;
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    for (size_t i = 1; i < TLS_PEER_NAMES_MAX && peer->reference[i]; i++)
        if (SSL_add1_host(ssl, peer->reference[i]) != 1)
            return false;
    for (size_t i = 0; i < peer->tlsa_count; i++) {
        const struct dns_tlsa *t = &peer->tlsa[i];
        if (dns_tlsa_is_usable(t) &&
            SSL_dane_tlsa_add(ssl, t->usage, t->selector, t->matching,
                              (const unsigned char *)t->data.p, t->data.n) > 0)
            peer->usable_count++;
    }
    return true;
}

bool tls_peer_prepare(SSL *ssl, struct tls_peer *peer)
{
    peer->usable_count = 0;
    if (peer->tlsa_count > 0 && !prepare_dane(ssl, peer))
        return false;
    /* SSL_set_tlsext_host_name, whose cast drops const; the name is copied. */
    return !peer->name || SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                                   (void *)(uintptr_t)peer->name) == 1;
}

static bool has_name(X509 *certificate, const struct tls_peer *peer)
{
    unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    if (peer->is_common_name_ignored)
        flags |= X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    for (size_t i = 0; i < TLS_PEER_NAMES_MAX && peer->reference[i]; i++)
        if (X509_check_host(certificate, peer->reference[i], 0, flags, NULL) == 1)
            return true;
    return false;
}

enum tls_trust tls_peer_trust(SSL *ssl, const struct tls_peer *peer, const char **reason)
{
    long result = SSL_get_verify_result(ssl);
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    *reason = certificate ? X509_verify_cert_error_string(result) : "no certificate";
    if (!certificate)
        return TLS_NOT_TRUSTED;
    if (result == X509_V_ERR_DANE_NO_MATCH)
        return TLS_NO_MATCH;
    if (result == X509_V_ERR_CERT_HAS_EXPIRED || result == X509_V_ERR_CERT_NOT_YET_VALID)
        return TLS_EXPIRED;
    bool is_other = result == X509_V_ERR_HOSTNAME_MISMATCH;
    if (result != X509_V_OK && !is_other)
        return peer->tlsa_count > 0 ? TLS_NO_MATCH : TLS_NOT_TRUSTED;
    if (is_other || (peer->tlsa_count == 0 && !has_name(certificate, peer))) {
        *reason = "the certificate is for another name";
        return TLS_OTHER_NAME;
    }
    *reason = NULL;
    return TLS_TRUSTED;
}
