/* SPDX-License-Identifier: ISC */
/*
 * transfer_encoder.h - bytes as quoted-printable or base64 lines, while they arrive (RFC 2045 6.7, 6.8)
 */
#ifndef MAIL_TRANSFER_ENCODER_H
#define MAIL_TRANSFER_ENCODER_H

#include "base/buf.h"

enum { TRANSFER_BASE64_GROUP = 57 };

/* Zero-initialised it stands at the start of a body; the result does not depend on how the body is
 * split. An octet becomes at most TRANSFER_GROWTH octets, and an end at most 80 more. */
struct transfer_encoder {
    bool is_base64;
    size_t column; /* quoted-printable: of the line so far */
    size_t held_n; /* base64: bytes that wait for a line; else 1 while a byte waits for the next */
    char held[TRANSFER_BASE64_GROUP];
};

enum { TRANSFER_GROWTH = 4 };

/* Encodes the bytes; CRLF is a line break in quoted-printable. False when out is full. */
bool transfer_encode(struct transfer_encoder *e, struct str bytes, struct buf *out);

/* Encodes what is held back; base64 ends with a CRLF. The encoder stands at the start again. */
bool transfer_encode_end(struct transfer_encoder *e, struct buf *out);

#endif
