/* SPDX-License-Identifier: ISC */
/*
 * srs.h - senders of mail that we forward, rewritten so that bounces come back by us (SRS, the Sender Rewriting Scheme)
 *
 * SRS has no RFC; this is the form of Mail::SRS, libsrs2 and postsrsd:
 *
 *   local@domain                     SRS0=HASH=TT=domain=local@us
 *   SRS0=...@first                   SRS1=HASH=first==...@us      the first hop, whose own address the rest is
 *   SRS1=HASH=first==...@second      SRS1=HASH=first==...@us      never longer, however many hops
 *
 * TT is the day, modulo 1024, in base 32. The hash is the head of a HMAC-SHA1 over the tag and the parts in lower case,
 * each with '=' behind it, in base 64, compared without regard to case, as hosts on the way may change it: 8 characters
 * are 40 bits. The others put nothing between the parts: there who sends as muser@victim.co is given the hash of
 * user@victim.com, and a way to any mailbox. Therefore their hashes are not ours, whatever the secret.
 */
#ifndef CHECK_SRS_H
#define CHECK_SRS_H

#include "base/buf.h"

#include <stdint.h>

enum {
    SRS_SECRETS_MAX = 8, /* the first makes hashes, all of them check */
    SRS_SECRET_SIZE = 128,
    SRS_HASH_CHARS = 8,
    SRS_DAYS = 21,       /* that an address can be used after the day that it was made on */
    SRS_LOCAL_MAX = 200, /* octets of a local part that is made or read */
};

struct srs_secrets {
    struct {
        char text[SRS_SECRET_SIZE];
        size_t n;
    } item[SRS_SECRETS_MAX];
    size_t count; /* 0: nothing is rewritten, and nothing is ours */
};

/* Reads secrets, a line each; empty lines and those that begin with '#' are left out. False when there is none, one is
 * shorter than 16 octets or too long, or there are too many. */
bool srs_secrets_parse(struct str text, struct srs_secrets *out);

/* The day of a time, in seconds since 1970, as the addresses have it. */
unsigned srs_day(int64_t now_s);

/* Whether a local part is of that form (SRS0 or SRS1 and '=', '+' or '-'). */
bool srs_is_rewritten(struct str local);

/*
 * Appends the local part for mail of that sender (unquoted, the domain as written) at our domain. False, and out as before,
 * when there is no secret, the domain cannot stand in one (it has '=') or it would be too long.
 */
bool srs_forward(const struct srs_secrets *secrets, struct str local, struct str domain,
                 unsigned day, struct buf *out);

enum srs_result { SRS_GOOD, SRS_NONE /* of no such form */, SRS_FORGED, SRS_EXPIRED };

/*
 * Whom a bounce to such a local part at our domain is for: of GOOD the local part is appended to out, and *domain a slice
 * of the input. FORGED: no secret of ours has made it, or somebody has changed it.
 */
enum srs_result srs_reverse(const struct srs_secrets *secrets, struct str rewritten, unsigned day,
                            struct buf *out, struct str *domain);

#endif
