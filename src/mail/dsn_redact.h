/* SPDX-License-Identifier: ISC */
/*
 * dsn_redact.h - a notice without the message that it is about (RFC 8689 section 5)
 */
#ifndef MAIL_DSN_REDACT_H
#define MAIL_DSN_REDACT_H

#include "base/buf.h"

/*
 * Appends a message with a null sender as it may go where REQUIRETLS is not known: of a multipart/report the text for
 * people and the fields for programs, with a line that says what is missing; of any other message its header section and
 * that line. Signatures, which would be broken, go too. The message may be cut off at its end. False, out unchanged, when
 * out is full.
 */
bool dsn_redact(struct buf *out, struct str message);

#endif
