/* SPDX-License-Identifier: ISC */
/*
 * report_uri.h - where a domain wants its reports: the URIs of rua in DMARC (RFC 9990) and TLSRPT (RFC 8460) records
 */
#ifndef CHECK_REPORT_URI_H
#define CHECK_REPORT_URI_H

#include <stdint.h>

#include "base/str.h"

enum { REPORT_ADDRESS_MAX = 254 };

struct report_uri {
    bool is_https;                    /* then there is no address */
    struct str text;                  /* the URI without its size, as it stands in the record */
    char address[REPORT_ADDRESS_MAX]; /* of mailto, without its percent signs */
    size_t address_n;
    struct str domain;    /* of the address; a part of it */
    uint64_t limit_bytes; /* of RFC 7489's "!10m"; UINT64_MAX when there is none */
};

/*
 * The next URI of the comma list that is of use: mailto with an address in printable ASCII that has a domain, or https.
 * What is neither is left out; so is a size that is none. *rest moves behind it. False when there is none left. Borrows.
 * out is not to be copied: domain points into it.
 */
bool report_uri_next(struct str *rest, struct report_uri *out);

#endif
