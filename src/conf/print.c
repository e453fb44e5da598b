/* SPDX-License-Identifier: ISC */
/*
 * print.c - the configuration in the syntax of its file, by the table of options
 */
#include "conf/conf.h"

#include "conf/field.h"
#include "conf/value.h"

static bool print_field(const struct field *f, const char *base, const char *indent,
                        struct buf *out)
{
    const char *place = base + f->offset;
    if (!f->is_list && !field_is_set(f, place))
        return true;
    bool is_good = buf_append(out, str_from(indent)) && buf_append(out, str_from(f->name)) &&
                   buf_append(out, STR(" = "));
    if (!f->is_list)
        return is_good && value_print(f, place, out) && buf_append_byte(out, '\n');
    const char *items;
    size_t count;
    memcpy(&items, place, sizeof items);
    memcpy(&count, place + sizeof items, sizeof count);
    is_good = is_good && buf_append_byte(out, '{');
    for (size_t i = 0; i < count && is_good; i++)
        is_good = (i == 0 || buf_append(out, STR(", "))) &&
                  value_print(f, items + i * field_size(f), out);
    return is_good && buf_append(out, STR("}\n"));
}

static bool print_section(const struct section *s, const char *base, struct buf *out)
{
    struct str title = s->has_title ? *(const struct str *)(const void *)base : STR_NONE;
    bool is_good =
        !s->name ||
        (buf_append(out, str_from(s->name)) &&
         (!s->has_title || (buf_append_byte(out, ' ') && value_print_text(title, out))) &&
         buf_append(out, STR(" {\n")));
    for (size_t i = 0; i < s->field_count && is_good; i++)
        is_good = print_field(&s->fields[i], base, s->name ? "    " : "", out);
    return is_good && (!s->name || buf_append(out, STR("}\n")));
}

bool conf_print(const struct conf *c, struct buf *out)
{
    bool is_good = true;
    for (size_t i = 0; i < field_section_count && is_good; i++) {
        const struct section *s = &field_sections[i];
        const char *base = (const char *)c + s->offset;
        const char *items = base;
        size_t count = 1;
        if (s->has_title) {
            memcpy(&items, base, sizeof items);
            memcpy(&count, base + sizeof items, sizeof count);
        }
        for (size_t k = 0; k < count && is_good; k++)
            is_good = print_section(s, items + k * s->size, out);
    }
    return is_good;
}
