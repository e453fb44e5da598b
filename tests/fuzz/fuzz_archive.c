/* SPDX-License-Identifier: ISC */
/*
 * fuzz_archive.c - what is packed comes out, cut into pieces within the bounds, and no more than the bound comes out of
 * anything
 */
#include "report/archive.h"

#include <zlib.h>

#include "base/buf.h"
#include "fuzz.h"

struct taken {
    uint64_t octets, crc;
    uint64_t limit; /* the sink refuses beyond it */
};

static bool take(void *arg, struct str piece)
{
    struct taken *t = arg;
    must(piece.n > 0 && piece.n <= ARCHIVE_PIECE_MAX);
    must(t->octets <= t->limit);
    t->octets += piece.n;
    t->crc = crc32((uLong)t->crc, (const unsigned char *)piece.p, (uInt)piece.n);
    return t->octets <= t->limit;
}

static struct fault open_all(struct str in, struct taken *t)
{
    *t = (struct taken){.limit = UINT64_MAX};
    return archive_read(in, take, t);
}

static bool pack(struct str in, int window, struct buf *out)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
    must(deflateInit2(&z, 1, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    must(buf_reserve(out, deflateBound(&z, in.n)));
    z.next_out = (unsigned char *)out->data + out->used;
    z.avail_out = (uInt)(out->size - out->used);
    bool is_good = deflate(&z, Z_FINISH) == Z_STREAM_END;
    out->used += z.total_out;
    deflateEnd(&z);
    return is_good;
}

static void check_same(const struct buf *packed, struct str in)
{
    struct taken t;
    must(!open_all(buf_str(packed), &t).kind);
    must(t.octets == in.n);
    must(t.crc == (in.n ? crc32(0, (const unsigned char *)in.p, (uInt)in.n) : 0));
    /* Of what is cut off at the end, nothing is said to be whole. */
    if (packed->used > 2)
        must(open_all(str_head(buf_str(packed), packed->used - 1), &t).kind != FAULT_FINE);
}

const struct fuzz_memory fuzz_memory = {.factor = 8, .base = 1 << 20};

void fuzz_one(struct str in)
{
    struct taken t, again;
    struct buf packed = buf_make(in.n * 2 + 4096);
    struct fault f = open_all(in, &t);
    must(t.octets <= ARCHIVE_EXPANDED_MAX);
    again = (struct taken){.limit = t.octets / 2};
    must(archive_read(in, take, &again).kind == FAULT_FINE || f.kind != FAULT_FINE);
    must(again.octets <= t.octets);
    must(pack(in, 15 + 16, &packed));
    check_same(&packed, in);
    packed.used = 0;
    must(buf_append(
             &packed,
             str_make("PK\3\4\24\0\10\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0x", 31)) &&
         pack(in, -15, &packed));
    check_same(&packed, in);
    buf_free(&packed);
}
