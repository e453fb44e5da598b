/* SPDX-License-Identifier: ISC */
/*
 * key_cache.h - the public keys of others, ready for use
 *
 * To read a key and to prepare it for its first signature takes the processor as long as the signature itself, and most
 * mail is signed by few. A key is known by its octets: what the DNS says is asked each time. Bounded: when it is full it
 * starts afresh. Any thread.
 */
#ifndef SERVE_KEY_CACHE_H
#define SERVE_KEY_CACHE_H

#include "check/dkim_key.h"

struct key_cache;

enum { KEY_CACHE_MOST = 1024 };

struct key_cache *key_cache_make(void);

/* No verifier may be using it. NULL is allowed. */
void key_cache_free(struct key_cache *c);

/* What a verifier is to open its keys with. Keys that cannot be used are not kept. */
struct dkim_key_opener key_cache_opener(struct key_cache *c);

#endif
