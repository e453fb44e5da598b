/* SPDX-License-Identifier: ISC */
/*
 * num.h - numbers from outside
 *
 * Parsers take a maximum and accept plain digits only: no sign, no blanks, no base prefix.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/str.h"

#include <stdint.h>

enum { NUM_DECIMAL_MAX = 21 };

/* All of s as a decimal number of at most maximum. False, *out untouched, when it is not one. */
bool num_parse(struct str s, uint64_t maximum, uint64_t *out);

/* All of s as a hexadecimal number of at most maximum. */
bool num_parse_hex(struct str s, uint64_t maximum, uint64_t *out);

/*
 * A size with an optional K, M, G suffix (powers of 1024, "KiB" and "KB" too), in bytes.
 */
bool num_parse_size(struct str s, uint64_t maximum, uint64_t *bytes);

/*
 * A duration with a suffix ms, s, m, h, d or w, in milliseconds; a bare number is seconds. Several
 * parts may follow each other ("1h30m").
 */
bool num_parse_duration(struct str s, uint64_t maximum_ms, uint64_t *ms);

/* Writes the number into digits and returns that slice. */
struct str num_format(int64_t number, char digits[NUM_DECIMAL_MAX]);

/* a + b and a * b, or SIZE_MAX when the result does not fit. */
size_t num_add_saturating(size_t a, size_t b);
size_t num_multiply_saturating(size_t a, size_t b);

#endif
