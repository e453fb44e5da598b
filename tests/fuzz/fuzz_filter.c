/* SPDX-License-Identifier: ISC */
/*
 * fuzz_filter.c - words of a command are refused, or become a filter that the role takes whole
 */
#include "cli/filter.h"

#include "fuzz.h"
#include "role/queue_filter.h"

enum { WORDS = 8 };

const struct fuzz_memory fuzz_memory = {.factor = 512, .base = 262144};

void fuzz_one(struct str in)
{
    const struct command command = {.name = "queue ls", .usage = "[FILTER...]"};
    struct invocation i = {.command = &command};
    struct str word;
    struct arena arena = arena_make((size_t)1 << 24);
    const char *words[WORDS + 1] = {NULL};
    size_t count = 0, ids = 0;
    bool has_more = true;
    while (has_more && count < WORDS) {
        has_more = str_cut(in, '\n', &word, &in);
        if (!str_has(word, '\0'))
            words[count++] = arena_c_string(&arena, word);
    }
    json_t *filter = filter_make(&i, words);
    if (filter) {
        json_t *request = json_pack("{s:O}", "filter", filter);
        struct queue_filter f;
        must(request && !queue_filter_read(request, &f).kind);
        ids = json_array_size(f.ids);
        must(json_object_size(filter) + ids - (ids > 0) == count);
        json_decref(request);
        json_decref(filter);
    }
    arena_free(&arena);
}
