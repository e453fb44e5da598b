/* SPDX-License-Identifier: ISC */
/*
 * mailbox_list.h - the addresses in a header field: To, Cc, Bcc, From (RFC 5322 3.4)
 *
 * Display names, comments, quoted strings and groups are understood and dropped. The reader is for
 * messages that local programs compose; it takes what it can and never fails.
 */
#ifndef MAIL_MAILBOX_LIST_H
#define MAIL_MAILBOX_LIST_H

#include "base/buf.h"

/*
 * Takes the next address from the front of *rest (a field's value, folded or not) and appends it to
 * out, as written but without line ends, blanks and comments. False at the end, and when out is
 * full.
 */
bool mailbox_list_next(struct str *rest, struct buf *out);

#endif
