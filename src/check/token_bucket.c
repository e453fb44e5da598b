/* SPDX-License-Identifier: ISC */
/*
 * token_bucket.c - how much of something may still be had, when so much of it may be had in a time
 */
#include "check/token_bucket.h"

bool token_bucket_take(struct token_bucket *b, int64_t count, int64_t window_ms, int64_t now_ms,
                       int64_t amount, int64_t *wait_ms)
{
    double size = (double)count, each_ms = (double)window_ms / size;
    double passed_ms = now_ms > b->at_ms ? (double)(now_ms - b->at_ms) : 0;
    double used = b->used - passed_ms / each_ms;
    b->used = used < 0 ? 0 : used > 2 * size ? 2 * size : used;
    b->at_ms = now_ms;
    *wait_ms = 0;
    if (b->used <= size - 1) {
        b->used += (double)amount;
        return true;
    }
    *wait_ms = (int64_t)((b->used - size + 1) * each_ms) + 1;
    return false;
}
