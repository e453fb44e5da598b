/* SPDX-License-Identifier: ISC */
/*
 * key_ring.h - the keys that sign, in memory
 *
 * What was loaded for a domain is kept until key_ring_forget; what could not be is tried again after a minute. When
 * mail of a domain of ours cannot be signed, that is the event signing.unavailable, once each time its keys are loaded.
 * For tasks of any loop; files and directory are asked on an offload thread.
 */
#ifndef SIGN_KEY_RING_H
#define SIGN_KEY_RING_H

#include "check/dkim_sign.h"
#include "directory/directory.h"
#include "event/log.h"

struct key_ring;

/* The folder is that of key_store.h. Borrows directory and log until key_ring_free. */
struct key_ring *key_ring_make(struct directory *d, struct event_log *log, const char *folder);
void key_ring_free(struct key_ring *r); /* NULL is allowed; every set has been given back */

/* Keys have changed: the next question loads them again. */
void key_ring_forget(struct key_ring *r);

struct directory *key_ring_directory(const struct key_ring *r);

enum { KEY_SET_MAX = 4 };

/* The keys of a domain that sign now. */
struct key_set {
    struct str domain; /* A-labels */
    bool is_ours;
    struct fault fault; /* a key that is to sign could not be loaded, or there is none; LATER */
    size_t count;       /* of those that sign; not 0 although some are missing */
    struct dkim_sign_key key[KEY_SET_MAX];
};

/* The set of a domain (in lower-case A-labels), to be given back; lives on when the ring forgets. Suspends. */
const struct key_set *key_ring_get(struct key_ring *r, struct str domain);
void key_ring_give(struct key_ring *r, const struct key_set *set);

#endif
