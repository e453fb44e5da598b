/* SPDX-License-Identifier: ISC */
/*
 * compose.c - a message as people and local programs write it, made ready for SMTP
 */
#include "cli/compose.h"

#include <stdlib.h>

#include "mail/header.h"

/* The line without its end, be it CRLF, LF or a CR alone at the end of the file. */
static struct str strip_end(struct str line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\n')
        line.n--;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

bool compose_read(FILE *in, bool has_dot, struct buf *out)
{
    char *memory = NULL;
    size_t size = 0;
    bool is_good = true, is_first = true;
    for (ssize_t n; is_good && (n = getline(&memory, &size, in)) > 0; is_first = false) {
        struct str line = strip_end(str_make(memory, (size_t)n));
        if (has_dot && str_equal(line, STR(".")))
            break;
        if (is_first && str_starts(line, STR("From ")))
            continue;
        is_good = buf_append(out, line) && buf_append(out, STR("\r\n"));
    }
    free(memory);
    return is_good && !ferror(in);
}

bool compose_has_header(struct str message)
{
    struct header_field field;
    struct header_iterator i = header_iterate(message);
    size_t count = 0;
    while (header_next(&i, &field))
        count++;
    return count > 0 && (i.has_separator || i.rest.n == 0);
}

/* A display name that needs no thought (RFC 5322 3.2.4). */
static bool append_name(struct buf *out, struct str name)
{
    bool is_good = buf_append_byte(out, '"');
    for (size_t i = 0; i < name.n && is_good; i++) {
        char c = name.p[i];
        if (c == '"' || c == '\\')
            is_good = buf_append_byte(out, '\\');
        is_good = is_good && buf_append_byte(out, (unsigned char)c < 0x20 || c == 0x7F ? '?' : c);
    }
    return is_good && buf_append(out, STR("\" "));
}

bool compose_add_from(struct buf *message, struct str name, struct str address)
{
    struct header_field field;
    struct buf whole = buf_make(message->limit), value = buf_make(4096);
    if (header_find(buf_str(message), STR("From"), &field))
        return true;
    /* A message without any field gets the empty line that ends the section. */
    bool is_good = (name.n == 0 || append_name(&value, name)) && buf_append(&value, STR("<")) &&
                   buf_append(&value, address) && buf_append(&value, STR(">")) &&
                   header_append(&whole, STR("From"), buf_str(&value)) &&
                   (compose_has_header(buf_str(message)) ||
                    str_starts(buf_str(message), STR("\r\n")) || buf_append(&whole, STR("\r\n"))) &&
                   buf_append(&whole, buf_str(message));
    buf_free(&value);
    if (!is_good) {
        buf_free(&whole);
        return false;
    }
    buf_free(message);
    *message = whole;
    return true;
}
