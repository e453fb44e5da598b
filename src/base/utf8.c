/* SPDX-License-Identifier: ISC */
/*
 * utf8.c - UTF-8 (RFC 3629)
 */
#include "base/utf8.h"

bool utf8_take(struct str *s, uint32_t *character)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s->n == 0)
        return false;
    unsigned char first = (unsigned char)s->p[0];
    size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (length == 0 || first > 0xF4 || length > s->n)
        return false;
    uint32_t value = length == 1 ? first : first & (0x7FU >> length);
    for (size_t i = 1; i < length; i++) {
        unsigned char next = (unsigned char)s->p[i];
        if ((next & 0xC0) != 0x80)
            return false;
        value = (value << 6) | (next & 0x3FU);
    }
    if (value < smallest[length] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return false;
    *character = value;
    *s = str_skip(*s, length);
    return true;
}

bool utf8_is_control(uint32_t character)
{
    return character < 0x20 || (character >= 0x7F && character < 0xA0) ||
           (character >= 0x2028 && character <= 0x202E) ||
           (character >= 0x2066 && character <= 0x2069);
}

bool utf8_is_valid(struct str s)
{
    uint32_t character;
    while (s.n > 0)
        if (!utf8_take(&s, &character))
            return false;
    return true;
}
