/* SPDX-License-Identifier: ISC */
/*
 * keys.h - which keys sign the mail of our domains (DKIM): their public side
 *
 * A key is made as NEXT, signs while it is ACTIVE, and is RETIRING while mail that it has signed may still be on its
 * way. Private keys are not here but in files that one role can read (sign/key_store.h). Faults besides those of
 * directory.h: 550 with a sentence for people.
 */
#ifndef DIRECTORY_KEYS_H
#define DIRECTORY_KEYS_H

#include "directory/directory.h"

enum directory_key_state { DIRECTORY_KEY_NEXT, DIRECTORY_KEY_ACTIVE, DIRECTORY_KEY_RETIRING };

enum { DIRECTORY_KEY_RECORD_MAX = 2048 };

struct directory_key {
    struct str domain, selector;
    struct str algorithm; /* "rsa" or "ed25519" */
    enum directory_key_state state;
    int64_t since_s;   /* Unix seconds: when it got into that state */
    struct str record; /* the text of its TXT record */
};

/* "next", "active" and "retiring"; the reader gives false for anything else. */
const char *directory_key_state_name(enum directory_key_state state);
bool directory_key_state_find(struct str name, enum directory_key_state *out);

/* Whether names, algorithm and record are what the directory can hold. */
bool directory_key_is_valid(const struct directory_key *key);

/* Adds a key of a domain that is there; a selector is used once. */
struct fault directory_key_add(struct directory *d, const struct directory_key *key);

/* Removes a key; one that is not there is an error. */
struct fault directory_key_remove(struct directory *d, struct str domain, struct str selector);

/*
 * Those that are NEXT sign from now on, those that signed are RETIRING: both or nothing. 550 when the domain has no
 * next keys.
 */
struct fault directory_keys_activate(struct directory *d, struct str domain, int64_t now_s);

/* Calls each, by domain and selector, for the keys of a domain, or with an empty name for all. The strings are borrowed
 * for the call, from which no other call on this handle may be made. */
struct fault directory_list_keys(struct directory *d, struct str domain,
                                 void (*each)(const struct directory_key *key, void *arg),
                                 void *arg);

#endif
