/* SPDX-License-Identifier: ISC */
/*
 * dsn_text.h - the part of a delivery status notice that people read
 */
#ifndef MAIL_DSN_TEXT_H
#define MAIL_DSN_TEXT_H

#include "mail/dsn.h"

/* The action that names the whole notice: a failure before a delay before a success. */
enum dsn_action dsn_text_action(const struct dsn *d);

/* The Subject for that action. */
struct str dsn_text_subject(enum dsn_action action);

/* Appends the text with CRLF line ends. False when out is full. */
bool dsn_text_append(struct buf *out, const struct dsn *d);

/* Appends s with control bytes, what is no UTF-8, and 8-bit bytes unless allow_8bit, as '?'. */
bool dsn_text_append_safe(struct buf *out, struct str s, bool allow_8bit);

#endif
