/* SPDX-License-Identifier: ISC */
/*
 * dotline.c - message content on the wire: lines, stuffed dots, the end (RFC 5321 4.5.2)
 *
 * Whole lines without a fault and without a leading dot are skipped with memchr; everything else
 * goes through the machine below octet by octet. The machine alone decides, the fast path only
 * agrees.
 */
#include "mail/dotline.h"

#include <assert.h>

enum { LINE_START = 0, IN_TEXT, AFTER_CR, AFTER_DOT, AFTER_DOT_CR, DONE };

struct dotline_scanner dotline_scanner_make(bool has_dots, size_t line_limit)
{
    return (struct dotline_scanner){
        .line_limit = line_limit > 0 ? line_limit : SIZE_MAX,
        .state = LINE_START,
        .has_dots = has_dots,
    };
}

bool dotline_scanner_has_open_cr(const struct dotline_scanner *s)
{
    return s->state == AFTER_CR;
}

/* Octets at the front of in that are whole lines the machine would pass without a word. */
static size_t skip_clean_lines(const struct dotline_scanner *s, struct str in)
{
    const char *p = in.p, *end = in.p + in.n;
    while (p < end && !(s->has_dots && *p == '.')) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        if (!lf || lf == p || lf[-1] != '\r' || (size_t)(lf + 1 - p) > s->line_limit)
            break;
        if (memchr(p, '\r', (size_t)(lf - 1 - p)))
            break;
        p = lf + 1;
    }
    size_t n = (size_t)(p - in.p);
    const char *nul = n > 0 ? memchr(in.p, '\0', n) : NULL;
    if (!nul)
        return n;
    /* The line with the NUL is the machine's; give back what stands before it. */
    while (nul > in.p && nul[-1] != '\n')
        nul--;
    return (size_t)(nul - in.p);
}

/* The octet counts as content of its line. */
static enum dotline_found add_to_line(struct dotline_scanner *s, char c)
{
    if (s->column >= s->line_limit)
        return DOTLINE_LONG;
    s->column++;
    if (c == '\n') {
        s->column = 0;
        s->state = LINE_START;
    } else {
        s->state = c == '\r' ? AFTER_CR : IN_TEXT;
    }
    return DOTLINE_CONTENT;
}

/*
 * One octet through the machine: DOTLINE_CONTENT when it is content, DOTLINE_MORE when it is not
 * but all is well, else what was met. On DOTLINE_LONG the octet has not been used.
 */
static enum dotline_found step(struct dotline_scanner *s, char c)
{
    if ((s->state == AFTER_CR || s->state == AFTER_DOT_CR) && c != '\n')
        return DOTLINE_BARE_CR;
    if (s->state != AFTER_CR && s->state != AFTER_DOT_CR && c == '\n')
        return DOTLINE_BARE_LF;
    if (c == '\0')
        return DOTLINE_NUL;
    if (s->state == AFTER_DOT_CR)
        return DOTLINE_END;
    if (s->state == LINE_START && c == '.' && s->has_dots) {
        s->state = AFTER_DOT;
        return DOTLINE_MORE;
    }
    if (s->state == AFTER_DOT && c == '\r') {
        s->state = AFTER_DOT_CR;
        return DOTLINE_MORE;
    }
    return add_to_line(s, c);
}

size_t dotline_scan(struct dotline_scanner *s, struct str in, enum dotline_found *found,
                    struct str *content)
{
    assert(s->state != DONE);
    size_t start = 0, i = 0;
    while (i < in.n) {
        if (s->state == LINE_START)
            i += skip_clean_lines(s, str_skip(in, i));
        if (i == in.n)
            break;
        struct dotline_scanner before = *s;
        enum dotline_found met = step(s, in.p[i]);
        if (met == DOTLINE_CONTENT) {
            i++;
            continue;
        }
        if (i > start) { /* first give what stands before it, then meet it again */
            *s = before;
            break;
        }
        if (met == DOTLINE_LONG) {
            s->line_limit = SIZE_MAX;
            *found = met;
            return i;
        }
        start = ++i;
        if (met != DOTLINE_MORE) {
            s->state = DONE;
            *found = met;
            return i;
        }
    }
    *content = str_make(in.p + start, i - start);
    *found = i > start ? DOTLINE_CONTENT : DOTLINE_MORE;
    return i;
}

bool dotline_stuff(struct dotline_stuffer *s, struct str *content, struct str *out)
{
    if (content->n == 0)
        return false;
    if (!s->is_in_line && content->p[0] == '.' && !s->has_dot_given) {
        s->has_dot_given = true;
        *out = STR(".");
        return true;
    }
    s->has_dot_given = false;
    size_t n = 0;
    do {
        n += str_index(str_skip(*content, n), '\n');
        n += n < content->n;
    } while (n < content->n && content->p[n] != '.');
    s->is_in_line = content->p[n - 1] != '\n';
    *out = str_head(*content, n);
    *content = str_skip(*content, n);
    return true;
}

struct str dotline_stuff_end(const struct dotline_stuffer *s)
{
    return s->is_in_line ? STR("\r\n.\r\n") : STR(".\r\n");
}
