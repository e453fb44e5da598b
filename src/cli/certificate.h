/* SPDX-License-Identifier: ISC */
/*
 * certificate.h - a self-signed certificate, so that TLS works from the first minute; digests for the DNS
 */
#ifndef CLI_CERTIFICATE_H
#define CLI_CERTIFICATE_H

#include "base/buf.h"
#include "proto/dns.h"

/*
 * Makes an ECDSA P-256 key and a certificate for the names (the first is its subject; addresses are
 * written "IP:127.0.0.1"), valid for ten years, both as PEM. False when OpenSSL fails.
 */
bool certificate_make(const struct str *names, size_t count, struct buf *chain, struct buf *key);

enum { CERTIFICATE_DIGEST_HEX_SIZE = 65 };

/* The SHA-256 of the bytes in hexadecimal digits. False when OpenSSL fails. */
bool certificate_digest(struct str bytes, char hex[CERTIFICATE_DIGEST_HEX_SIZE]);

/*
 * The SHA-256 of the public key of a PEM chain's first certificate, as TLSA 3 1 1 has it (RFC 7671 5.1). False when the
 * certificate is not for that host, or there is none.
 */
bool certificate_key_digest(struct str pem, struct str host, char hex[CERTIFICATE_DIGEST_HEX_SIZE]);

/*
 * Whether a TLSA record that SMTP can use is about a PEM chain (RFC 6698 section 2.1, RFC 7672 section 3.1): about the first
 * certificate, or with DANE-TA, which wants the first to be for the host, any of them.
 */
bool certificate_fits(struct str pem, struct str host, const struct dns_tlsa *record);

#endif
