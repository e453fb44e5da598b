/* SPDX-License-Identifier: ISC */
/*
 * tag_list.c - "tag=value; tag=value" (RFC 6376 3.2)
 */
#include "check/tag_list.h"

#include "base/utf8.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Octets of white space at the start: blanks, and line ends in front of them. */
static size_t blanks(struct str s)
{
    size_t n = 0;
    for (;;) {
        if (n < s.n && is_blank(s.p[n]))
            n++;
        else if (s.n - n > 2 && s.p[n] == '\r' && s.p[n + 1] == '\n' && is_blank(s.p[n + 2]))
            n += 3;
        else
            return n;
    }
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static struct str take_name(struct str *s)
{
    size_t n = 0;
    if (s->n > 0 && is_letter(s->p[0]))
        while (n < s->n &&
               (is_letter(s->p[n]) || (s->p[n] >= '0' && s->p[n] <= '9') || s->p[n] == '_'))
            n++;
    struct str name = str_head(*s, n);
    *s = str_skip(*s, n);
    return name;
}

/* The printable characters at the start. */
static size_t word_size(struct str s)
{
    size_t n = 0;
    uint32_t character;
    for (;;) {
        while (n < s.n && s.p[n] > ' ' && s.p[n] < 0x7F)
            n++;
        struct str rest = str_skip(s, n);
        if (rest.n == 0 || (unsigned char)rest.p[0] < 0x80 || !utf8_take(&rest, &character))
            return n;
        n = s.n - rest.n;
    }
}

/* Whether all of s is words and white space; *value is what stands from the first to the last word. */
static bool take_value(struct str s, struct str *value)
{
    size_t end = 0, at = blanks(s), start = at;
    while (at < s.n) {
        size_t n = word_size(str_skip(s, at));
        if (n == 0)
            return false;
        end = at + n;
        at = end + blanks(str_skip(s, end));
    }
    *value = end > start ? str_make(s.p + start, end - start) : str_head(s, 0);
    return true;
}

enum tag_found tag_next(struct str *rest, struct tag *out)
{
    struct str spec;
    if (blanks(*rest) == rest->n)
        return TAG_END;
    str_cut(*rest, ';', &spec, rest);
    spec = str_skip(spec, blanks(spec));
    out->name = take_name(&spec);
    spec = str_skip(spec, blanks(spec));
    if (out->name.n == 0 || spec.n == 0 || spec.p[0] != '=')
        return TAG_BAD;
    out->whole = str_make(spec.p + 1, spec.n - 1);
    return take_value(out->whole, &out->value) ? TAG_GOOD : TAG_BAD;
}

static const struct tag *find(const struct tag_list *list, struct str name)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_equal(list->tag[i].name, name))
            return &list->tag[i];
    return NULL;
}

bool tag_list_parse(struct str text, struct tag_list *out)
{
    struct tag tag;
    enum tag_found found;
    out->count = 0;
    while ((found = tag_next(&text, &tag)) != TAG_END) {
        if (found == TAG_BAD || out->count == TAG_LIST_MAX || find(out, tag.name))
            return false;
        out->tag[out->count++] = tag;
    }
    return out->count > 0;
}

const struct tag *tag_list_find(const struct tag_list *list, const char *name)
{
    return find(list, str_from(name));
}

bool tag_item_next(struct str *rest, char separator, struct str *item)
{
    if (!rest->p)
        return false;
    if (!str_cut(*rest, separator, item, rest))
        *rest = STR_NONE;
    *item = str_skip(*item, blanks(*item));
    take_value(*item, item);
    return true;
}

bool tag_value_join(struct buf *out, struct str value)
{
    size_t start = out->used;
    while (value.n > 0) {
        value = str_skip(value, blanks(value));
        size_t n = word_size(value);
        if (!buf_append(out, str_head(value, n > 0 ? n : 1))) {
            out->used = start;
            return false;
        }
        value = str_skip(value, n > 0 ? n : 1);
    }
    return true;
}
