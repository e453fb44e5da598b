/* SPDX-License-Identifier: ISC */
/*
 * pack.c - numbers and strings in binary records, little-endian
 */
#include "base/pack.h"

#include <assert.h>

static void pack_bytes(struct buf *out, uint64_t value, size_t count)
{
    char bytes[8];
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)(value >> (8 * i));
    bool is_room = buf_append(out, str_make(bytes, count));
    assert(is_room);
}

void pack_u8(struct buf *out, uint8_t value)
{
    pack_bytes(out, value, 1);
}

void pack_u32(struct buf *out, uint32_t value)
{
    pack_bytes(out, value, 4);
}

void pack_u64(struct buf *out, uint64_t value)
{
    pack_bytes(out, value, 8);
}

void pack_str(struct buf *out, struct str s)
{
    assert(s.n <= UINT32_MAX);
    pack_u32(out, (uint32_t)s.n);
    bool is_room = buf_append(out, s);
    assert(is_room);
}

static uint64_t unpack_bytes(struct unpack *u, size_t count)
{
    if (u->rest.n < count)
        u->is_bad = true;
    if (u->is_bad)
        return 0;
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value |= (uint64_t)(unsigned char)u->rest.p[i] << (8 * i);
    u->rest = str_skip(u->rest, count);
    return value;
}

uint8_t unpack_u8(struct unpack *u)
{
    return (uint8_t)unpack_bytes(u, 1);
}

uint32_t unpack_u32(struct unpack *u)
{
    return (uint32_t)unpack_bytes(u, 4);
}

uint64_t unpack_u64(struct unpack *u)
{
    return unpack_bytes(u, 8);
}

struct str unpack_str(struct unpack *u)
{
    uint32_t n = unpack_u32(u);
    if (n > u->rest.n)
        u->is_bad = true;
    if (u->is_bad)
        return STR_NONE;
    struct str s = str_head(u->rest, n);
    u->rest = str_skip(u->rest, n);
    return s;
}
