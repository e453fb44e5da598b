/* SPDX-License-Identifier: ISC */
/*
 * name.c - accounts as directory names
 */
#include "store/name.h"

#include "base/encode.h"

static bool is_plain(char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           (c == '.' && !is_first);
}

bool name_escape(struct buf *out, struct str name)
{
    size_t start = out->used;
    bool fits = name.n > 0;
    for (size_t i = 0; i < name.n && fits; i++) {
        char c = name.p[i];
        if (is_plain(c, i == 0))
            fits = buf_append_byte(out, c);
        else
            fits = buf_append_byte(out, '%') && encode_hex(out, str_make(&c, 1));
    }
    if (fits && out->used - start <= NAME_COMPONENT_MAX)
        return true;
    out->used = start;
    return false;
}

static bool unescape(struct buf *out, struct str rest)
{
    for (bool is_first = true; rest.n > 0; is_first = false) {
        char c = rest.p[0];
        size_t before = out->used, size = 1;
        if (c == '%') {
            size = 3;
            if (rest.n < size || !decode_hex(out, str_make(rest.p + 1, 2)) ||
                is_plain(out->data[before], is_first))
                return false;
        } else if (!is_plain(c, is_first) || !buf_append_byte(out, c)) {
            return false;
        }
        for (size_t i = 1; i < size; i++)
            if (rest.p[i] >= 'A' && rest.p[i] <= 'F')
                return false;
        rest = str_skip(rest, size);
    }
    return true;
}

bool name_unescape(struct buf *out, struct str component)
{
    size_t start = out->used;
    if (component.n > 0 && component.n <= NAME_COMPONENT_MAX && unescape(out, component))
        return true;
    out->used = start;
    return false;
}

bool name_account_path(struct buf *out, struct str address)
{
    size_t start = out->used, at = str_last_index(address, '@');
    if (at < address.n && name_escape(out, str_skip(address, at + 1)) &&
        buf_append_byte(out, '/') && name_escape(out, str_head(address, at)))
        return true;
    out->used = start;
    return false;
}
