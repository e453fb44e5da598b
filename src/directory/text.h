/* SPDX-License-Identifier: ISC */
/*
 * text.h - the directory as one text file
 *
 *   domain example.org
 *   dkim example.org r20261122 rsa active 1795305600 v=DKIM1; k=rsa; p=MIIB...
 *   account bob@example.org quota=0 enabled=yes scram-sha-256=ITERATIONS:SALT:STORED:SERVER
 *   alias info@example.org bob@example.org eve@example.net
 *   alias @example.org bob@example.org
 *
 * Empty lines and lines that begin with '#' mean nothing. Sorted when written, so that two exports
 * can be compared; keys are base64. When read, quota, enabled and scram-sha-256 may be missing: no
 * quota, enabled, and the password the account has now. dkim lines have a key's selector, algorithm,
 * state, the Unix time since when, and its public record; a domain without any keeps the keys it has
 * now. Private keys are never there.
 */
#ifndef DIRECTORY_TEXT_H
#define DIRECTORY_TEXT_H

#include "base/buf.h"
#include "directory/directory.h"

/* Appends "ITERATIONS:SALT:STORED:SERVER" of an account's line. False when out is full. */
bool directory_verifier_print(const struct directory_verifier *v, struct buf *out);

/* Appends the whole directory. 452 4.3.1 when the buffer's limit is reached. */
struct fault directory_export(struct directory *d, struct buf *out);

/*
 * Makes the directory what the text says, in one transaction: what the text does not name is gone.
 * On a fault nothing has changed; a mistake is 550 with "name:line: " and what is wrong.
 */
struct fault directory_apply(struct directory *d, struct str text, const char *name);

#endif
