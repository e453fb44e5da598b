/* SPDX-License-Identifier: ISC */
/*
 * fuzz_filter.c - words of a command are refused, or become a filter that the role takes whole
 */
#include "cli/filter.h"

#include "cli/flush.h"
#include "fuzz.h"
#include "role/queue_filter.h"

enum { WORDS = 8 };

static void check_words(const struct invocation *i, const char **words, size_t count)
{
    FILE *before = hush();
    json_t *filter = filter_make(i, words);
    stderr = before;
    if (!filter)
        return;
    json_t *request = json_pack("{s:O}", "filter", filter);
    struct queue_filter f;
    must(request && !queue_filter_read(request, &f).kind);
    size_t ids = json_array_size(f.ids);
    must(json_object_size(filter) + ids - (ids > 0) == count);
    json_decref(request);
    json_decref(filter);
}

/* What stands behind sendmail -q. */
static void check_flush(const struct invocation *i, const char *word)
{
    FILE *before = hush();
    json_t *request = flush_request(i, word);
    stderr = before;
    if (!request)
        return;
    struct queue_filter f;
    bool is_all = json_is_true(json_object_get(request, "all"));
    must(json_object_size(request) == 2 && is_all == (!word[0] || strcmp(word, "f") == 0));
    must(is_all || !queue_filter_read(request, &f).kind || str_has_8bit(str_from(word)));
    json_decref(request);
}

const struct fuzz_memory fuzz_memory = {.factor = 512, .base = 262144};

void fuzz_one(struct str in)
{
    const struct command command = {.name = "queue ls", .usage = "[FILTER...]"};
    struct invocation i = {.command = &command};
    struct str word;
    struct arena arena = arena_make((size_t)1 << 24);
    const char *words[WORDS + 1] = {NULL};
    size_t count = 0;
    bool has_more = true;
    while (has_more && count < WORDS) {
        has_more = str_cut(in, '\n', &word, &in);
        if (!str_has(word, '\0'))
            words[count++] = arena_c_string(&arena, word);
    }
    check_words(&i, words, count);
    if (count > 0)
        check_flush(&i, words[0]);
    arena_free(&arena);
}
