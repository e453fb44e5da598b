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

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes four digits of which the last may be padding; returns the number of bytes, or 0. */
static size_t decode_group(const char *text, bool is_last, char bytes[3])
{
    size_t padding = 0;
    if (is_last && text[3] == '=')
        padding = text[2] == '=' ? 2 : 1;
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i >= 4 - padding ? 0 : base64_value(text[i]);
        if (value < 0)
            return 0;
        group = (group << 6) | (uint32_t)value;
    }
    if ((padding == 1 && (group & 0xFF)) || (padding == 2 && (group & 0xFFFF)))
        return 0;
    bytes[0] = (char)(group >> 16);
    bytes[1] = (char)(group >> 8);
    bytes[2] = (char)group;
    return 3 - padding;
}

bool decode_base64(struct buf *out, struct str text)
{
    size_t start = out->used;
    if (text.n % 4 != 0)
        return false;
    for (size_t i = 0; i < text.n; i += 4) {
        char bytes[3];
        size_t n = decode_group(text.p + i, i + 4 == text.n, bytes);
        if (n == 0 || !buf_append(out, str_make(bytes, n))) {
            out->used = start;
            return false;
        }
    }
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
