/* SPDX-License-Identifier: ISC */
/*
 * utf8.h - UTF-8 (RFC 3629)
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

#include <stdint.h>

/*
 * Takes one character from the front of *s. False, *s untouched, at the end or on a malformed,
 * overlong, surrogate or too large sequence.
 */
bool utf8_take(struct str *s, uint32_t *character);

/*
 * The control characters of ASCII and of Unicode's second row (U+0080 to U+009F), which terminals
 * obey as well; Unicode's ends of lines and paragraphs, at which some readers cut what is one line;
 * and what turns the direction of the text around it.
 */
bool utf8_is_control(uint32_t character);

/* True when all of s is well-formed; the empty slice is. */
bool utf8_is_valid(struct str s);

#endif
