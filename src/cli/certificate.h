/* SPDX-License-Identifier: ISC */
/*
 * certificate.h - a self-signed certificate, so that TLS works from the first minute
 */
#ifndef CLI_CERTIFICATE_H
#define CLI_CERTIFICATE_H

#include "base/buf.h"

/*
 * Makes an ECDSA P-256 key and a certificate for the names (the first is its subject; addresses are
 * written "IP:127.0.0.1"), valid for ten years, both as PEM. False when OpenSSL fails.
 */
bool certificate_make(const struct str *names, size_t count, struct buf *chain, struct buf *key);

#endif
