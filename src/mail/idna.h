/* SPDX-License-Identifier: ISC */
/*
 * idna.h - domain names and address literals as mail uses them (RFC 5321 4.1.2-3, 5890, 5891)
 *
 * A mail domain is letters, digits and hyphens in labels of 1..63 octets, together at most 255;
 * with SMTPUTF8 a label may also be a U-label. Underscores and a final dot are refused. Two
 * spellings of one name are compared as lower-case A-labels.
 */
#ifndef MAIL_IDNA_H
#define MAIL_IDNA_H

#include "base/buf.h"

#include <stdint.h>

enum { IDNA_DOMAIN_MAX = 255, IDNA_LITERAL_MAX = 56 };

/* An IP address as it stands between brackets. */
struct idna_literal {
    bool is_ipv6;
    uint8_t address[16]; /* network order; IPv4 uses the first four */
};

/* True when the name follows the rules above; U-labels only when allow_utf8. */
bool idna_domain_is_valid(struct str domain, bool allow_utf8);

/*
 * The name as lower-case A-labels, written into ascii. Empty when it is no valid domain name or its
 * A-labels would be too long.
 */
struct str idna_to_ascii(struct str domain, char ascii[IDNA_DOMAIN_MAX]);

/*
 * Appends the name with its A-labels turned into U-labels, for people to read; as it is where those
 * would not mean the same name. False when out is full.
 */
bool idna_to_unicode(struct str domain, struct buf *out);

/* True when both are the same name (compared as A-labels) or the same literal text. */
bool idna_equal(struct str a, struct str b);

/* Reads "[192.0.2.1]" or "[IPv6:2001:db8::1]"; no zone ids. False when it is neither. */
bool idna_literal_parse(struct str text, struct idna_literal *out);

/* The literal in canonical spelling with brackets, written into text. */
struct str idna_literal_print(const struct idna_literal *literal, char text[IDNA_LITERAL_MAX]);

#endif
