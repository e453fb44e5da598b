/* SPDX-License-Identifier: ISC */
/*
 * answer_cache.h - answers of the DNS that are still good, without a way to another thread
 *
 * The library that asks keeps answers, too, but on a thread of its own: the way there and back costs more than a
 * signature check. What is kept here is what a lookup gave, until its time to live is over; failures are not kept. The
 * memory is bounded: what has not been asked for the longest time goes first. Any thread.
 */
#ifndef NET_ANSWER_CACHE_H
#define NET_ANSWER_CACHE_H

#include "net/resolver.h"

struct answer_cache;

enum { ANSWER_CACHE_NAME_MAX = 255, ANSWER_CACHE_TTL_MAX_S = 3600 };

/* A cache that takes so much memory at most; an answer that takes more than a sixteenth of it is not kept. */
struct answer_cache *answer_cache_make(size_t bytes);
void answer_cache_free(struct answer_cache *c);

/*
 * Puts the answer to a question, with what is left of its time to live, into out and the arena; false when it is not
 * known. Names are compared without case. now_ms is monotonic.
 */
bool answer_cache_get(struct answer_cache *c, struct arena *arena, const char *name, uint16_t type,
                      int64_t now_ms, struct resolver_answer *out);

/* Keeps a copy for the time to live, an hour at most. */
void answer_cache_put(struct answer_cache *c, const char *name, uint16_t type, int64_t now_ms,
                      const struct resolver_answer *answer);

#endif
