/* SPDX-License-Identifier: ISC */
/*
 * srs_ring.h - the secrets of rewritten senders (check/srs.h), in a file that the mta alone can read
 *
 * A line each. The first makes the hashes, all of them check, so a secret is rotated by putting a new one in front and
 * removing the old one after srs.h's days.
 */
#ifndef SIGN_SRS_RING_H
#define SIGN_SRS_RING_H

#include "base/fault.h"
#include "check/srs.h"

#define SRS_RING_NAME "srs.secret" /* in the folder of the mta */

struct srs_ring;

/* Without secrets; path is copied. */
struct srs_ring *srs_ring_make(const char *path);
void srs_ring_free(struct srs_ring *r); /* NULL is allowed */

/*
 * Reads the file; one that is missing is made when may_make, with a secret that nobody can guess. On a fault (451 4.3.0 for a file
 * without good secrets) those of before stay. Blocks.
 */
struct fault srs_ring_load(struct srs_ring *r, bool may_make);

/* The secrets as of the last load. Any thread. */
void srs_ring_get(struct srs_ring *r, struct srs_secrets *out);

#endif
