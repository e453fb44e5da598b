/* SPDX-License-Identifier: ISC */
/*
 * mta_sts.h - what a domain says of its mail exchangers: record and policy of MTA-STS (RFC 8461 section 3)
 */
#ifndef CHECK_MTA_STS_H
#define CHECK_MTA_STS_H

#include "base/arena.h"

#include <stdint.h>

enum mta_sts_mode { MTA_STS_NONE, MTA_STS_TESTING, MTA_STS_ENFORCE };

enum {
    MTA_STS_POLICY_MAX = 64 << 10, /* octets of a policy (section 3.3) */
    MTA_STS_MX_MAX = 100,          /* patterns; more make a policy invalid */
    MTA_STS_ID_MAX = 32,
    MTA_STS_AGE_MAX_S = 31557600 /* a year; longer ages count as that (section 3.2) */
};

struct mta_sts_policy {
    enum mta_sts_mode mode;
    int64_t max_age_s;
    struct str *mx; /* patterns in lower case: a host, or "*." and a domain */
    size_t mx_count;
};

enum mta_sts_record { MTA_STS_ABSENT, MTA_STS_BROKEN, MTA_STS_GOOD };

/*
 * A TXT record of _mta-sts.DOMAIN, its strings joined (section 3.1). ABSENT when it does not begin with v=STSv1 and is to
 * be ignored; GOOD gives the id, a slice of text.
 */
enum mta_sts_record mta_sts_record_parse(struct str text, struct str *id);

/* Whether the text can be the id of a policy: 1*32(ALPHA / DIGIT). */
bool mta_sts_is_id(struct str s);

/*
 * A policy as it was fetched (section 3.2): lines that end in LF or CRLF; the first of repeated fields counts, and every
 * mx; fields that nobody knows are ignored. It lives in the arena, which needs room for text and MTA_STS_MX_MAX slices.
 * False, and the reason, when it is none.
 */
bool mta_sts_policy_parse(struct str text, struct arena *a, struct mta_sts_policy *out,
                          const char **reason);

/* Whether a mail exchanger's name is one of the policy's; "*." stands for one label (section 4.1). */
bool mta_sts_policy_has(const struct mta_sts_policy *p, struct str host);

const char *mta_sts_mode_name(enum mta_sts_mode mode);

#endif
