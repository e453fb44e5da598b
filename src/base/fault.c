/* SPDX-License-Identifier: ISC */
/*
 * fault.c - the three outcomes of handling mail: done, try later, never
 */
#include "base/fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/num.h"
#include "base/utf8.h"

static enum fault_kind kind_of_reply(unsigned reply)
{
    if (reply >= 500)
        return FAULT_NEVER;
    return reply >= 400 ? FAULT_LATER : FAULT_FINE;
}

/* Takes control bytes and what is no UTF-8 out and does not leave half a character at a cut. */
static void make_presentable(char *text, size_t n, bool is_cut)
{
    if (is_cut)
        while (n > 0 && ((unsigned char)text[n - 1] & 0xC0) == 0x80)
            n--;
    if (is_cut && n > 0 && ((unsigned char)text[n - 1] & 0x80))
        n--;
    text[n] = '\0';
    for (size_t i = 0; i < n;) {
        struct str rest = str_make(text + i, n - i);
        uint32_t character;
        if (!utf8_take(&rest, &character) || utf8_is_control(character))
            text[i++] = '?';
        else
            i = n - rest.n;
    }
}

struct fault fault_make(unsigned reply, struct fault_status status, const char *format, ...)
{
    struct fault f = {.kind = kind_of_reply(reply), .reply = (uint16_t)reply, .status = status};
    va_list args;
    va_start(args, format);
    int n = vsnprintf(f.text, sizeof f.text, format, args);
    va_end(args);
    if (n < 0)
        n = 0;
    bool is_cut = (size_t)n >= sizeof f.text;
    make_presentable(f.text, is_cut ? sizeof f.text - 1 : (size_t)n, is_cut);
    return f;
}

bool fault_status_parse(struct str s, struct fault_status *out, struct str *rest)
{
    uint16_t part[3];
    for (int i = 0; i < 3; i++) {
        size_t n = 0;
        while (n < s.n && n < 4 && s.p[n] >= '0' && s.p[n] <= '9')
            n++;
        uint64_t value;
        if (!num_parse(str_head(s, n), 999, &value))
            return false;
        part[i] = (uint16_t)value;
        s = str_skip(s, n);
        if (i < 2) {
            if (s.n == 0 || s.p[0] != '.')
                return false;
            s = str_skip(s, 1);
        }
    }
    if (part[0] != 2 && part[0] != 4 && part[0] != 5)
        return false;
    if (s.n > 0 && s.p[0] != ' ')
        return false;
    *out = (struct fault_status){part[0], part[1], part[2]};
    *rest = str_skip(s, 1);
    return true;
}

const char *fault_kind_name(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_FINE:
        return "fine";
    case FAULT_LATER:
        return "later";
    case FAULT_NEVER:
        return "never";
    }
    return "?";
}
