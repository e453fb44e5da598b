/* SPDX-License-Identifier: ISC */
/*
 * dmarc_record.h - what a domain asks receivers to do with mail that is not its own (RFC 9989 sections 4.7 and 4.8)
 */
#ifndef CHECK_DMARC_RECORD_H
#define CHECK_DMARC_RECORD_H

#include "base/str.h"

enum dmarc_policy { DMARC_ASKS_NONE, DMARC_ASKS_QUARANTINE, DMARC_ASKS_REJECT };

/* Who the domain of a record is: a tree walk is to find out, it is one that others register under, or one's own. */
enum dmarc_psd { DMARC_PSD_UNKNOWN, DMARC_PSD_YES, DMARC_PSD_NO };

struct dmarc_record {
    enum dmarc_policy p, sp, np; /* those that are not given as what stands in for them (4.7) */
    bool has_p, has_sp, has_np;  /* as the record says it, and validly */
    bool is_broken;              /* p is missing or wrong, or sp or np are wrong (4.10.1) */
    enum dmarc_psd psd;
    bool is_test; /* t=y */
    bool is_dkim_strict, is_spf_strict;
    struct str rua, ruf, fo; /* as they stand in the record, empty when they do not */
};

/*
 * A TXT record, its strings joined. False when it is none of DMARC: it does not begin with v=DMARC1. A tag that is
 * wrong has its default value, a tag that comes again is ignored, and so are tags that nobody knows. Borrows.
 */
bool dmarc_record_parse(struct str text, struct dmarc_record *out);

/* The first URI of the comma list that begins with "mailto:", without an obsolete size (!10m); *rest moves behind it. False
 * when there is none left. */
bool dmarc_uri_next(struct str *rest, struct str *address);

const char *dmarc_policy_name(enum dmarc_policy policy);

#endif
