/* SPDX-License-Identifier: ISC */
/*
 * scan.c - the tokens of a configuration's text, and what libconfuse does not tell: open quotes,
 * lines of sections
 *
 * The tokens are those of libconfuse's scanner: # begins a comment anywhere, // and a slash with an
 * asterisk only where a word could begin; ${NAME} is what the environment has, as if it were quoted.
 */
#include "conf/scan.h"

static const char marks[] = "={}(),+";

static void skip(struct scan *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->line += s->rest.p[i] == '\n';
    s->rest = str_skip(s->rest, n);
}

/* At the opening quote. */
static void take_quoted(struct scan *s)
{
    char quote = s->rest.p[0];
    s->is_quoted = true;
    skip(s, 1);
    struct str text = s->rest;
    while (s->rest.n > 0 && s->rest.p[0] != '\n') {
        bool is_end = s->rest.p[0] == quote;
        bool is_escape = s->rest.p[0] == '\\' && s->rest.n > 1;
        if (is_end)
            s->token = str_head(text, text.n - s->rest.n);
        skip(s, is_escape ? 2 : 1);
        if (is_end)
            return;
    }
    s->trouble = "quote";
}

static void skip_comment(struct scan *s)
{
    size_t end = str_find(str_skip(s->rest, 2), STR("*/")) + 2;
    if (end >= s->rest.n)
        s->trouble = "comment";
    skip(s, end < s->rest.n ? end + 2 : s->rest.n);
}

static void take_word(struct scan *s)
{
    size_t n = 0;
    while (n < s->rest.n && !str_has(STR(" \t\r\n\"'#={}(),+"), s->rest.p[n]))
        n++;
    s->is_quoted = false;
    s->token = str_head(s->rest, n > 0 ? n : 1);
    skip(s, s->token.n);
}

static bool take_variable(struct scan *s)
{
    if (s->has_no_brace || !str_starts(s->rest, STR("${")))
        return false;
    size_t end = str_index(s->rest, '}');
    s->has_no_brace = end == s->rest.n; /* so that no other one is looked for to the end */
    if (s->has_no_brace)
        return false;
    s->is_quoted = true;
    s->token = str_head(s->rest, end + 1);
    skip(s, end + 1);
    return true;
}

bool scan_next(struct scan *s)
{
    while (s->rest.n > 0 && !s->trouble) {
        s->token_line = s->line;
        s->start = s->rest.p;
        if (str_has(STR(" \t\r\n"), s->rest.p[0])) {
            skip(s, 1);
        } else if (s->rest.p[0] == '#' || str_starts(s->rest, STR("//"))) {
            skip(s, str_index(s->rest, '\n'));
        } else if (str_starts(s->rest, STR("/*"))) {
            skip_comment(s);
        } else if (str_has(STR("\"'"), s->rest.p[0])) {
            take_quoted(s);
            return !s->trouble;
        } else {
            if (!take_variable(s))
                take_word(s);
            return true;
        }
    }
    return false;
}

static void blank(char *from, const char *to)
{
    for (; from < to; from++)
        if (*from != '\n')
            *from = ' ';
}

void scan_blank_comments(char *text)
{
    struct scan s = {.rest = str_from(text), .line = 1};
    char *gap = text, *end = text + s.rest.n;
    while (scan_next(&s)) {
        blank(gap, s.start);
        gap = end - s.rest.n;
    }
    blank(gap, end);
}

bool scan_is_mark(const struct scan *s)
{
    return !s->is_quoted && s->token.n == 1 && str_has(str_from(marks), s->token.p[0]);
}

bool scan_is(const struct scan *s, char mark)
{
    return scan_is_mark(s) && s->token.p[0] == mark;
}

int scan_for_open(struct str source, const char **what)
{
    enum { DEPTH_MAX = 8 }; /* a list in a section is 2 */
    struct scan s = {.rest = source, .line = 1};
    int line[DEPTH_MAX] = {0}, depth = 0;
    while (scan_next(&s)) {
        if (scan_is(&s, '{') && depth < DEPTH_MAX)
            line[depth++] = s.token_line;
        else if (scan_is(&s, '}') && depth > 0)
            depth--;
    }
    *what = s.trouble ? s.trouble : depth > 0 ? "brace" : NULL;
    return s.trouble ? s.token_line : depth > 0 ? line[depth - 1] : 0;
}

int scan_for_section(struct str source, struct str name, struct str title)
{
    struct scan s = {.rest = source, .line = 1};
    struct str before[2] = {STR_NONE, STR_NONE};
    int line[2] = {0, 0}, found = 0;
    while (scan_next(&s)) {
        bool is_open = scan_is(&s, '{');
        if (is_open && title.n == 0 && str_equal(before[1], name))
            found = line[1];
        if (is_open && title.n > 0 && str_equal(before[0], name) &&
            str_equal_nocase(before[1], title))
            found = line[0];
        before[0] = before[1];
        line[0] = line[1];
        before[1] = s.token;
        line[1] = s.token_line;
    }
    return found;
}

int scan_for_option(struct str source, struct str name)
{
    struct scan s = {.rest = source, .line = 1};
    struct str before = STR_NONE;
    int line = 0, depth = 0, found = 0;
    while (scan_next(&s)) {
        if (depth == 0 && scan_is(&s, '=') && str_equal(before, name))
            found = line;
        depth += scan_is(&s, '{') - scan_is(&s, '}');
        before = s.token;
        line = s.token_line;
    }
    return found;
}
