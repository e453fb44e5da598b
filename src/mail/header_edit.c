/* SPDX-License-Identifier: ISC */
/*
 * header_edit.c - a header section as a list of fields that are added, changed and taken away
 */
#include "mail/header_edit.h"

#include "mail/header.h"

enum { ROOM_FIRST = 32 };

struct header_edit header_edit_make(size_t new_bytes)
{
    size_t lists = (size_t)3 * (HEADER_EDIT_FIELDS_MAX + 1) * sizeof(struct header_edit_field);
    return (struct header_edit){.arena = arena_make(2 * new_bytes + 2 * lists)};
}

void header_edit_free(struct header_edit *h)
{
    arena_free(&h->arena);
    h->item = NULL;
    h->count = h->room = 0;
}

static bool make_place(struct header_edit *h, size_t index)
{
    if (h->count == HEADER_EDIT_FIELDS_MAX)
        return false;
    if (h->count == h->room) {
        size_t room = h->room ? 2 * h->room : ROOM_FIRST;
        if (room > HEADER_EDIT_FIELDS_MAX)
            room = HEADER_EDIT_FIELDS_MAX;
        struct header_edit_field *grown = arena_try(&h->arena, room * sizeof *grown);
        if (!grown)
            return false;
        if (h->count > 0)
            memcpy(grown, h->item, h->count * sizeof *grown);
        h->item = grown;
        h->room = room;
    }
    memmove(h->item + index + 1, h->item + index, (h->count - index) * sizeof *h->item);
    h->count++;
    return true;
}

bool header_edit_load(struct header_edit *h, struct str section, bool is_hidden)
{
    struct header_field field;
    struct header_iterator i = header_iterate(section);
    while (header_next(&i, &field)) {
        if (!make_place(h, h->count))
            return false;
        h->item[h->count - 1] =
            (struct header_edit_field){field.name, field.value, field.whole, is_hidden};
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

size_t header_edit_cost(struct str name, struct str value)
{
    /* Of two lines that a fold makes of one, and the next, two together are longer than a line may be. */
    size_t cost = name.n + value.n + HEADER_EDIT_MORE + 2 * (value.n / (HEADER_EDIT_LINE_MAX / 2));
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '\n' || value.p[i] == '\r')
            cost += 2;
    return cost;
}

/* One octet of a value; a line end becomes a fold, and is nothing where nothing follows it. */
static char *put_octet(char *at, struct str *value)
{
    char c = value->p[0];
    *value = str_skip(*value, 1);
    if (c == '\r' && value->n > 0 && value->p[0] == '\n')
        return at;
    if (c != '\n' && c != '\r') {
        bool is_control = ((unsigned char)c < 0x20 && c != '\t') || c == 0x7F;
        *at++ = is_control ? '?' : c;
        return at;
    }
    if (str_trim(*value).n == 0) {
        value->n = 0;
        return at;
    }
    *at++ = '\r';
    *at++ = '\n';
    if (!is_blank(value->p[0]))
        *at++ = '\t';
    return at;
}

/*
 * Where a line of n octets is to be folded: in front of the last blank that leaves it short enough. 0: nowhere. What
 * stands on either side is more than blanks, as a line of blanks alone would be no fold (RFC 5322 section 3.2.2).
 */
static size_t find_fold(struct str line)
{
    size_t first = 0;
    while (first < line.n && is_blank(line.p[first]))
        first++;
    for (size_t at = HEADER_EDIT_LINE_MAX; at > first; at--)
        if (is_blank(line.p[at]) && !is_blank(line.p[at - 1]))
            return str_trim(str_skip(line, at)).n > 0 ? at : 0;
    return 0;
}

/* Folds the lines of a field, its last one without its line end, in place: there is room. NULL when one cannot be. */
static char *fold(char *text, char *end)
{
    for (char *line = text; line < end;) {
        const char *lf = memchr(line, '\n', (size_t)(end - line));
        size_t n = lf ? (size_t)(lf - line) - 1 : (size_t)(end - line);
        if (n <= HEADER_EDIT_LINE_MAX) {
            line = lf ? line + n + 2 : end;
            continue;
        }
        size_t at = find_fold(str_make(line, n));
        if (at == 0)
            return NULL;
        memmove(line + at + 2, line + at, (size_t)(end - line) - at);
        memcpy(line + at, "\r\n", 2);
        end += 2;
        line += at + 2;
    }
    return end;
}

static bool make_field(struct header_edit *h, struct str name, struct str value, bool has_space,
                       struct header_edit_field *out)
{
    char *text = arena_try(&h->arena, header_edit_cost(name, value));
    if (!text)
        return false;
    char *at = text;
    memcpy(at, name.p, name.n);
    at += name.n;
    *at++ = ':';
    if (!has_space)
        *at++ = ' ';
    while (value.n > 0)
        at = put_octet(at, &value);
    at = fold(text, at);
    if (!at)
        return false;
    *at++ = '\r';
    *at++ = '\n';
    struct str whole = str_make(text, (size_t)(at - text));
    *out = (struct header_edit_field){
        str_head(whole, name.n), str_make(text + name.n + 1, whole.n - name.n - 3), whole, false};
    return true;
}

bool header_edit_insert(struct header_edit *h, size_t index, struct str name, struct str value,
                        bool has_space)
{
    struct header_edit_field field;
    if (index > h->count)
        index = h->count;
    if (!make_field(h, name, value, has_space, &field) || !make_place(h, index))
        return false;
    h->item[index] = field;
    return true;
}

bool header_edit_is_too_long(struct str name, struct str value)
{
    bool fits = true;
    for (int has_space = 0; has_space < 2; has_space++) {
        struct header_edit h = header_edit_make(header_edit_cost(name, value));
        struct header_edit_field field;
        fits = fits && make_field(&h, name, value, has_space, &field);
        header_edit_free(&h);
    }
    return !fits;
}

static struct header_edit_field *find(struct header_edit *h, size_t index, struct str name)
{
    for (size_t i = 0; i < h->count; i++) {
        struct header_edit_field *f = &h->item[i];
        if (!f->is_hidden && str_equal_nocase(f->name, name) && index-- <= 1)
            return f;
    }
    return NULL;
}

bool header_edit_change(struct header_edit *h, size_t index, struct str name, struct str value,
                        bool has_space)
{
    struct header_edit_field *f = find(h, index, name);
    if (f && value.n == 0) {
        size_t behind = h->count - (size_t)(f - h->item) - 1;
        memmove(f, f + 1, behind * sizeof *f);
        h->count--;
        return true;
    }
    if (f)
        return make_field(h, f->name, value, has_space, f);
    return value.n == 0 || header_edit_insert(h, h->count, name, value, has_space);
}

bool header_edit_print(const struct header_edit *h, struct buf *out)
{
    for (size_t i = 0; i < h->count; i++) {
        struct str whole = h->item[i].whole;
        bool is_ended =
            whole.n >= 2 && whole.p[whole.n - 1] == '\n' && whole.p[whole.n - 2] == '\r';
        if (!buf_append(out, whole) || (!is_ended && !buf_append(out, STR("\r\n"))))
            return false;
    }
    return true;
}
