/* SPDX-License-Identifier: ISC */
/*
 * pack.h - numbers and strings in binary records, little-endian
 *
 * Writers append to a buffer whose limit the caller knows to suffice. A reader remembers that it
 * ran out or met a length that cannot be: ask once, at the end.
 */
#ifndef BASE_PACK_H
#define BASE_PACK_H

#include "base/buf.h"

#include <stdint.h>

void pack_u8(struct buf *out, uint8_t value);
void pack_u32(struct buf *out, uint32_t value);
void pack_u64(struct buf *out, uint64_t value);
void pack_str(struct buf *out, struct str s); /* 32-bit length and the bytes */

struct unpack {
    struct str rest;
    bool is_bad; /* from then on every value is 0 or empty */
};

uint8_t unpack_u8(struct unpack *u);
uint32_t unpack_u32(struct unpack *u);
uint64_t unpack_u64(struct unpack *u);
struct str unpack_str(struct unpack *u); /* points into the input */

#endif
