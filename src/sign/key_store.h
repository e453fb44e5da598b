/* SPDX-License-Identifier: ISC */
/*
 * key_store.h - private keys of our domains: FOLDER/DOMAIN/SELECTOR.pem
 *
 * The folder belongs to the one role that signs; nobody else may look into it. Names are those of the directory, which
 * holds nothing that could lead out of the folder. All block. Faults as in os/file.h.
 */
#ifndef SIGN_KEY_STORE_H
#define SIGN_KEY_STORE_H

#include <openssl/types.h>

#include "base/fault.h"
#include "os/owner.h"

/* Writes a key durably, for the owner alone (NULL: whoever we are); the folders are made when they are missing. */
struct fault key_store_save(const char *folder, struct str domain, struct str selector,
                            const EVP_PKEY *key, const struct owner *owner);

/* Reads a key; *out is for EVP_PKEY_free. 451 4.7.5 when the file holds no private key. */
struct fault key_store_load(const char *folder, struct str domain, struct str selector,
                            EVP_PKEY **out);

bool key_store_has(const char *folder, struct str domain, struct str selector);

/* Removes a key; one that is not there is fine. */
struct fault key_store_remove(const char *folder, struct str domain, struct str selector);

#endif
