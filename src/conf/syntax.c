/* SPDX-License-Identifier: ISC */
/*
 * syntax.c - whether a configuration's text is made of options and sections that there are
 *
 * libconfuse would say "unexpected token", let the last of two options win and skip a stray '+'; so
 * it only sees what is well formed, and its own errors are about values.
 */
#include "conf/syntax.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/map.h"
#include "conf/scan.h"
#include "conf/value.h"

enum { ARENA_LIMIT = 32 << 20, FOUND_MAX = 64, LIST_MAX = 144, NAME_MOST = 63 };

struct syntax {
    const char *path;
    struct scan scan; /* at the token that is looked at */
    struct map seen;  /* options and sections */
    struct arena arena;
    size_t block_count;
};

/* An option of a block, or a section. */
struct seen {
    struct map_node node;
    int line;
};

static struct fault fail(const struct syntax *x, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static struct fault fail(const struct syntax *x, int line, const char *format, ...)
{
    char text[FAULT_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fault_make(500, (struct fault_status){0}, "%s:%d: %s", x->path, line, text);
}

static const struct field *find_field(const struct section *section, struct str name)
{
    for (size_t i = 0; i < section->field_count; i++)
        if (str_equal(name, str_from(section->fields[i].name)))
            return &section->fields[i];
    return NULL;
}

static const struct section *find_section(struct str name)
{
    for (size_t i = 1; i < field_section_count; i++)
        if (str_equal(name, str_from(field_sections[i].name)))
            return &field_sections[i];
    return NULL;
}

static bool is_top(const struct section *section)
{
    return section == &field_sections[0];
}

/* The next token for a message, in quotes; the scan is not moved. */
static const char *found(const struct syntax *x, char text[FOUND_MAX])
{
    struct scan ahead = x->scan;
    if (!scan_next(&ahead))
        return "the end of the file";
    snprintf(text, FOUND_MAX, "\"" STR_FMT "\"", STR_ARG(str_head(ahead.token, FOUND_MAX / 2)));
    return text;
}

/* Moves on when the next token is that mark. */
static bool take(struct syntax *x, char mark)
{
    struct scan ahead = x->scan;
    if (!scan_next(&ahead) || !scan_is(&ahead, mark))
        return false;
    x->scan = ahead;
    return true;
}

/* Moves on when the next token is a word or quoted. */
static bool take_text(struct syntax *x)
{
    struct scan ahead = x->scan;
    if (!scan_next(&ahead) || scan_is_mark(&ahead))
        return false;
    x->scan = ahead;
    return true;
}

/* Remembers what the key stands for; the line where it was before, or 0. */
static int note(struct syntax *x, struct str key, int line)
{
    struct map_node *n = map_find(&x->seen, key);
    if (n)
        return MAP_ENTRY(n, struct seen, node)->line;
    struct seen *s = arena_alloc(&x->arena, sizeof *s);
    s->line = line;
    map_insert(&x->seen, &s->node, key);
    return 0;
}

/* Names that nobody has written. */

/* Edits that turn one word into the other (Levenshtein). */
static size_t distance(struct str a, struct str b)
{
    size_t row[NAME_MOST + 1];
    assert(b.n <= NAME_MOST);
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t change = diagonal + (a.p[i - 1] != b.p[j - 1]);
            size_t shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];
            diagonal = row[j];
            row[j] = change < shorter + 1 ? change : shorter + 1;
        }
    }
    return row[b.n];
}

/* The name that may be meant in the section, or NULL. */
static const char *find_near(const struct section *section, struct str name)
{
    const char *best = NULL;
    size_t least = 2 + name.n / 3;
    size_t sections = is_top(section) ? field_section_count - 1 : 0;
    for (size_t i = 0; i < section->field_count + sections; i++) {
        const char *candidate = i < section->field_count
                                    ? section->fields[i].name
                                    : field_sections[i - section->field_count + 1].name;
        size_t d = distance(str_head(name, NAME_MOST), str_from(candidate));
        if (d < least) {
            least = d;
            best = candidate;
        }
    }
    return best;
}

static void add_to_list(struct buf *list, const char *name)
{
    if (list->used > 0)
        buf_append(list, STR(", "));
    buf_append(list, str_from(name));
}

/* The sections that have an option of that name. */
static void list_owners(struct str name, struct buf *list)
{
    for (size_t i = 1; i < field_section_count; i++)
        if (find_field(&field_sections[i], name))
            add_to_list(list, field_sections[i].name);
}

static struct fault fail_unfamiliar(const struct syntax *x, const struct section *section,
                                    struct str name, int line)
{
    struct buf list = buf_make(LIST_MAX * 8);
    for (size_t i = 0; i < section->field_count; i++)
        add_to_list(&list, section->fields[i].name);
    bool is_short = list.used <= LIST_MAX;
    struct fault f =
        fail(x, line, "unknown option \"" STR_FMT "\"; allowed %s%s: " STR_FMT, STR_ARG(name),
             is_top(section) ? "outside of sections" : "in ", is_top(section) ? "" : section->name,
             STR_ARG(is_short ? buf_str(&list) : STR("see eilbote.conf(5)")));
    buf_free(&list);
    return f;
}

static struct fault fail_unknown(const struct syntax *x, const struct section *section)
{
    struct str name = x->scan.token, shown = str_head(name, FOUND_MAX / 2);
    int line = x->scan.token_line;
    const char *near = find_near(section, name);
    if (!is_top(section) && find_section(name))
        return fail(x, line, "the section " STR_FMT " is in the section %s; allowed: side by side",
                    STR_ARG(name), section->name);
    if (find_field(&field_sections[0], name))
        return fail(x, line, "unknown option \"" STR_FMT "\" in %s; it belongs outside of sections",
                    STR_ARG(name), section->name);
    struct buf owners = buf_make(LIST_MAX * 8);
    list_owners(name, &owners);
    struct fault f = FINE;
    if (owners.used > 0)
        f = fail(x, line, "unknown option \"" STR_FMT "\" %s%s; it belongs in a section: " STR_FMT,
                 STR_ARG(name), is_top(section) ? "outside of sections" : "in ",
                 is_top(section) ? "" : section->name, STR_ARG(buf_str(&owners)));
    else if (near)
        f = fail(x, line, "unknown option \"" STR_FMT "\"; did you mean \"%s\"?", STR_ARG(shown),
                 near);
    else
        f = fail_unfamiliar(x, section, shown, line);
    buf_free(&owners);
    return f;
}

/* Options. */

static struct fault fail_value(const struct syntax *x, int line, const struct field *f,
                               const char *what)
{
    struct buf allowed = buf_make(FAULT_TEXT_MAX);
    value_describe(f, &allowed);
    struct fault fault =
        fail(x, line, "%s %s; allowed: " STR_FMT, f->name, what, STR_ARG(buf_str(&allowed)));
    buf_free(&allowed);
    return fault;
}

/* Behind the opening brace. */
static struct fault check_list(struct syntax *x, const struct field *field)
{
    char text[FOUND_MAX];
    while (!take(x, '}')) {
        struct scan ahead = x->scan;
        scan_next(&ahead);
        if (!take_text(x))
            return fail(x, ahead.token_line,
                        "%s stands in the list of %s; allowed: {\"VALUE\", \"VALUE\"}",
                        found(x, text), field->name);
        ahead = x->scan;
        if (scan_next(&ahead) && !scan_is(&ahead, '}') && !take(x, ','))
            return fail(x, ahead.token_line,
                        "%s stands in the list of %s without a comma before it", found(x, text),
                        field->name);
    }
    return FINE;
}

/* What stands in the line of a value is the next option or section. */
static struct fault check_behind(const struct syntax *x, const struct section *section,
                                 const struct field *field)
{
    char text[FOUND_MAX];
    struct scan ahead = x->scan;
    if (!scan_next(&ahead) || ahead.token_line != x->scan.line || scan_is(&ahead, '}') ||
        (!scan_is_mark(&ahead) && find_field(section, ahead.token)) ||
        (!scan_is_mark(&ahead) && is_top(section) && find_section(ahead.token)))
        return FINE;
    return fail(x, ahead.token_line, "%s stands behind the value of %s; %s", found(x, text),
                field->name,
                field->is_list ? "allowed: {\"VALUE\", \"VALUE\"}"
                               : "allowed: one value, in double quotes when it has blanks");
}

static struct fault check_equal_sign(struct syntax *x, const struct field *field, bool *is_more)
{
    char text[FOUND_MAX];
    int line = x->scan.token_line;
    const char *form = field->is_list ? "{\"VALUE\", \"VALUE\"}" : "VALUE";
    struct scan before = x->scan;
    *is_more = field->is_list && take(x, '+');
    if (take(x, '='))
        return FINE;
    x->scan = before;
    return fail(x, line, "%s is followed by %s; allowed: %s = %s", field->name, found(x, text),
                field->name, form);
}

/* At the name of the option. */
static struct fault check_option(struct syntax *x, const struct section *section,
                                 const struct field *field, size_t block)
{
    bool is_more;
    int line = x->scan.token_line;
    struct fault f = check_equal_sign(x, field, &is_more);
    if (f.kind)
        return f;
    int before = note(x, arena_printf(&x->arena, "%zu %s", block, field->name), line);
    if (before > 0 && !is_more)
        return fail(x, line, "%s is set a second time; the first is in line %d", field->name,
                    before);
    if (take(x, '{'))
        return field->is_list ? check_list(x, field)
                              : fail_value(x, line, field, "has a list for a value");
    int sign_line = x->scan.line;
    if (!take_text(x) || x->scan.token_line != sign_line)
        return fail_value(x, line, field, "has no value in its line");
    return check_behind(x, section, field);
}

/* Sections. */

static struct fault check_block(struct syntax *x, const struct section *section);

/* At the name of the section. */
static struct fault check_section(struct syntax *x, const struct section *section)
{
    char text[FOUND_MAX];
    int line = x->scan.token_line;
    struct str title = STR_NONE;
    if (section->has_title && (!take_text(x) || x->scan.token.n == 0))
        return fail(x, line, "%s is followed by %s; allowed: %s \"TITLE\" {", section->name,
                    x->scan.token.n > 0 ? found(x, text) : "an empty title", section->name);
    if (section->has_title)
        title = x->scan.token;
    struct str whole = title.n > 0 ? arena_printf(&x->arena, "%s \"" STR_FMT "\"", section->name,
                                                  STR_ARG(str_head(title, FOUND_MAX / 2)))
                                   : str_from(section->name);
    if (!take(x, '{'))
        return fail(x, line, STR_FMT " is followed by %s; allowed: " STR_FMT " {", STR_ARG(whole),
                    found(x, text), STR_ARG(whole));
    struct str key = arena_printf(&x->arena, "%s " STR_FMT, section->name, STR_ARG(title));
    int before = note(x, key, line);
    if (before > 0)
        return fail(x, line, STR_FMT " is there a second time; the first is in line %d",
                    STR_ARG(whole), before);
    return check_block(x, section);
}

static struct fault check_entry(struct syntax *x, const struct section *section, size_t block)
{
    struct str name = x->scan.token;
    if (scan_is(&x->scan, '}'))
        return fail(x, x->scan.token_line, "\"}\" closes no section");
    if (scan_is_mark(&x->scan))
        return fail(x, x->scan.token_line,
                    "\"" STR_FMT "\" is where an option begins; allowed: NAME = VALUE%s",
                    STR_ARG(name), is_top(section) ? ", or SECTION {" : "");
    const struct field *field = find_field(section, name);
    const struct section *inner = is_top(section) ? find_section(name) : NULL;
    if (field)
        return check_option(x, section, field, block);
    return inner ? check_section(x, inner) : fail_unknown(x, section);
}

/* Up to the closing brace, or to the end of the file. */
static struct fault check_block(struct syntax *x, const struct section *section)
{
    size_t block = ++x->block_count;
    while (scan_next(&x->scan)) {
        if (!is_top(section) && scan_is(&x->scan, '}'))
            return FINE;
        struct fault f = check_entry(x, section, block);
        if (f.kind)
            return f;
    }
    return FINE;
}

struct fault syntax_check(const char *path, struct str source)
{
    struct syntax x = {.path = path,
                       .scan = {.rest = source, .line = 1},
                       .seen = map_make(0, 0),
                       .arena = arena_make(ARENA_LIMIT)};
    struct fault f = str_starts(source, STR("\xEF\xBB\xBF"))
                         ? fail(&x, 1, "a byte order mark is in front; save the file without it")
                         : check_block(&x, &field_sections[0]);
    map_free(&x.seen);
    arena_free(&x.arena);
    return f;
}
