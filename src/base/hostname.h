/* SPDX-License-Identifier: ISC */
/*
 * hostname.h - the shape of a domain name in ASCII
 */
#ifndef BASE_HOSTNAME_H
#define BASE_HOSTNAME_H

#include "base/str.h"

/*
 * True for dot-separated labels of letters, digits, hyphens and underscores, each 1 to 63 bytes and
 * without a hyphen at its ends, together at most 253 bytes (RFC 1123 section 2.1; underscores occur
 * in the DNS). No dot at either end.
 */
bool hostname_is_valid(struct str s);

#endif
