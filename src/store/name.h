/* SPDX-License-Identifier: ISC */
/*
 * name.h - accounts as directory names
 *
 * Digits, lower-case ASCII letters, '-', '_' and dots that are not in front stand for themselves;
 * every other byte is '%' and two lower-case hexadecimal digits. So no name can leave its place,
 * hide, hold a NUL, or differ from another only in case.
 */
#ifndef STORE_NAME_H
#define STORE_NAME_H

#include "base/buf.h"

enum { NAME_COMPONENT_MAX = 255 };

/* Appends one component of a path. False, out unchanged, when it is empty, too long for a file
 * system or passes the buffer's limit. */
bool name_escape(struct buf *out, struct str name);

/* The inverse; false, out unchanged, for what name_escape never gives. */
bool name_unescape(struct buf *out, struct str component);

/* Appends "DOMAIN/LOCAL" for "local@domain". False, out unchanged, when that is no account. */
bool name_account_path(struct buf *out, struct str address);

#endif
