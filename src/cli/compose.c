/* SPDX-License-Identifier: ISC */
/*
 * compose.c - a message as people and local programs write it, made ready for SMTP
 */
#include "cli/compose.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "mail/content_type.h"
#include "mail/header.h"
#include "mail/transfer_encoder.h"

/* The line without its end, be it CRLF, LF or a CR alone at the end of the file. */
static struct str strip_end(struct str line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\n')
        line.n--;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static struct fault too_large(void)
{
    return fault_make(552, FAULT_STATUS(5, 3, 4), "the message cannot be read or is too large");
}

static struct fault add_line(struct str line, size_t number, struct buf *out)
{
    bool has_nul = str_has(line, '\0');
    if (has_nul || str_has(line, '\r'))
        return fault_make(554, FAULT_STATUS(5, 6, 0), "line %zu of the message has a %s in it",
                          number, has_nul ? "NUL" : "CR that ends no line");
    return buf_append(out, line) && buf_append(out, STR("\r\n")) ? FINE : too_large();
}

struct fault compose_read(FILE *in, bool has_dot, struct buf *out)
{
    char *memory = NULL;
    size_t size = 0, number = 0;
    struct fault f = FINE;
    for (ssize_t n; !f.kind && (n = getline(&memory, &size, in)) > 0;) {
        struct str line = strip_end(str_make(memory, (size_t)n));
        if (has_dot && str_equal(line, STR(".")))
            break;
        if (++number > 1 || !str_starts(line, STR("From ")))
            f = add_line(line, number, out);
    }
    free(memory);
    return !f.kind && ferror(in) ? too_large() : f;
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

static bool has_long_line(struct str text)
{
    while (text.n > 0) {
        size_t lf = str_index(text, '\n');
        if (lf > COMPOSE_LINE_MAX + 1)
            return true;
        text = str_skip(text, lf + 1);
    }
    return false;
}

/* A body that is one piece of text, as it was written. */
static bool is_plain_text(struct str message)
{
    struct header_field field;
    struct content_type type;
    if (header_count(message, STR("Content-Type"), 2) > 1 ||
        (header_find(message, STR("Content-Type"), &field) &&
         !(content_type_parse(field.value, &type) && str_equal_nocase(type.type, STR("text")))))
        return false;
    if (!header_find(message, STR("Content-Transfer-Encoding"), &field))
        return true;
    enum transfer_encoding said = transfer_encoding_parse(field.value);
    return said == TRANSFER_7BIT || said == TRANSFER_8BIT;
}

/* The header section of the message with the fields that say what the body is now. */
static bool append_fields(struct buf *out, struct str message, struct str body)
{
    struct header_field field;
    bool is_good = true;
    struct header_iterator i = header_iterate(message);
    const char *charset = !str_has_8bit(body)   ? "us-ascii"
                          : utf8_is_valid(body) ? "utf-8"
                                                : "unknown-8bit";
    while (is_good && header_next(&i, &field))
        is_good = str_equal_nocase(field.name, STR("Content-Transfer-Encoding")) ||
                  buf_append(out, field.whole);
    if (!header_find(message, STR("MIME-Version"), &field))
        is_good = is_good && buf_append(out, STR("MIME-Version: 1.0\r\n"));
    if (!header_find(message, STR("Content-Type"), &field))
        is_good = is_good && buf_printf(out, "Content-Type: text/plain; charset=%s\r\n", charset);
    return is_good && buf_append(out, STR("Content-Transfer-Encoding: quoted-printable\r\n\r\n"));
}

struct fault compose_fit_lines(struct buf *message)
{
    struct header_field field;
    struct header_iterator i = header_iterate(buf_str(message));
    while (header_next(&i, &field))
        ;
    if (!has_long_line(i.rest) || !is_plain_text(buf_str(message)))
        return FINE;
    struct buf fit = buf_make(message->limit);
    struct transfer_encoder encoder = {0};
    if (!append_fields(&fit, buf_str(message), i.rest) ||
        !transfer_encode(&encoder, i.rest, &fit) || !transfer_encode_end(&encoder, &fit)) {
        buf_free(&fit);
        return too_large();
    }
    buf_free(message);
    *message = fit;
    return FINE;
}
