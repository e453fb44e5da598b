/* SPDX-License-Identifier: ISC */
/*
 * encode.h - bytes as text: base64, hexadecimal, xtext
 *
 * Encoders and decoders append to a buffer and return false when its limit is reached or, for the
 * decoders, when the input is malformed; the buffer then ends where it did before.
 */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/buf.h"

/* Base64 with padding and without line breaks (RFC 4648 section 4). */
bool encode_base64(struct buf *out, struct str bytes);

/* Strict: padding required, no white space, unused bits zero. */
bool decode_base64(struct buf *out, struct str text);

/* Lower-case hexadecimal. */
bool encode_hex(struct buf *out, struct str bytes);
bool decode_hex(struct buf *out, struct str text);

/* xtext (RFC 3461 section 4): '+' and two upper-case hexadecimal digits for '+', '=' and what is
 * not printable ASCII. */
bool encode_xtext(struct buf *out, struct str bytes);
bool decode_xtext(struct buf *out, struct str text);

#endif
