/* SPDX-License-Identifier: ISC */
/*
 * signing_keys.h - making and removing the keys that sign our mail: file and directory together
 *
 * A private key is on disk before the directory names it, and the directory forgets it before it goes.
 */
#ifndef CLI_SIGNING_KEYS_H
#define CLI_SIGNING_KEYS_H

#include "directory/keys.h"
#include "os/owner.h"

/* Where private keys are and whose they become (NULL: the caller's). Borrowed. */
struct signing_keys_place {
    const char *folder;
    const struct owner *owner;
};

/*
 * Makes an RSA and an Ed25519 key of a domain in that state. Selectors are r20261122 and e20261122 for that day (UTC),
 * with -2, -3 and so on behind them when they have been used. Blocks for a second at most.
 */
struct fault signing_keys_make(struct directory *d, const struct signing_keys_place *place,
                               struct str domain, enum directory_key_state state, int64_t now_s);

/* Keys copied out of the directory, in an arena. */
struct signing_keys {
    struct directory_key *item;
    size_t count, size;
};

/* The keys of a domain, or with an empty name all of them. */
struct fault signing_keys_list(struct directory *d, struct str domain, struct arena *a,
                               struct signing_keys *out);

/* Removes a key: from the directory, then its file. */
struct fault signing_keys_remove(struct directory *d, const struct signing_keys_place *place,
                                 const struct directory_key *key);

#endif
