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

/* True when the last label is a number: such a text is (or was meant as) an IPv4 address, no name
 * can look so (RFC 1123 section 2.1, RFC 3696 section 2). */
bool hostname_ends_in_number(struct str s);

/* True for a name that mail can be for: valid, without underscores (RFC 5321 section 2.3.5) and no IPv4 address. */
bool hostname_is_mail_domain(struct str s);

#endif
