/* SPDX-License-Identifier: ISC */
/*
 * format.c - what the journal looks like on disk; the description is in format.h
 */
#include "journal/format.h"

#include "journal/crc32c.h"

#include <endian.h>

static const char segment_magic[8] = {'E', 'I', 'L', 'B', 'J', 'R', 'N', 'L'};

static void put16(unsigned char *out, uint16_t value)
{
    value = htole16(value);
    memcpy(out, &value, sizeof value);
}

static void put32(unsigned char *out, uint32_t value)
{
    value = htole32(value);
    memcpy(out, &value, sizeof value);
}

static void put64(unsigned char *out, uint64_t value)
{
    value = htole64(value);
    memcpy(out, &value, sizeof value);
}

static uint16_t get16(const unsigned char *in)
{
    uint16_t value;
    memcpy(&value, in, sizeof value);
    return le16toh(value);
}

static uint32_t get32(const unsigned char *in)
{
    uint32_t value;
    memcpy(&value, in, sizeof value);
    return le32toh(value);
}

static uint64_t get64(const unsigned char *in)
{
    uint64_t value;
    memcpy(&value, in, sizeof value);
    return le64toh(value);
}

static uint32_t segment_crc(const unsigned char *header)
{
    return crc32c(crc32c(0, header, 12), header + 16, FORMAT_SEGMENT_HEADER - 16);
}

void format_put_segment(const struct format_segment *s, unsigned char out[FORMAT_SEGMENT_HEADER])
{
    memcpy(out, segment_magic, sizeof segment_magic);
    put32(out + 8, FORMAT_VERSION);
    put32(out + 16, s->generation);
    put32(out + 20, 0);
    put64(out + 24, s->base);
    put64(out + 32, s->size);
    put64(out + 40, s->salt);
    put32(out + 12, segment_crc(out));
}

bool format_get_segment(const unsigned char in[FORMAT_SEGMENT_HEADER], struct format_segment *s)
{
    if (memcmp(in, segment_magic, sizeof segment_magic) != 0 || get32(in + 8) != FORMAT_VERSION ||
        get32(in + 12) != segment_crc(in))
        return false;
    *s = (struct format_segment){get32(in + 16), get64(in + 24), get64(in + 32), get64(in + 40)};
    return true;
}

static uint32_t record_crc(const struct format_segment *s, const unsigned char *header)
{
    unsigned char salt[8];
    put64(salt, s->salt);
    return crc32c(crc32c(0, salt, sizeof salt), header + 8, FORMAT_RECORD_HEADER - 8);
}

void format_put_record(const struct format_segment *s, const struct format_record *r,
                       unsigned char out[FORMAT_RECORD_HEADER])
{
    memcpy(out, FORMAT_RECORD_MAGIC, 4);
    put32(out + 8, s->generation);
    put32(out + 12, r->length);
    put64(out + 16, r->sequence);
    put64(out + 24, r->batch);
    put32(out + 32, r->payload_crc);
    put16(out + 36, r->type);
    out[38] = r->flags;
    out[39] = r->open_batches;
    put32(out + 4, record_crc(s, out));
}

bool format_get_record(const struct format_segment *s, const unsigned char in[FORMAT_RECORD_HEADER],
                       struct format_record *r)
{
    if (memcmp(in, FORMAT_RECORD_MAGIC, 4) != 0 || get32(in + 8) != s->generation ||
        get32(in + 4) != record_crc(s, in))
        return false;
    *r = (struct format_record){
        .sequence = get64(in + 16),
        .batch = get64(in + 24),
        .length = get32(in + 12),
        .payload_crc = get32(in + 32),
        .type = get16(in + 36),
        .flags = in[38],
        .open_batches = in[39],
    };
    return true;
}

void format_put_position(uint64_t position, unsigned char out[FORMAT_VOID_PAYLOAD])
{
    put64(out, position);
}

uint64_t format_get_position(const unsigned char in[FORMAT_VOID_PAYLOAD])
{
    return get64(in);
}
