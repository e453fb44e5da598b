/* SPDX-License-Identifier: ISC */
/*
 * verifier.h - what is stored instead of a password: SCRAM-SHA-256 (RFC 5802, RFC 7677)
 */
#ifndef DIRECTORY_VERIFIER_H
#define DIRECTORY_VERIFIER_H

#include "base/str.h"

#include <stdint.h>

enum { VERIFIER_SALT_BYTES = 16, VERIFIER_KEY_BYTES = 32, VERIFIER_ITERATIONS = 10000 };
enum { VERIFIER_PASSWORD_MAX = 1024 };

struct directory_verifier {
    uint8_t salt[VERIFIER_SALT_BYTES];
    uint32_t iterations;
    uint8_t stored_key[VERIFIER_KEY_BYTES];
    uint8_t server_key[VERIFIER_KEY_BYTES];
};

/*
 * The verifier of a password (SASLprep, RFC 4013; 1 to 1024 bytes) for this salt and count. False
 * when the password holds what SASLprep forbids. Takes milliseconds of CPU on purpose.
 */
bool verifier_make(struct str password, const uint8_t salt[VERIFIER_SALT_BYTES],
                   uint32_t iterations, struct directory_verifier *out);

/* Whether the password fits, in a time that depends on the iterations only. */
bool verifier_fits(const struct directory_verifier *v, struct str password);

/* A verifier for a name that has none: the same for the same secret and name, of no password. */
void verifier_fake(struct str secret, struct str name, struct directory_verifier *out);

#endif
