/* SPDX-License-Identifier: ISC */
/*
 * smtp_reply.c - replies of SMTP and LMTP as lines (RFC 5321 4.2, 2034)
 */
#include "proto/smtp_reply.h"

#include "base/num.h"

enum { TEXT_MAX = SMTP_REPLY_LINE_MAX - 32 }; /* room for code, status and CRLF */

/* Writes a number of at most three digits; returns where it ends. */
static char *write_number(char *to, unsigned number)
{
    if (number >= 100)
        *to++ = (char)('0' + number / 100 % 10);
    if (number >= 10)
        *to++ = (char)('0' + number / 10 % 10);
    *to++ = (char)('0' + number % 10);
    return to;
}

static bool append_line(struct buf *out, unsigned code, struct fault_status status, struct str text,
                        bool is_last, bool allow_utf8)
{
    if (!buf_reserve(out, text.n + SMTP_REPLY_LINE_MAX - TEXT_MAX))
        return false;
    char *to = write_number(out->data + out->used, code);
    *to++ = is_last ? ' ' : '-';
    if (status.class > 0) {
        to = write_number(to, status.class);
        *to++ = '.';
        to = write_number(to, status.subject);
        *to++ = '.';
        to = write_number(to, status.detail);
        if (text.n > 0)
            *to++ = ' ';
    }
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool is_safe = c >= 0x20 && c != 0x7F && (c < 0x80 || allow_utf8);
        *to++ = is_safe ? (char)c : '?';
    }
    *to++ = '\r';
    *to++ = '\n';
    out->used = (size_t)(to - out->data);
    return true;
}

/* What fits on one line: up to the LF, or to the last blank within the limit, or a character. */
static struct str take_line(struct str *text)
{
    struct str line = str_head(*text, TEXT_MAX + 1);
    line.n = str_index(line, '\n');
    if (line.n <= TEXT_MAX) {
        *text = str_skip(*text, line.n + 1);
        return line;
    }
    size_t n = str_last_index(str_head(line, TEXT_MAX), ' ');
    size_t skip = 1;
    if (n == 0 || n >= TEXT_MAX) {
        n = TEXT_MAX;
        while (n > TEXT_MAX - 4 && ((unsigned char)line.p[n] & 0xC0) == 0x80)
            n--;
        skip = 0;
    }
    *text = str_skip(*text, n + skip);
    return str_head(line, n);
}

bool smtp_reply_append(struct buf *out, unsigned code, struct fault_status status, struct str text,
                       bool allow_utf8)
{
    size_t start = out->used;
    bool fits = true;
    do {
        struct str line = take_line(&text);
        fits = append_line(out, code, status, line, text.n == 0, allow_utf8);
    } while (fits && text.n > 0);
    if (!fits)
        out->used = start;
    return fits;
}

bool smtp_reply_parse(struct str line, struct smtp_reply_line *out)
{
    uint64_t code;
    if (line.n > 0 && line.p[line.n - 1] == '\n')
        line.n--;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n < 3 || !num_parse(str_head(line, 3), 599, &code) || code < 200)
        return false;
    if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
        return false;
    *out = (struct smtp_reply_line){
        .code = (unsigned)code,
        .is_last = line.n == 3 || line.p[3] == ' ',
        .text = str_skip(line, 4),
    };
    return true;
}
