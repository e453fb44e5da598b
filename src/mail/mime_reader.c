/* SPDX-License-Identifier: ISC */
/*
 * mime_reader.c - the parts of a message that is in memory
 */
#include "mail/mime_reader.h"

#include "base/num.h"
#include "mail/header.h"

/* Where a boundary's line stands, and whose it is. */
struct delimiter {
    struct str before, after;
    size_t level;
    bool is_last;
};

void mime_reader_start(struct mime_reader *r, struct str message)
{
    *r = (struct mime_reader){.rest = message};
}

/* A line "--boundary" or "--boundary--" of one of the multiparts around; the innermost counts. */
static bool match(const struct mime_reader *r, struct str line, struct delimiter *out)
{
    if (!str_starts(line, STR("--")))
        return false;
    line = str_skip(line, 2);
    for (size_t level = r->depth; level-- > 0;) {
        struct str boundary = str_make(r->boundary[level].text, r->boundary[level].n);
        if (!str_starts(line, boundary))
            continue;
        struct str tail = str_trim(str_skip(line, boundary.n));
        out->is_last = str_equal(tail, STR("--"));
        out->level = level;
        if (out->is_last || tail.n == 0)
            return true;
    }
    return false;
}

/* The next boundary's line; the line end in front of it is its own. */
static bool find_delimiter(const struct mime_reader *r, struct delimiter *out)
{
    struct str rest = r->rest;
    while (rest.n > 0) {
        size_t end = str_index(rest, '\n');
        if (match(r, str_head(rest, end), out)) {
            size_t n = r->rest.n - rest.n;
            n -= n > 0 && r->rest.p[n - 1] == '\n';
            n -= n > 0 && n < r->rest.n - rest.n && r->rest.p[n - 1] == '\r';
            out->before = str_head(r->rest, n);
            out->after = str_skip(rest, end + 1);
            return true;
        }
        rest = str_skip(rest, end + 1);
    }
    return false;
}

/* Moves behind the next boundary that begins a part; false when none does. */
static bool enter_part(struct mime_reader *r)
{
    struct delimiter d;
    while (find_delimiter(r, &d)) {
        r->rest = d.after;
        r->depth = d.level + !d.is_last;
        if (!d.is_last)
            return true;
    }
    r->is_ended = true;
    return false;
}

static enum mime_encoding read_encoding(struct str header)
{
    struct header_field field;
    if (!header_find(header, STR("Content-Transfer-Encoding"), &field))
        return MIME_PLAIN;
    struct str value = str_trim(field.value);
    return str_equal_nocase(value, STR("base64"))             ? MIME_BASE64
           : str_equal_nocase(value, STR("quoted-printable")) ? MIME_QUOTED_PRINTABLE
                                                              : MIME_PLAIN;
}

/* Reads the header section of what begins here. */
static void read_head(struct mime_reader *r, struct mime_part *out)
{
    struct header_field field;
    size_t size = header_size(r->rest);
    *out = (struct mime_part){.header = str_head(r->rest, size)};
    r->rest = str_skip(r->rest, size);
    out->encoding = read_encoding(out->header);
    if (!header_find(out->header, STR("Content-Type"), &field) ||
        !content_type_parse(field.value, &out->type))
        out->type = (struct content_type){.type = STR("text"), .subtype = STR("plain")};
}

static bool is_entered(const struct mime_reader *r, const struct mime_part *part)
{
    return str_equal_nocase(part->type.type, STR("multipart")) && part->type.boundary_n > 0 &&
           r->depth < MIME_READER_DEPTH_MAX;
}

bool mime_reader_next(struct mime_reader *r, struct mime_part *out)
{
    struct delimiter d;
    while (!r->is_ended && r->parts++ < MIME_READER_PARTS_MAX) {
        read_head(r, out);
        if (is_entered(r, out)) {
            memcpy(r->boundary[r->depth].text, out->type.boundary, out->type.boundary_n);
            r->boundary[r->depth++].n = out->type.boundary_n;
            if (!enter_part(r))
                return false;
            continue;
        }
        out->body = r->rest;
        if (find_delimiter(r, &d)) {
            out->body = d.before;
            enter_part(r);
        } else {
            r->is_ended = true;
        }
        return true;
    }
    return false;
}

static int base64_value(char c)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? memchr(set, c, sizeof set - 1) : NULL;
    return at ? (int)(at - set) : -1;
}

static bool decode_base64_loosely(struct str in, struct buf *out)
{
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < in.n && in.p[i] != '='; i++) {
        int value = base64_value(in.p[i]);
        if (value < 0)
            continue;
        bits = (bits << 6 | (uint32_t)value) & 0xFFFFFF;
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        if (!buf_append_byte(out, (char)(bits >> count & 0xFF)))
            return false;
    }
    return true;
}

/* "=" and what follows: a soft line break, or two digits. How many octets are taken; 0 when it is neither. */
static size_t take_escape(struct str in, struct buf *out, bool *is_full)
{
    uint64_t octet;
    struct str rest = str_skip(in, 1);
    size_t blanks = 0;
    while (blanks < rest.n && (rest.p[blanks] == ' ' || rest.p[blanks] == '\t'))
        blanks++;
    struct str end = str_skip(rest, blanks);
    if (str_starts(end, STR("\r\n")))
        return 1 + blanks + 2;
    if (str_starts(end, STR("\n")))
        return 1 + blanks + 1;
    if (rest.n < 2 || !num_parse_hex(str_head(rest, 2), 255, &octet))
        return 0;
    *is_full = !buf_append_byte(out, (char)octet);
    return 3;
}

static bool decode_quoted(struct str in, struct buf *out)
{
    bool is_full = false;
    while (in.n > 0 && !is_full) {
        size_t taken = in.p[0] == '=' ? take_escape(in, out, &is_full) : 0;
        if (taken == 0) {
            is_full = !buf_append_byte(out, in.p[0]);
            taken = 1;
        }
        in = str_skip(in, taken);
    }
    return !is_full;
}

bool mime_part_decode(const struct mime_part *part, struct buf *out)
{
    size_t before = out->used;
    bool is_good = part->encoding == MIME_BASE64 ? decode_base64_loosely(part->body, out)
                   : part->encoding == MIME_QUOTED_PRINTABLE ? decode_quoted(part->body, out)
                                                             : buf_append(out, part->body);
    if (!is_good)
        out->used = before;
    return is_good;
}
