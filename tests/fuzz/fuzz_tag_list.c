/* SPDX-License-Identifier: ISC */
/*
 * fuzz_tag_list.c - a list that is read, written plainly, reads the same; both readers agree
 */
#include "check/tag_list.h"

#include "fuzz.h"

static void write_plainly(const struct tag_list *list, struct buf *out)
{
    for (size_t i = 0; i < list->count; i++)
        must(buf_append(out, list->tag[i].name) && buf_append_byte(out, '=') &&
             buf_append(out, list->tag[i].value) && buf_append_byte(out, ';'));
}

static void check_written(const struct tag_list *list, size_t limit)
{
    struct tag_list again;
    struct buf out = buf_make(limit + 1);
    write_plainly(list, &out);
    must(tag_list_parse(buf_str(&out), &again) && again.count == list->count);
    for (size_t i = 0; i < list->count; i++) {
        must(str_equal(again.tag[i].name, list->tag[i].name));
        must(str_equal(again.tag[i].value, list->tag[i].value));
        must(tag_list_find(list, "b") == NULL || tag_list_find(&again, "b") != NULL);
    }
    buf_free(&out);
}

/* The items with separators between them are the value, but for white space. */
static void check_items(struct str value)
{
    struct buf joined = buf_make(value.n), items = buf_make(value.n);
    struct str rest = value, item;
    must(tag_value_join(&joined, value));
    for (bool is_first = true; tag_item_next(&rest, ':', &item); is_first = false) {
        must(is_first || buf_append_byte(&items, ':'));
        must(tag_value_join(&items, item));
        must(item.n == 0 || (item.p[0] != ' ' && item.p[item.n - 1] != ' '));
    }
    must(str_equal(buf_str(&joined), buf_str(&items)));
    must(!str_has(buf_str(&joined), ' ') && !str_has(buf_str(&joined), '\n'));
    buf_free(&joined);
    buf_free(&items);
}

const struct fuzz_memory fuzz_memory = {.factor = 8, .base = 8192};

void fuzz_one(struct str in)
{
    struct tag_list list;
    bool is_list = tag_list_parse(in, &list);
    struct str rest = in;
    struct tag tag;
    enum tag_found found;
    size_t good = 0, bad = 0;
    while ((found = tag_next(&rest, &tag)) != TAG_END) {
        good += found == TAG_GOOD;
        bad += found == TAG_BAD;
        if (is_list) {
            must(found == TAG_GOOD && str_equal(tag.name, list.tag[good - 1].name));
            check_items(tag.value);
        }
    }
    must(!is_list || good == list.count);
    must(bad == 0 || !is_list);
    if (is_list)
        check_written(&list, in.n);
}
