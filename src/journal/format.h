/* SPDX-License-Identifier: ISC */
/*
 * format.h - what the journal looks like on disk, version 1
 *
 * The journal is a directory of segment files "segment-NNNNNNNN" (a slot number that means nothing)
 * and a file "lock". All numbers are little-endian. A position is a byte in the endless log: the
 * base of a segment plus an offset in its file.
 *
 * A segment is one page of header, then batches:
 *
 *     0  magic "EILBJRNL"       16  generation  u32      32  size of the file     u64
 *     8  version       u32      20  zero        u32      40  salt (random)        u64
 *    12  CRC-32C of the rest    24  base        u64      48  zeros to 4096
 *
 * Each use of a file has a new generation, base and salt, greater than all before (the salt is
 * random). A file gets its name when it is zeroed and its header is durable.
 *
 * A batch is what was written in one go and made durable by one fdatasync. It begins at a page, so that no
 * byte of an acknowledged batch is ever written again, and holds records without a gap; zeros fill
 * the last page. A record is
 *
 *     0  magic         u32      12  payload length  u32      32  CRC-32C of the payload  u32
 *     4  CRC-32C of    u32      16  sequence        u64      36  type                    u16
 *        salt and 8..39         24  batch           u64      38  flags                   u8
 *     8  generation    u32                                   39  open batches            u8
 *
 * and then the payload. The header's CRC covers the payload's CRC and begins with the salt: what an
 * earlier use of the file left is never good, and a message that contains the bytes of a record is
 * not taken for one, as nobody outside knows the salt. The sequence counts records; flags tell the
 * first and the last record of a batch. "Open batches" is how many of the batches before were not
 * acknowledged yet when this one was written: the log says of itself up to where it was
 * acknowledged, and so a torn tail (which nobody was promised) differs from damage.
 *
 * A record of type FORMAT_VOID, alone in the first batch of a segment, says where the log before
 * this segment ends: its payload is the position behind the last acknowledged record. Everything
 * from there to this segment was refused, or torn by a crash, and is never read again. It has the
 * sequence number of the record that follows.
 */
#ifndef JOURNAL_FORMAT_H
#define JOURNAL_FORMAT_H

#include "base/str.h"

#include <stdint.h>

enum {
    FORMAT_PAGE = 4096,
    FORMAT_VERSION = 1,
    FORMAT_SEGMENT_HEADER = 48,
    FORMAT_RECORD_HEADER = 40,
    FORMAT_VOID = 0xFFFF,
    FORMAT_VOID_PAYLOAD = 8,
    FORMAT_IS_FIRST = 1, /* of its batch */
    FORMAT_IS_LAST = 2
};

/* How every record begins. */
#define FORMAT_RECORD_MAGIC "\xE1\x4A\x52\x1B"

struct format_segment {
    uint32_t generation;
    uint64_t base;
    uint64_t size;
    uint64_t salt;
};

struct format_record {
    uint64_t sequence;
    uint64_t batch;
    uint32_t length;      /* of the payload */
    uint32_t payload_crc; /* CRC-32C */
    uint16_t type;
    uint8_t flags;
    uint8_t open_batches;
};

void format_put_segment(const struct format_segment *s, unsigned char out[FORMAT_SEGMENT_HEADER]);

/* False when these bytes are no header of version 1. */
bool format_get_segment(const unsigned char in[FORMAT_SEGMENT_HEADER], struct format_segment *s);

void format_put_record(const struct format_segment *s, const struct format_record *r,
                       unsigned char out[FORMAT_RECORD_HEADER]);

/* False when these bytes are not a record's header of this use of the segment. */
bool format_get_record(const struct format_segment *s, const unsigned char in[FORMAT_RECORD_HEADER],
                       struct format_record *r);

void format_put_position(uint64_t position, unsigned char out[FORMAT_VOID_PAYLOAD]);
uint64_t format_get_position(const unsigned char in[FORMAT_VOID_PAYLOAD]);

/* The number rounded up to whole pages. */
static inline uint64_t format_page_up(uint64_t n)
{
    return (n + FORMAT_PAGE - 1) / FORMAT_PAGE * FORMAT_PAGE;
}

#endif
