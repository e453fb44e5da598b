/* SPDX-License-Identifier: ISC */
/*
 * scan.c - what libconfuse does not tell of a configuration's text: open quotes, lines of sections
 *
 * The tokens are those of libconfuse's scanner: # begins a comment anywhere, // and a slash with an
 * asterisk only where a word could begin.
 */
#include "conf/scan.h"

struct scan {
    struct str rest;
    int line;         /* of the rest */
    int token_line;   /* where the token begins */
    struct str token; /* a word, what is quoted, or one of ={}(),+ */
    bool is_quoted;
    const char *trouble; /* what is left open */
};

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

/* The next token; false at the end, or when something is left open. */
static bool next(struct scan *s)
{
    while (s->rest.n > 0 && !s->trouble) {
        s->token_line = s->line;
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
            take_word(s);
            return true;
        }
    }
    return false;
}

static bool is_mark(const struct scan *s, const char *mark)
{
    return !s->is_quoted && str_equal(s->token, str_from(mark));
}

int scan_for_open(struct str source, const char **what)
{
    enum { DEPTH_MAX = 8 }; /* a list in a section is 2 */
    struct scan s = {.rest = source, .line = 1};
    int line[DEPTH_MAX] = {0}, depth = 0;
    while (next(&s)) {
        if (is_mark(&s, "{") && depth < DEPTH_MAX)
            line[depth++] = s.token_line;
        else if (is_mark(&s, "}") && depth > 0)
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
    while (next(&s)) {
        bool is_open = str_equal(s.token, STR("{"));
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
    while (next(&s)) {
        if (depth == 0 && is_mark(&s, "=") && str_equal(before, name))
            found = line;
        depth += is_mark(&s, "{") - is_mark(&s, "}");
        before = s.token;
        line = s.token_line;
    }
    return found;
}
