/* SPDX-License-Identifier: ISC */
/*
 * hostname.c - the shape of a domain name in ASCII
 */
#include "base/hostname.h"

static bool is_label(struct str label)
{
    if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++) {
        char c = str_lower_byte(label.p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

bool hostname_is_valid(struct str s)
{
    if (s.n == 0 || s.n > 253)
        return false;
    for (bool is_more = true; is_more;) {
        struct str label;
        is_more = str_cut(s, '.', &label, &s);
        if (!is_label(label))
            return false;
    }
    return true;
}

bool hostname_ends_in_number(struct str s)
{
    size_t dot = str_last_index(s, '.');
    struct str last = dot < s.n ? str_skip(s, dot + 1) : s;
    for (size_t i = 0; i < last.n; i++)
        if (last.p[i] < '0' || last.p[i] > '9')
            return false;
    return last.n > 0;
}

bool hostname_is_mail_domain(struct str s)
{
    return hostname_is_valid(s) && !str_has(s, '_') && !hostname_ends_in_number(s);
}
