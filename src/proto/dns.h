/* SPDX-License-Identifier: ISC */
/*
 * dns.h - the data of DNS records, as mail reads them (RFC 1035 section 3, RFC 3596, RFC 6698, RFC 7505)
 *
 * The data comes from strangers, in wire form and without compression.
 */
#ifndef PROTO_DNS_H
#define PROTO_DNS_H

#include "base/arena.h"
#include "base/ip.h"

/*
 * All of wire as a domain name: text in lower case without the last dot, the root is empty. It lives
 * in the arena, which needs room for 256 octets a call. False when it is malformed, longer than 255
 * octets in wire form, or has a label with a dot in it, which text cannot tell from two labels.
 */
bool dns_name_read(struct str wire, struct arena *arena, struct str *out);

struct dns_mx {
    struct str host; /* A-labels, lower case */
    uint16_t preference;
};

/*
 * The data of an MX record. False when it is malformed or does not name a host (an address, the
 * root): such a record is no good to anybody (RFC 5321 section 5.1).
 */
bool dns_mx_read(struct str data, struct arena *arena, struct dns_mx *out);

/* The data of an MX record as it is, the root (RFC 7505) and names that no host can have, too. False when it is
 * malformed. */
bool dns_exchange_read(struct str data, struct arena *arena, uint16_t *preference,
                       struct str *host);

/* The data of a TXT record: its strings, joined, in the arena. False when it is malformed or has none. */
bool dns_text_read(struct str data, struct arena *arena, struct str *out);

/* True for the data of a null MX, which must stand alone (RFC 7505 section 3). */
bool dns_mx_is_null(struct str data);

/* The data of an A record, or of an AAAA record (is_v6). False when it has another length than its
 * type wants: that of the other type is wrong, too. */
bool dns_address_read(struct str data, bool is_v6, struct ip_address *out);

struct dns_srv {
    struct str host; /* lower case; empty: there is no such service */
    uint16_t priority, weight, port;
};

/* The data of an SRV record (RFC 2782). False when it is malformed. */
bool dns_srv_read(struct str data, struct arena *arena, struct dns_srv *out);

enum { DNS_TLSA_DATA_MAX = 8192 }; /* a whole certificate, at most */

struct dns_tlsa {
    uint8_t usage, selector, matching;
    struct str data; /* a digest, a key or a certificate; borrowed from the record */
};

/* The data of a TLSA record (RFC 6698 section 2.1). False when it has none, or more than DNS_TLSA_DATA_MAX. */
bool dns_tlsa_read(struct str data, struct dns_tlsa *out);

/*
 * Whether SMTP may authenticate a server by the record (RFC 7672 section 3.1): DANE-TA or DANE-EE, of a certificate or
 * its key, in full or by a SHA-2 digest of the right length.
 */
bool dns_tlsa_is_usable(const struct dns_tlsa *t);

#endif
