/* SPDX-License-Identifier: ISC */
/*
 * tlsrpt_record.h - where a domain wants to hear of TLS that failed: the record at _smtp._tls (RFC 8460 section 3)
 */
#ifndef CHECK_TLSRPT_RECORD_H
#define CHECK_TLSRPT_RECORD_H

#include "check/ask.h"

struct tlsrpt_record {
    struct str rua; /* for report_uri_next; not empty */
};

/*
 * A TXT record, its strings joined: "v=TLSRPTv1" first, then fields of which those that nobody knows are ignored. False
 * when it is none, or names nobody to report to. Borrows.
 */
bool tlsrpt_record_parse(struct str text, struct tlsrpt_record *out);

/*
 * Asks for the record of a policy domain. False when there is none; several are none (section 3). *has_failed tells
 * that the DNS did. Texts live in the asker's arena.
 */
bool tlsrpt_record_find(struct str domain, struct asker *a, struct tlsrpt_record *out,
                        bool *has_failed);

#endif
