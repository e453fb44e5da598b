/* SPDX-License-Identifier: ISC */
/*
 * submit.h - what a submission server may repair in a message (RFC 6409 section 8)
 */
#ifndef SERVE_SUBMIT_H
#define SERVE_SUBMIT_H

#include "base/buf.h"

#include <stdint.h>

/*
 * The message with Date and Message-ID added where they are missing, Bcc and Resent-Bcc removed, and
 * the empty line behind the header section where a line that is no field stands. False when nothing
 * needs repair (out is unchanged).
 */
bool submit_repair(struct str message, struct str hostname, struct str id, int64_t unix_seconds,
                   int zone_minutes, struct buf *out);

#endif
