/* SPDX-License-Identifier: ISC */
/*
 * specimen.c - a message in a file, looked at as the server looks at one that comes over the wire
 */
#include "cli/specimen.h"

#include <errno.h>

#include "mail/header.h"
#include "serve/intake.h"

enum { PIECE = 64 << 10 };

static void refuse(struct specimen *s, struct fault f)
{
    if (!s->fault.kind)
        s->fault = f;
}

/* What the protocol does not let through (proto/smtp_content.c). */
static void scan(struct specimen *s, struct str content)
{
    enum dotline_found found = DOTLINE_CONTENT;
    struct str ignored;
    while (!s->is_broken && found != DOTLINE_MORE) {
        content = str_skip(content, dotline_scan(&s->scanner, content, &found, &ignored));
        if (found == DOTLINE_LONG) {
            refuse(s, fault_make(550, FAULT_STATUS(5, 6, 0), "Text line longer than %lld octets",
                                 (long long)s->limits->line_size_bytes));
        } else if (found != DOTLINE_CONTENT && found != DOTLINE_MORE) {
            s->is_broken = true;
            refuse(s, fault_make(550, FAULT_STATUS(5, 5, 2),
                                 "%s in the message, lines must end with CRLF",
                                 found == DOTLINE_NUL ? "NUL octet" : "Bare CR"));
        }
    }
}

/* The header section is here as far as it counts: the server gets that much of it at once. */
static void begin(struct specimen *s)
{
    struct str head = buf_str(&s->head);
    s->is_begun = true;
    if (header_is_missing(head)) {
        s->inspection = inspection_begin(STR("\r\n"), s->now_s);
        inspection_read(s->inspection, head);
        return;
    }
    struct header_field field;
    struct header_iterator i = header_iterate(head);
    while (header_next(&i, &field))
        ;
    if (head.n >= INTAKE_MEMORY_MAX && !i.has_separator && !str_has(i.rest, '\n')) {
        refuse(s, fault_make(552, FAULT_STATUS(5, 3, 4),
                             "the header section is larger than %d bytes", INTAKE_MEMORY_MAX));
        return;
    }
    size_t size = header_size(head);
    s->inspection = inspection_begin(str_head(head, size), s->now_s);
    inspection_read(s->inspection, str_skip(head, size));
}

static void give(struct specimen *s, struct str content)
{
    if (content.n == 0)
        return;
    s->octets += content.n;
    s->last = content.p[content.n - 1];
    scan(s, content);
    if (!s->is_begun) {
        struct str part = str_head(content, INTAKE_MEMORY_MAX - s->head.used);
        buf_append(&s->head, part);
        content = str_skip(content, part.n);
        if (s->head.used == INTAKE_MEMORY_MAX)
            begin(s);
    }
    if (s->inspection && content.n > 0)
        inspection_read(s->inspection, content);
}

/* Gives a piece of the file on, each LF as CRLF. */
static void convert(struct specimen *s, struct str piece)
{
    while (piece.n > 0) {
        size_t lf = str_index(piece, '\n');
        char before = lf > 0 ? piece.p[lf - 1] : s->last;
        bool has_end = lf < piece.n, is_alone = has_end && before != '\r';
        s->has_lf |= is_alone;
        s->has_crlf |= has_end && !is_alone;
        give(s, str_head(piece, is_alone ? lf : lf + 1));
        if (is_alone)
            give(s, STR("\r\n"));
        piece = str_skip(piece, lf + 1);
    }
}

#define MBOX STR("From ")

/* Drops the line of an mbox on top; what only begins like one is given on. */
static struct str skip_mbox_line(struct specimen *s, struct str piece)
{
    while (piece.n > 0 && s->matched < MBOX.n) {
        if (piece.p[0] != MBOX.p[s->matched]) {
            convert(s, str_head(MBOX, s->matched));
            s->is_top_over = true;
            return piece;
        }
        s->matched++;
        piece = str_skip(piece, 1);
    }
    s->has_mbox_line = s->matched == MBOX.n;
    size_t end = str_index(piece, '\n');
    s->is_top_over = s->has_mbox_line && end < piece.n;
    return str_skip(piece, end + 1);
}

void specimen_begin(struct specimen *s, const struct conf_limits *limits, int64_t now_s)
{
    *s = (struct specimen){.limits = limits, .now_s = now_s, .head = buf_make(INTAKE_MEMORY_MAX)};
    s->scanner = dotline_scanner_make(false, limits ? (size_t)limits->line_size_bytes : 0);
}

void specimen_feed(struct specimen *s, struct str piece)
{
    if (!s->is_top_over)
        piece = skip_mbox_line(s, piece);
    convert(s, piece);
}

void specimen_end(struct specimen *s)
{
    if (!s->is_top_over && !s->has_mbox_line)
        convert(s, str_head(MBOX, s->matched));
    if (s->octets > 0 && s->last != '\n')
        give(s, STR("\r\n"));
    if (!s->is_begun)
        begin(s);
    if (s->limits && s->octets > (uint64_t)s->limits->message_size_bytes)
        refuse(s,
               fault_make(552, FAULT_STATUS(5, 3, 4), "Message too large, the limit is %lld octets",
                          (long long)s->limits->message_size_bytes));
}

struct fault specimen_read(struct specimen *s, FILE *in)
{
    struct buf room = buf_make(PIECE);
    buf_reserve(&room, PIECE);
    size_t read = 0;
    for (size_t n; read <= SPECIMEN_OCTETS_MAX && (n = fread(room.data, 1, PIECE, in)) > 0;
         read += n)
        specimen_feed(s, str_make(room.data, n));
    buf_free(&room);
    if (ferror(in))
        return fault_make(451, FAULT_STATUS(4, 3, 0), "%s", strerrordesc_np(errno));
    if (read > SPECIMEN_OCTETS_MAX)
        return fault_make(552, FAULT_STATUS(5, 3, 4), "it is larger than %d MiB",
                          SPECIMEN_OCTETS_MAX >> 20);
    specimen_end(s);
    return FINE;
}

void specimen_free(struct specimen *s)
{
    buf_free(&s->head);
    inspection_free(s->inspection);
}

int specimen_open(struct specimen *s, const struct invocation *i, const char *name)
{
    bool is_standard = strcmp(name, "-") == 0;
    FILE *in = is_standard ? stdin : fopen(name, "re");
    if (!in)
        return cli_fail(i, "%s: %s", name, strerrordesc_np(errno));
    struct fault f = specimen_read(s, in);
    if (!is_standard)
        fclose(in);
    if (f.kind)
        return cli_fail(i, "%s: %s", is_standard ? "standard input" : name, f.text);
    return CLI_DONE;
}
