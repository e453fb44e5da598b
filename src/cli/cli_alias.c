/* SPDX-License-Identifier: ISC */
/*
 * cli_alias.c - eilbote alias add|list|remove
 */
#include "cli/cli.h"

#include <stdio.h>

#include "directory/edit.h"

int cli_alias_add(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    int result = cli_parse(i, NULL, 0, 2, CLI_WORDS_MAX, words);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    for (size_t k = 1; k < CLI_WORDS_MAX && words[k] && result == CLI_DONE; k++)
        result = cli_result(i, directory_alias_add(d, str_from(words[0]), str_from(words[k])));
    directory_close(d);
    return result;
}

static void print_alias(const struct directory_alias *alias, void *array)
{
    if (array)
        json_array_append_new(array,
                              json_pack("{s:s%,s:s%}", "alias", alias->address.p, alias->address.n,
                                        "target", alias->target.p, alias->target.n));
    else
        printf(STR_FMT " " STR_FMT "\n", STR_ARG(alias->address), STR_ARG(alias->target));
}

int cli_alias_list(struct invocation *i)
{
    int result = cli_parse(i, NULL, 0, 0, 0, NULL);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_READ) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    json_t *array = i->is_json ? json_array() : NULL;
    result = cli_result(i, directory_list_aliases(d, print_alias, array));
    directory_close(d);
    return array && cli_print_json(array) != CLI_DONE ? CLI_FAILED : result;
}

int cli_alias_remove(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    int result = cli_parse(i, NULL, 0, 1, 2, words);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    result = cli_result(i, directory_alias_remove(d, str_from(words[0]), str_from(words[1])));
    directory_close(d);
    return result;
}
