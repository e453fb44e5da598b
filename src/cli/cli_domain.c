/* SPDX-License-Identifier: ISC */
/*
 * cli_domain.c - eilbote domain add|list|remove
 */
#include "cli/cli.h"

#include <stdio.h>

#include "directory/edit.h"
#include "os/clock.h"
#include "sign/key_store.h"

enum { ARENA_BYTES = 1 << 20 };

/* The domain is ours without keys, too: its mail goes unsigned then. */
static int add_domain(struct invocation *i, struct directory *d,
                      const struct signing_keys_place *place, struct str domain)
{
    int result = cli_result(i, directory_domain_add(d, domain));
    if (result != CLI_DONE)
        return result;
    struct fault f =
        signing_keys_make(d, place, domain, DIRECTORY_KEY_ACTIVE, clock_real_ms() / 1000);
    return f.kind ? cli_fail(i,
                             STR_FMT " was added, but has no keys that sign its mail: %s; eilbote "
                                     "dkim rotate makes them",
                             STR_ARG(domain), f.text)
                  : CLI_DONE;
}

/* All of them are names, each once, before anything is changed. */
static int take_names(struct invocation *i, struct arena *a, struct str names[CLI_WORDS_MAX],
                      size_t *count)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    int result = cli_parse(i, NULL, 0, 1, CLI_WORDS_MAX, words);
    for (*count = 0; result == CLI_DONE && *count < CLI_WORDS_MAX && words[*count]; ++*count) {
        result = cli_domain(i, a, words[*count], &names[*count]);
        for (size_t k = 0; result == CLI_DONE && k < *count; k++)
            if (str_equal(names[k], names[*count]))
                result = cli_usage(i, "%s is there twice", words[*count]);
    }
    return result;
}

/* Nothing is added when one of them is there. */
static int need_new(struct invocation *i, struct directory *d, const struct str *names,
                    size_t count)
{
    for (size_t k = 0; k < count; k++) {
        bool has = false;
        struct fault f = directory_has_domain(d, names[k], &has);
        if (f.kind)
            return cli_result(i, f);
        if (has)
            return cli_fail(i, STR_FMT " exists already", STR_ARG(names[k]));
    }
    return CLI_DONE;
}

int cli_domain_add(struct invocation *i)
{
    struct str names[CLI_WORDS_MAX];
    size_t count;
    struct arena a = arena_make(ARENA_BYTES);
    int result = take_names(i, &a, names, &count);
    struct conf *c = result == CLI_DONE ? cli_conf(i) : NULL;
    struct directory *d = c ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d) {
        conf_free(c);
        arena_free(&a);
        return result == CLI_DONE ? CLI_FAILED : result;
    }
    struct owner owner;
    struct signing_keys_place place = cli_keys_place(c, &a, &owner);
    result = need_new(i, d, names, count);
    for (size_t k = 0; k < count && result == CLI_DONE; k++)
        result = add_domain(i, d, &place, names[k]);
    arena_free(&a);
    directory_close(d);
    conf_free(c);
    return result;
}

static void print_domain(struct str domain, void *array)
{
    if (array)
        json_array_append_new(array, json_stringn(domain.p, domain.n));
    else
        printf(STR_FMT "\n", STR_ARG(domain));
}

int cli_domain_list(struct invocation *i)
{
    int result = cli_parse(i, NULL, 0, 0, 0, NULL);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_READ) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    json_t *array = i->is_json ? json_array() : NULL;
    result = cli_result(i, directory_list_domains(d, print_domain, array));
    directory_close(d);
    return array && cli_print_json(array) != CLI_DONE ? CLI_FAILED : result;
}

/* With the domain, its keys leave the directory; then their files go. */
static int remove_domain(struct invocation *i, struct directory *d,
                         const struct signing_keys_place *place, struct str domain)
{
    struct arena a = arena_make(ARENA_BYTES);
    struct signing_keys keys;
    int result = cli_result(i, signing_keys_list(d, domain, &a, &keys));
    if (result == CLI_DONE)
        result = cli_result(i, directory_domain_remove(d, domain));
    for (size_t k = 0; result == CLI_DONE && k < keys.count; k++)
        result = cli_result(i, key_store_remove(place->folder, domain, keys.item[k].selector));
    arena_free(&a);
    return result;
}

int cli_domain_remove(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    int result = cli_parse(i, NULL, 0, 1, 1, words);
    struct conf *c = result == CLI_DONE ? cli_conf(i) : NULL;
    struct directory *d = c ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d) {
        conf_free(c);
        return result == CLI_DONE ? CLI_FAILED : result;
    }
    struct arena a = arena_make(ARENA_BYTES);
    struct owner owner;
    struct signing_keys_place place = cli_keys_place(c, &a, &owner);
    result = remove_domain(i, d, &place, cli_folded(&a, words[0]));
    arena_free(&a);
    directory_close(d);
    conf_free(c);
    return result;
}
