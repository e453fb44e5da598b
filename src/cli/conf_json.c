/* SPDX-License-Identifier: ISC */
/*
 * conf_json.c - the configuration as JSON, by the table of options
 */
#include "cli/conf_json.h"

#include "conf/field.h"
#include "conf/value.h"
#include "role/control.h"

enum { VALUE_TEXT_MAX = 128 };

/* As the file would have it, without quotes. */
static json_t *json_printed(const struct field *f, const void *value)
{
    struct buf text = buf_make(VALUE_TEXT_MAX);
    bool is_printed = value_print(f, value, &text);
    struct str s = buf_str(&text);
    if (s.n >= 2 && s.p[0] == '"')
        s = str_make(s.p + 1, s.n - 2);
    json_t *o = is_printed ? control_text(s) : json_null();
    buf_free(&text);
    return o;
}

static json_t *json_value(const struct field *f, const void *value)
{
    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_PATH:
    case FIELD_SENDER:
        return control_text(*(const struct str *)value);
    case FIELD_COUNT:
        return json_integer(*(const int64_t *)value);
    case FIELD_SWITCH:
        return json_boolean(*(const bool *)value);
    case FIELD_SIZE:
    case FIELD_DURATION:
    case FIELD_WORD:
    case FIELD_ADDRESS:
    case FIELD_NETWORK:
    case FIELD_ENDPOINT:
    case FIELD_ACTION:
    case FIELD_SITE:
    case FIELD_RATE:
        return json_printed(f, value);
    }
    return NULL;
}

/* The items of a list of the configuration, which is a pointer and then their number. */
static const char *items_at(const char *place, size_t *count)
{
    const char *items;
    memcpy(&items, place, sizeof items);
    memcpy(count, place + sizeof items, sizeof *count);
    return items;
}

static json_t *json_list(const struct field *f, const char *place)
{
    size_t count;
    const char *items = items_at(place, &count);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_value(f, items + i * field_size(f)));
    return array;
}

static void add_fields(json_t *o, const struct section *s, const char *base)
{
    for (size_t i = 0; i < s->field_count; i++) {
        const struct field *f = &s->fields[i];
        const char *place = base + f->offset;
        if (f->is_list)
            json_object_set_new(o, f->name, json_list(f, place));
        else if (field_is_set(f, place))
            json_object_set_new(o, f->name, json_value(f, place));
    }
}

/* The sections of one kind, by their titles. */
static json_t *json_titled(const struct section *s, const char *place)
{
    size_t count;
    const char *items = items_at(place, &count);
    json_t *all = json_object();
    for (size_t k = 0; k < count; k++) {
        const char *base = items + k * s->size;
        json_t *one = json_object(), *title = control_text(*(const struct str *)(const void *)base);
        add_fields(one, s, base);
        json_object_set_new(all, json_string_value(title), one);
        json_decref(title);
    }
    return all;
}

json_t *conf_json(const struct conf *c)
{
    json_t *whole = json_object();
    for (size_t i = 0; i < field_section_count; i++) {
        const struct section *s = &field_sections[i];
        const char *place = (const char *)c + s->offset;
        json_t *o = s->has_title ? json_titled(s, place) : s->name ? json_object() : whole;
        if (!s->has_title)
            add_fields(o, s, place);
        if (s->name)
            json_object_set_new(whole, s->name, o);
    }
    return whole;
}
