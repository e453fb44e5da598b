/* SPDX-License-Identifier: ISC */
/*
 * sevenbit.c - 8-bit content as 7-bit content (RFC 6152 section 3, RFC 2045)
 *
 * A walk over lines with a stack of the entities that are open. A header section is gathered whole;
 * of a body only the start of a line, which may be a boundary, and the line end in front of it,
 * which then belongs to the boundary, are held back. Both readings walk in the same way, so they
 * agree about the number of each entity.
 */
#include "mail/sevenbit.h"

#include <assert.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "mail/content_type.h"
#include "mail/header.h"
#include "mail/transfer_encoder.h"

enum { LINE_LOOK = 1000 /* longer than every boundary line */ };

/* What the walk is in. */
enum place {
    IN_HEADER,
    IN_LEAF,   /* the body of an entity that has no entities in it */
    IN_SEALED, /* a body that must not be changed */
    IN_MARGIN  /* in front of the first part or behind the last, which nobody is shown */
};

/* An entity that others are in: a multipart, or a message with a message in it. */
struct level {
    size_t number; /* of the entity */
    bool is_digest;
    const char *seal;  /* why nothing in it must be changed, or NULL */
    size_t boundary_n; /* 0: a message */
    char boundary[CONTENT_TYPE_BOUNDARY_MAX];
};

/* The body of a leaf in the second reading. */
enum way { WAY_KEEP, WAY_QUOTED, WAY_BASE64 };

struct sevenbit {
    bool is_converting;
    struct fault fault;
    struct buf has_8bit; /* a byte for each entity: itself or one in it has 8-bit bytes */
    enum place place;
    const char *seal;    /* why the body must not be changed */
    bool is_seal_opaque; /* it may have entities in it that the walk does not see */
    enum sevenbit_header worst_header;
    size_t count, number; /* entities so far; the one that the walk is in */
    bool is_message;      /* the header is a message's */
    struct level level[SEVENBIT_DEPTH_MAX];
    size_t depth;
    struct buf header; /* section so far */
    bool is_in_field;  /* its last line has not ended */
    char line[LINE_LOOK];
    size_t line_n;
    bool is_mid_line; /* the line's beginning has gone on already */
    bool has_crlf;    /* a line end of the body is held back */
    enum way way;
    struct transfer_encoder encoder;
    struct buf *out;
};

static void start(struct sevenbit *s, bool is_converting)
{
    s->is_converting = is_converting;
    s->place = IN_HEADER;
    s->count = s->number = 0;
    s->is_message = true;
    s->depth = 0;
    s->header.used = 0;
    s->is_in_field = s->is_mid_line = s->has_crlf = false;
    s->line_n = 0;
    s->way = WAY_KEEP;
}

struct sevenbit *sevenbit_make(void)
{
    struct sevenbit *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->has_8bit = buf_make(SEVENBIT_PARTS_MAX);
    s->header = buf_make(SEVENBIT_HEADER_MAX);
    start(s, false);
    return s;
}

void sevenbit_free(struct sevenbit *s)
{
    if (!s)
        return;
    buf_free(&s->has_8bit);
    buf_free(&s->header);
    free(s);
}

/* The first reason stays. */
static void refuse(struct sevenbit *s, const char *why)
{
    if (!s->is_converting && !s->fault.kind)
        s->fault = fault_make(554, FAULT_STATUS(5, 6, 3),
                              "the next server takes no 8-bit content, and %s", why);
}

static void mark(struct sevenbit *s, size_t number)
{
    if (number < s->has_8bit.used)
        s->has_8bit.data[number] = 1;
}

/* 8-bit bytes were found in the body where the walk is. */
static void found_8bit(struct sevenbit *s)
{
    if (s->is_converting)
        return;
    if (s->place == IN_SEALED)
        refuse(s, s->seal);
    if (s->place == IN_SEALED && s->is_seal_opaque)
        s->worst_header = SEVENBIT_HEADER_OTHER;
    mark(s, s->number);
    for (size_t i = 0; i < s->depth; i++) {
        mark(s, s->level[i].number);
        if (s->level[i].seal)
            refuse(s, s->level[i].seal);
    }
}

/* A header section, or the beginning of one that is too large. */
static void look_at_header(struct sevenbit *s, struct str section)
{
    if (!str_has_8bit(section))
        return;
    enum sevenbit_header is = utf8_is_valid(section) ? SEVENBIT_HEADER_UTF8 : SEVENBIT_HEADER_OTHER;
    s->worst_header = is > s->worst_header ? is : s->worst_header;
    refuse(s, "a header field has 8-bit bytes");
}

static bool is_changed(const struct sevenbit *s)
{
    return s->is_converting && s->number < s->has_8bit.used && s->has_8bit.data[s->number];
}

static void put(struct sevenbit *s, struct str bytes)
{
    if (!s->is_converting)
        return;
    bool fits = buf_append(s->out, bytes);
    assert(fits);
}

/* No boundary may have an asterisk, so no line becomes one. */
static void put_margin(struct sevenbit *s, struct str bytes)
{
    put(s, bytes);
    for (size_t i = 0; i < bytes.n && s->is_converting; i++) {
        char *c = s->out->data + s->out->used - bytes.n + i;
        *c = *c & 0x80 ? '*' : *c;
    }
}

static void put_body(struct sevenbit *s, struct str bytes)
{
    if (str_has_8bit(bytes))
        found_8bit(s);
    if (s->place == IN_MARGIN) {
        put_margin(s, bytes);
    } else if (s->way == WAY_KEEP) {
        put(s, bytes);
    } else {
        bool fits = transfer_encode(&s->encoder, bytes, s->out);
        assert(fits);
    }
}

/* The line end in front of a boundary is not the body's; base64 has brought one along. */
static void end_body(struct sevenbit *s, bool is_at_boundary)
{
    if (s->has_crlf && !is_at_boundary)
        put_body(s, STR("\r\n"));
    if (s->way != WAY_KEEP) {
        bool fits = transfer_encode_end(&s->encoder, s->out);
        assert(fits);
    }
    if (s->has_crlf && is_at_boundary && s->way != WAY_BASE64)
        put(s, STR("\r\n"));
    s->has_crlf = false;
    s->way = WAY_KEEP;
}

/* Writes a field, or what it is to be instead; *has_encoding: that field has been written. */
static void put_field(struct sevenbit *s, const struct header_field *field, const char *encoding,
                      bool *has_encoding)
{
    if (!encoding || !str_equal_nocase(field->name, STR("Content-Transfer-Encoding"))) {
        put(s, field->whole);
        return;
    }
    if (*has_encoding)
        return;
    put(s, STR("Content-Transfer-Encoding: "));
    put(s, str_from(encoding));
    put(s, STR("\r\n"));
    *has_encoding = true;
}

/* Writes the header section with another encoding and with the fields that MIME wants beside it. */
static void put_changed_header(struct sevenbit *s, const char *encoding, bool is_leaf)
{
    struct str section = buf_str(&s->header);
    struct header_iterator i = header_iterate(section);
    struct header_field field;
    bool has_encoding = false;
    while (header_next(&i, &field))
        put_field(s, &field, encoding, &has_encoding);
    if (s->is_message && !header_find(section, STR("MIME-Version"), &field))
        put(s, STR("MIME-Version: 1.0\r\n"));
    if (is_leaf && !header_find(section, STR("Content-Type"), &field))
        put(s, STR("Content-Type: text/plain; charset=unknown-8bit\r\n"));
    if (is_leaf && !has_encoding) {
        field.name = STR("Content-Transfer-Encoding");
        put_field(s, &field, encoding, &has_encoding);
    }
    put(s, STR("\r\n"));
}

static void put_header(struct sevenbit *s, enum transfer_encoding said, bool has_separator)
{
    bool is_leaf = s->place == IN_LEAF;
    static const char *const names[] = {
        [WAY_KEEP] = "7bit", [WAY_QUOTED] = "quoted-printable", [WAY_BASE64] = "base64"};
    if (is_changed(s)) {
        bool is_said = said == TRANSFER_8BIT || said == TRANSFER_BINARY;
        put_changed_header(s, is_leaf || is_said ? names[s->way] : NULL, is_leaf);
        return;
    }
    put(s, buf_str(&s->header));
    if (has_separator)
        put(s, STR("\r\n"));
}

static void seal(struct sevenbit *s, const char *why, bool is_opaque)
{
    s->place = IN_SEALED;
    s->seal = why;
    s->is_seal_opaque = is_opaque;
}

/* Goes into an entity that others are in; a message has no boundary. */
static void enter(struct sevenbit *s, const struct content_type *type, bool is_multipart)
{
    if (s->depth == SEVENBIT_DEPTH_MAX) {
        seal(s, "its parts are nested too deeply", true);
        return;
    }
    struct level *l = &s->level[s->depth++];
    l->number = s->number;
    l->is_digest = is_multipart && str_equal_nocase(type->subtype, STR("digest"));
    bool is_signed = is_multipart && str_equal_nocase(type->subtype, STR("signed"));
    l->seal = is_signed ? "a signed part must not be changed" : NULL;
    l->boundary_n = is_multipart ? type->boundary_n : 0;
    memcpy(l->boundary, type->boundary, l->boundary_n);
    s->place = is_multipart ? IN_MARGIN : IN_HEADER;
}

/* These stay as they are (RFC 2046 section 5.2.2 and 5.2.3, RFC 3464 section 2.1, RFC 8098). */
static bool is_never_encoded(struct str subtype)
{
    return str_equal_nocase(subtype, STR("partial")) ||
           str_equal_nocase(subtype, STR("external-body")) ||
           str_equal_nocase(subtype, STR("delivery-status")) ||
           str_equal_nocase(subtype, STR("disposition-notification"));
}

/* What is to be done with the body of an entity of this type. */
static void choose_place(struct sevenbit *s, const struct content_type *type,
                         enum transfer_encoding said)
{
    bool is_message = str_equal_nocase(type->type, STR("message"));
    s->place = IN_LEAF;
    if (said == TRANSFER_ENCODED) {
        seal(s, "a part that claims to be encoded has 8-bit bytes", false);
    } else if (str_equal_nocase(type->type, STR("multipart"))) {
        if (type->boundary_n == 0)
            seal(s, "a multipart has no boundary", false);
        else
            enter(s, type, true);
    } else if (is_message && str_equal_nocase(type->subtype, STR("rfc822"))) {
        enter(s, type, false);
    } else if (is_message && is_never_encoded(type->subtype)) {
        seal(s, "a part has a type that is never encoded", false);
    } else if (is_changed(s)) {
        bool is_text = is_message || str_equal_nocase(type->type, STR("text"));
        s->way = is_text ? WAY_QUOTED : WAY_BASE64;
        s->encoder = (struct transfer_encoder){.is_base64 = !is_text};
    }
}

/* The type of the entity whose header section this is, or the one that RFC 2045 5.2 supposes. */
static void read_type(const struct sevenbit *s, struct str section, struct content_type *type)
{
    struct header_field field;
    if (header_find(section, STR("Content-Type"), &field) && content_type_parse(field.value, type))
        return;
    bool is_in_digest = !s->is_message && s->depth > 0 && s->level[s->depth - 1].is_digest;
    *type = (struct content_type){.type = STR("text"), .subtype = STR("plain")};
    if (is_in_digest)
        *type = (struct content_type){.type = STR("message"), .subtype = STR("rfc822")};
}

static void end_header(struct sevenbit *s, bool has_separator)
{
    struct str section = buf_str(&s->header);
    struct header_field field;
    struct content_type type;
    s->number = s->count++;
    if (!s->is_converting && !buf_append_byte(&s->has_8bit, 0))
        refuse(s, "it has too many parts");
    look_at_header(s, section);
    read_type(s, section, &type);
    enum transfer_encoding said = header_find(section, STR("Content-Transfer-Encoding"), &field)
                                      ? transfer_encoding_parse(field.value)
                                      : TRANSFER_7BIT;
    choose_place(s, &type, said);
    put_header(s, said, has_separator);
    s->header.used = 0;
    s->is_message = s->place == IN_HEADER;
}

/* The level whose boundary the line is, counted from 1; 0: none. */
static size_t level_of_boundary(const struct sevenbit *s, struct str line, bool *is_last)
{
    while (line.n > 0 && strchr(" \t\r\n", line.p[line.n - 1]) && line.p[line.n - 1])
        line.n--;
    if (!str_starts(line, STR("--")))
        return 0;
    line = str_skip(line, 2);
    for (size_t i = s->depth; i > 0; i--) {
        struct str boundary = str_make(s->level[i - 1].boundary, s->level[i - 1].boundary_n);
        if (boundary.n == 0 || !str_starts(line, boundary))
            continue;
        struct str rest = str_skip(line, boundary.n);
        *is_last = str_equal(rest, STR("--"));
        if (rest.n == 0 || *is_last)
            return i;
    }
    return 0;
}

/* Acts on a line that is a boundary of an entity that is open; what is within that one ends. */
static bool take_boundary(struct sevenbit *s, struct str line)
{
    bool is_last = false;
    size_t level = level_of_boundary(s, line, &is_last);
    if (level == 0)
        return false;
    while (s->place == IN_HEADER)
        end_header(s, false);
    end_body(s, true);
    put(s, line);
    s->depth = is_last ? level - 1 : level;
    s->number = s->level[level - 1].number;
    s->place = is_last ? IN_MARGIN : IN_HEADER;
    s->is_message = false;
    return true;
}

static bool is_field_line(const struct sevenbit *s, struct str line)
{
    size_t n = 0;
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return s->header.used > 0;
    while (n < line.n && line.p[n] > 0x20 && line.p[n] < 0x7F && line.p[n] != ':')
        n++;
    bool has_name = n > 0;
    while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
        n++;
    return has_name && n < line.n && line.p[n] == ':';
}

static void take_body(struct sevenbit *s, struct str piece, bool is_end)
{
    if (s->has_crlf)
        put_body(s, STR("\r\n"));
    put_body(s, str_head(piece, is_end ? piece.n - 2 : piece.n));
    s->has_crlf = is_end;
}

/* A line, or a piece of one that is long. */
static void take_piece(struct sevenbit *s, struct str piece, bool is_end)
{
    bool is_start = !s->is_mid_line;
    s->is_mid_line = !is_end;
    if (is_start && take_boundary(s, piece))
        return;
    if (s->place == IN_HEADER && is_start && str_equal(piece, STR("\r\n"))) {
        end_header(s, true);
        return;
    }
    /* A line that is no field is the body's first. */
    while (s->place == IN_HEADER && is_start && !is_field_line(s, piece))
        end_header(s, false);
    if (s->place != IN_HEADER) {
        take_body(s, piece, is_end);
    } else if (!buf_append(&s->header, piece)) {
        refuse(s, "a header section is too large");
        look_at_header(s, buf_str(&s->header));
        s->header.used = 0;
        seal(s, "a header section is too large", true);
        take_body(s, piece, is_end);
    }
}

/* Gathers lines and gives them on; a long line in pieces, none of which ends within a CRLF. */
static void walk(struct sevenbit *s, struct str in)
{
    while (in.n > 0) {
        struct str part = str_head(in, LINE_LOOK - s->line_n);
        part = str_head(part, str_index(part, '\n') + 1);
        memcpy(s->line + s->line_n, part.p, part.n);
        s->line_n += part.n;
        in = str_skip(in, part.n);
        struct str line = str_make(s->line, s->line_n);
        bool is_end = line.n >= 2 && line.p[line.n - 1] == '\n' && line.p[line.n - 2] == '\r';
        if (!is_end && s->line_n < LINE_LOOK)
            continue;
        bool is_open = line.p[line.n - 1] == '\r';
        line.n -= is_open;
        take_piece(s, line, is_end);
        s->line[0] = '\r';
        s->line_n = is_open;
    }
}

static void end(struct sevenbit *s)
{
    if (s->line_n > 0)
        take_piece(s, str_make(s->line, s->line_n), false);
    while (s->place == IN_HEADER)
        end_header(s, false);
    end_body(s, false);
}

void sevenbit_look(struct sevenbit *s, struct str in)
{
    assert(!s->is_converting);
    walk(s, in);
}

struct fault sevenbit_look_end(struct sevenbit *s)
{
    end(s);
    start(s, true);
    return s->fault;
}

enum sevenbit_header sevenbit_header(const struct sevenbit *s)
{
    return s->worst_header;
}

void sevenbit_convert(struct sevenbit *s, struct str in, struct buf *out)
{
    assert(s->is_converting && !s->fault.kind);
    s->out = out;
    walk(s, in);
}

void sevenbit_convert_end(struct sevenbit *s, struct buf *out)
{
    s->out = out;
    end(s);
    start(s, true);
}
