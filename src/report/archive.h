/* SPDX-License-Identifier: ISC */
/*
 * archive.h - what reports are packed in: gzip, zip, or nothing (RFC 1952, APPNOTE.TXT)
 *
 * Unpacked in pieces that are handed on, so an archive that is far larger inside costs neither memory nor more than the
 * bound. Of a zip the first entry alone is read, which must be stored or deflated, and by its local header: the
 * directory at the end and what else is in the file are not looked at.
 */
#ifndef REPORT_ARCHIVE_H
#define REPORT_ARCHIVE_H

#include "base/fault.h"

enum {
    ARCHIVE_PACKED_MAX = 10 << 20,
    ARCHIVE_EXPANDED_MAX = 100 << 20,
    ARCHIVE_MEMBERS_MAX = 16, /* of a gzip */
    ARCHIVE_PIECE_MAX = 64 << 10
};

/* Takes the next octets, at most ARCHIVE_PIECE_MAX; false: it wants no more. */
typedef bool archive_sink(void *arg, struct str piece);

/*
 * Unpacks; what is no archive goes to the sink as it is. 554 5.6.0 when the archive is broken, encrypted or of another
 * method, 552 5.3.4 when it is larger than the bounds. FINE also when the sink wanted no more.
 */
struct fault archive_read(struct str packed, archive_sink *sink, void *arg);

bool archive_is_gzip(struct str packed);
bool archive_is_zip(struct str packed);

#endif
