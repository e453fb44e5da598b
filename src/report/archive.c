/* SPDX-License-Identifier: ISC */
/*
 * archive.c - what reports are packed in
 */
#include "report/archive.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    WINDOW_BITS = 15,
    GZIP_WINDOW = WINDOW_BITS + 16, /* zlib: with gzip's header and checksum */
    RAW_WINDOW = -WINDOW_BITS,
    ZIP_HEADER = 30,
    ZIP_STORED = 0,
    ZIP_DEFLATED = 8,
    ZIP_ENCRYPTED = 1,
    ZIP_SIZE_LATER = 8
};

struct unpacking {
    archive_sink *sink;
    void *arg;
    uint64_t expanded;
    bool is_refused; /* the sink wants no more */
};

static struct fault broken(const char *what)
{
    return fault_make(554, FAULT_STATUS(5, 6, 0), "the archive %s", what);
}

static struct fault too_large(void)
{
    return fault_make(552, FAULT_STATUS(5, 3, 4), "the archive holds more than %d octets",
                      ARCHIVE_EXPANDED_MAX);
}

bool archive_is_gzip(struct str packed)
{
    return str_starts(packed, STR("\x1f\x8b"));
}

bool archive_is_zip(struct str packed)
{
    return str_starts(packed, STR("PK\x03\x04"));
}

static struct fault hand_on(struct unpacking *u, struct str bytes)
{
    while (bytes.n > 0 && !u->is_refused) {
        struct str piece = str_head(bytes, ARCHIVE_PIECE_MAX);
        u->expanded += piece.n;
        if (u->expanded > ARCHIVE_EXPANDED_MAX)
            return too_large();
        u->is_refused = !u->sink(u->arg, piece);
        bytes = str_skip(bytes, piece.n);
    }
    return FINE;
}

/* One stream to its end; *is_over tells that it came. */
static struct fault inflate_stream(z_stream *z, struct unpacking *u, char *room, bool *is_over)
{
    *is_over = false;
    while (!*is_over && !u->is_refused) {
        z->next_out = (unsigned char *)room;
        z->avail_out = ARCHIVE_PIECE_MAX;
        int result = inflate(z, Z_NO_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END)
            return broken(result == Z_BUF_ERROR ? "ends in the middle" : "is damaged");
        struct fault f = hand_on(u, str_make(room, ARCHIVE_PIECE_MAX - z->avail_out));
        if (f.kind)
            return f;
        *is_over = result == Z_STREAM_END;
    }
    return FINE;
}

static struct fault unpack(struct str packed, int window, unsigned members, struct unpacking *u)
{
    /* zlib only reads what it is given. */
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)packed.p, .avail_in = (uInt)packed.n};
    if (inflateInit2(&z, window) != Z_OK)
        abort();
    char *room = malloc(ARCHIVE_PIECE_MAX);
    if (!room)
        abort();
    struct fault f = FINE;
    bool is_over = true;
    while (!f.kind && is_over && members-- > 0) {
        f = inflate_stream(&z, u, room, &is_over);
        struct str rest = str_make((const char *)z.next_in, z.avail_in);
        if (!archive_is_gzip(rest) || inflateReset(&z) != Z_OK)
            break;
    }
    inflateEnd(&z);
    free(room);
    return f;
}

static unsigned number_at(struct str s, size_t at, size_t octets)
{
    unsigned n = 0;
    while (octets-- > 0)
        n = n << 8 | (unsigned char)s.p[at + octets];
    return n;
}

static struct fault unpack_zip(struct str packed, struct unpacking *u)
{
    if (packed.n < ZIP_HEADER)
        return broken("ends in the middle");
    unsigned flags = number_at(packed, 6, 2), method = number_at(packed, 8, 2);
    size_t size = number_at(packed, 18, 4);
    size_t head = ZIP_HEADER + number_at(packed, 26, 2) + number_at(packed, 28, 2);
    if (flags & ZIP_ENCRYPTED)
        return broken("is encrypted");
    if (head > packed.n)
        return broken("ends in the middle");
    struct str content = str_skip(packed, head);
    if (method == ZIP_DEFLATED)
        return unpack(content, RAW_WINDOW, 1, u);
    if (method != ZIP_STORED || flags & ZIP_SIZE_LATER)
        return broken("is packed in an unknown way");
    if (size > content.n)
        return broken("ends in the middle");
    return hand_on(u, str_head(content, size));
}

struct fault archive_read(struct str packed, archive_sink *sink, void *arg)
{
    struct unpacking u = {.sink = sink, .arg = arg};
    if (packed.n > ARCHIVE_PACKED_MAX)
        return too_large();
    if (archive_is_gzip(packed))
        return unpack(packed, GZIP_WINDOW, ARCHIVE_MEMBERS_MAX, &u);
    if (archive_is_zip(packed))
        return unpack_zip(packed, &u);
    return hand_on(&u, packed);
}
