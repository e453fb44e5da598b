/* SPDX-License-Identifier: ISC */
/*
 * dsn_redact.c - a notice without the message that it is about (RFC 8689 section 5)
 *
 * Only parts that are known to bring nothing back are kept (RFC 6522 section 3): the first one when it is plain text, and
 * the first fields for programs. Multiparts are not looked into, so what they hold goes.
 */
#include "mail/dsn_redact.h"

#include "mail/content_type.h"
#include "mail/header.h"

#define LEFT_OUT                                                                                   \
    "The message that this is about is left out: it was to be protected by TLS on\r\n"             \
    "its whole way (REQUIRETLS, RFC 8689), which the way to here does not offer.\r\n"

/* The multipart's body that is still to be read. */
struct walk {
    struct str rest;
    const struct content_type *outer;
    bool is_ended; /* no part begins at rest */
};

static struct str take_line(struct str *rest)
{
    size_t lf = str_index(*rest, '\n');
    struct str line = lf < rest->n ? str_head(*rest, lf + 1) : *rest;
    *rest = str_skip(*rest, line.n);
    return line;
}

/* "--boundary" or "--boundary--", and blanks (RFC 2046 section 5.1.1). */
static bool is_delimiter(const struct content_type *outer, struct str line, bool *is_last)
{
    struct str boundary = str_make(outer->boundary, outer->boundary_n);
    if (!str_starts(line, STR("--")) || !str_starts(str_skip(line, 2), boundary))
        return false;
    struct str behind = str_skip(line, 2 + boundary.n);
    *is_last = str_starts(behind, STR("--"));
    return str_trim(*is_last ? str_skip(behind, 2) : behind).n == 0;
}

static struct str without_line_end(struct str s)
{
    s.n -= s.n > 0 && s.p[s.n - 1] == '\n';
    s.n -= s.n > 0 && s.p[s.n - 1] == '\r';
    return s;
}

/* What stands before the next delimiter, whose line begins with the line end in front of it. */
static struct str take_part(struct walk *w)
{
    struct str start = w->rest;
    while (w->rest.n > 0) {
        struct str line = take_line(&w->rest);
        if (is_delimiter(w->outer, line, &w->is_ended))
            return without_line_end(str_head(start, (size_t)(line.p - start.p)));
    }
    w->is_ended = true;
    return start;
}

static bool find_type(struct str section, struct content_type *out)
{
    struct header_field f;
    return header_find(section, STR("Content-Type"), &f) && content_type_parse(f.value, out);
}

static bool is_type(const struct content_type *t, struct str type, struct str subtype)
{
    return str_equal_nocase(t->type, type) && str_equal_nocase(t->subtype, subtype);
}

/* Text that another line can be put behind. */
static bool is_text(struct str part)
{
    struct content_type t;
    struct header_field f;
    return find_type(part, &t) && is_type(&t, STR("text"), STR("plain")) &&
           (!header_find(part, STR("Content-Transfer-Encoding"), &f) ||
            transfer_encoding_parse(f.value) != TRANSFER_ENCODED);
}

static bool is_fields(struct str part)
{
    struct content_type t;
    return find_type(part, &t) && str_equal_nocase(t.type, STR("message")) &&
           (str_equal_nocase(t.subtype, STR("delivery-status")) ||
            str_equal_nocase(t.subtype, STR("global-delivery-status")) ||
            str_equal_nocase(t.subtype, STR("disposition-notification")));
}

static bool append_delimiter(struct buf *out, const struct content_type *outer, struct str end)
{
    return buf_append(out, STR("\r\n--")) &&
           buf_append(out, str_make(outer->boundary, outer->boundary_n)) && buf_append(out, end) &&
           buf_append(out, STR("\r\n"));
}

static bool append_parts(struct buf *out, struct str body, const struct content_type *outer)
{
    struct walk w = {.rest = body, .outer = outer};
    take_part(&w);
    struct str text = take_part(&w), fields = STR_NONE;
    while (!w.is_ended && !is_fields(fields))
        fields = take_part(&w);
    bool fits =
        append_delimiter(out, outer, STR("")) &&
        buf_append(out,
                   is_text(text) ? text : STR("Content-Type: text/plain; charset=us-ascii\r\n")) &&
        buf_append(out, STR("\r\n" LEFT_OUT));
    if (is_fields(fields))
        fits = fits && append_delimiter(out, outer, STR("")) && buf_append(out, fields);
    return fits && append_delimiter(out, outer, STR("--"));
}

static bool append_section(struct buf *out, struct str message, bool is_report)
{
    struct header_iterator i = header_iterate(message);
    struct header_field f;
    bool fits = true;
    while (fits && header_next(&i, &f)) {
        bool is_about_content = str_starts_nocase(f.name, STR("Content-"));
        if (!str_equal_nocase(f.name, STR("DKIM-Signature")) && (is_report || !is_about_content))
            fits = buf_append(out, f.whole);
    }
    return fits && buf_append(out, STR("\r\n"));
}

bool dsn_redact(struct buf *out, struct str message)
{
    size_t start = out->used;
    struct content_type type;
    struct str section = str_head(message, header_size(message));
    bool is_report = find_type(section, &type) && is_type(&type, STR("multipart"), STR("report")) &&
                     type.boundary_n > 0;
    bool fits = append_section(out, section, is_report);
    fits = fits && (is_report ? append_parts(out, str_skip(message, section.n), &type)
                              : buf_append(out, STR(LEFT_OUT)));
    if (!fits)
        out->used = start;
    return fits;
}
