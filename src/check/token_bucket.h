/* SPDX-License-Identifier: ISC */
/*
 * token_bucket.h - how much of something may still be had, when so much of it may be had in a time
 *
 * A bucket holds what may be had at once; what is taken from it comes back evenly, all of it in one window.
 */
#ifndef CHECK_TOKEN_BUCKET_H
#define CHECK_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* A zeroed bucket is a full one. */
struct token_bucket {
    double used; /* what is missing; above the count when a large amount was taken */
    int64_t at_ms;
};

/*
 * Gives back for the time that has passed, and takes the amount when at least one is there; a large amount may so leave
 * a debt, which never takes longer than one more window. Else nothing is taken and *wait_ms says how long until one is
 * there. Count and window are above 0, the amount is not negative; an amount of 0 only looks. A clock that goes back
 * gives nothing.
 */
bool token_bucket_take(struct token_bucket *b, int64_t count, int64_t window_ms, int64_t now_ms,
                       int64_t amount, int64_t *wait_ms);

#endif
