/* SPDX-License-Identifier: ISC */
/*
 * encode.c - bytes as text: base64, hexadecimal, xtext
 */
#include "base/encode.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool encode_base64(struct buf *out, struct str bytes)
{
    if (bytes.n > (SIZE_MAX - 4) / 2 || !buf_reserve(out, (bytes.n + 2) / 3 * 4))
        return false;
    char *to = bytes.n > 0 ? out->data + out->used : NULL;
    for (size_t i = 0; i < bytes.n; i += 3) {
        uint32_t group = (uint32_t)(unsigned char)bytes.p[i] << 16;
        if (i + 1 < bytes.n)
            group |= (uint32_t)(unsigned char)bytes.p[i + 1] << 8;
        if (i + 2 < bytes.n)
            group |= (uint32_t)(unsigned char)bytes.p[i + 2];
        *to++ = base64_digits[group >> 18];
        *to++ = base64_digits[(group >> 12) & 63];
        *to++ = i + 1 < bytes.n ? base64_digits[(group >> 6) & 63] : '=';
        *to++ = i + 2 < bytes.n ? base64_digits[group & 63] : '=';
    }
    out->used += (bytes.n + 2) / 3 * 4;
    return true;
}

/* What a digit stands for, and one more, so that no digit is 0. */
static const unsigned char base64_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* Decodes four characters of which the last ones are padding to bytes; false when they are none. */
static bool decode_group(const char *text, size_t padding, char *bytes)
{
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t value = i < 4 - padding ? base64_values[(unsigned char)text[i]] : 1;
        if (value == 0)
            return false;
        group = (group << 6) | (value - 1);
    }
    if ((padding == 1 && (group & 0xFF)) || (padding == 2 && (group & 0xFFFF)))
        return false;
    bytes[0] = (char)(group >> 16);
    if (padding < 2)
        bytes[1] = (char)(group >> 8);
    if (padding < 1)
        bytes[2] = (char)group;
    return true;
}

bool decode_base64(struct buf *out, struct str text)
{
    size_t padding = 0;
    if (text.n == 0)
        return true;
    if (text.n % 4 != 0)
        return false;
    if (text.p[text.n - 1] == '=')
        padding = text.p[text.n - 2] == '=' ? 2 : 1;
    size_t size = text.n / 4 * 3 - padding;
    if (!buf_reserve(out, size))
        return false;
    char *to = out->data + out->used;
    for (size_t i = 0; i < text.n; i += 4, to += 3)
        if (!decode_group(text.p + i, i + 4 == text.n ? padding : 0, to))
            return false;
    out->used += size;
    return true;
}

bool encode_hex(struct buf *out, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    if (bytes.n > SIZE_MAX / 2 || !buf_reserve(out, bytes.n * 2))
        return false;
    for (size_t i = 0; i < bytes.n; i++) {
        out->data[out->used++] = digits[(unsigned char)bytes.p[i] >> 4];
        out->data[out->used++] = digits[(unsigned char)bytes.p[i] & 15];
    }
    return true;
}

static int hex_value(char c, bool is_lower_allowed)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return is_lower_allowed && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool decode_hex(struct buf *out, struct str text)
{
    size_t start = out->used;
    if (text.n % 2 != 0)
        return false;
    for (size_t i = 0; i < text.n; i += 2) {
        int high = hex_value(text.p[i], true), low = hex_value(text.p[i + 1], true);
        if (high < 0 || low < 0 || !buf_append_byte(out, (char)(high << 4 | low))) {
            out->used = start;
            return false;
        }
    }
    return true;
}

bool encode_xtext(struct buf *out, struct str bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t start = out->used;
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        char escaped[3] = {'+', digits[c >> 4], digits[c & 15]};
        bool is_plain = c > 0x20 && c < 0x7F && c != '+' && c != '=';
        if (!(is_plain ? buf_append_byte(out, (char)c) : buf_append(out, str_make(escaped, 3)))) {
            out->used = start;
            return false;
        }
    }
    return true;
}

/* Takes one character of xtext from the front of *text. */
static bool take_xchar(struct str *text, char *byte)
{
    unsigned char c = (unsigned char)text->p[0];
    if (c != '+') {
        *byte = (char)c;
        *text = str_skip(*text, 1);
        return c > 0x20 && c < 0x7F && c != '=';
    }
    if (text->n < 3)
        return false;
    int high = hex_value(text->p[1], false), low = hex_value(text->p[2], false);
    if (high < 0 || low < 0)
        return false;
    *byte = (char)(high << 4 | low);
    *text = str_skip(*text, 3);
    return true;
}

bool decode_xtext(struct buf *out, struct str text)
{
    size_t start = out->used;
    while (text.n > 0) {
        char byte;
        if (!take_xchar(&text, &byte) || !buf_append_byte(out, byte)) {
            out->used = start;
            return false;
        }
    }
    return true;
}
