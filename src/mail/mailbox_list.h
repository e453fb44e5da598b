/* SPDX-License-Identifier: ISC */
/*
 * mailbox_list.h - the addresses in a header field: To, Cc, Bcc, From (RFC 5322 3.4)
 *
 * Display names, comments, quoted strings and groups are understood and dropped. The reader takes what it can and
 * never fails; who must not be fooled asks whether everybody would read the same.
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

/*
 * False when a quoted string, comment, domain literal or angle bracket in the list is not closed, an element has
 * brackets twice, or an address is where none may be: a second one without a comma between them, as the name of a group
 * or behind the brackets. Readers differ in what they make of it.
 */
bool mailbox_list_is_clear(struct str list);

#endif
