/* SPDX-License-Identifier: ISC */
/*
 * received.h - the trace fields a server puts on top of a message (RFC 5321 4.4)
 */
#ifndef MAIL_RECEIVED_H
#define MAIL_RECEIVED_H

#include "mail/address.h"

#include <stdint.h>

enum { RECEIVED_LOOP_LIMIT = 100, RECEIVED_FIELD_MAX = 4096 };

struct received {
    struct str helo;               /* as the client said it; any bytes */
    struct str client_name;        /* confirmed reverse name; empty: "unknown" */
    struct str client_ip;          /* "192.0.2.1" or "2001:db8::1"; empty for a local client */
    struct str hostname;           /* ours */
    bool is_lmtp, is_extended;     /* LHLO; EHLO */
    bool is_tls, is_authenticated; /* the S and A of RFC 3848 */
    bool is_utf8;                  /* SMTPUTF8 was given (RFC 6531 4.3) */
    struct str tls_version, tls_cipher;
    struct str id;                   /* of the message in the queue */
    const struct address *recipient; /* the only one; NULL when there are several */
    int64_t time;                    /* Unix seconds */
    int offset_minutes;
};

/* "ESMTPSA", "UTF8LMTP" and so on (RFC 3848, 6531). */
struct str received_with(const struct received *r, char keyword[16]);

/*
 * Appends the whole Received field with CRLF, folded. Bytes that could break or forge it become
 * '?'. False, out unchanged, when out is full; RECEIVED_FIELD_MAX octets are enough.
 */
bool received_append(struct buf *out, const struct received *r);

/* Appends "Return-Path: <...>" with CRLF. */
bool received_append_return_path(struct buf *out, const struct address *sender);

#endif
