/* SPDX-License-Identifier: ISC */
/*
 * zone_text.c - lines of a zone file (RFC 1035 5)
 */
#include "cli/zone_text.h"

#include <stdarg.h>
#include <stdio.h>

enum { STRING_MAX = 255, COMMENT_MAX = 1024 };

static bool put_string(struct buf *out, struct str s)
{
    bool is_good = buf_append_byte(out, '"');
    for (size_t i = 0; i < s.n && is_good; i++)
        is_good = ((s.p[i] != '"' && s.p[i] != '\\') || buf_append_byte(out, '\\')) &&
                  buf_append_byte(out, s.p[i]);
    return is_good && buf_append_byte(out, '"');
}

bool zone_text_txt(struct buf *out, struct str name, struct str text)
{
    bool is_long = text.n > STRING_MAX;
    bool is_good = buf_printf(out, STR_FMT ". IN TXT %s", STR_ARG(name), is_long ? "(" : "");
    do {
        struct str piece = str_head(text, STRING_MAX);
        is_good = is_good && (!is_long || buf_append(out, STR("\n    "))) && put_string(out, piece);
        text = str_skip(text, piece.n);
    } while (text.n > 0 && is_good);
    return is_good && buf_append(out, is_long ? STR(" )\n") : STR("\n"));
}

bool zone_text_comment(struct buf *out, const char *format, ...)
{
    char text[COMMENT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20)
            *p = ' ';
    return buf_printf(out, "; %s\n", text);
}
