/* SPDX-License-Identifier: ISC */
/*
 * cli_domain.c - eilbote domain add|list|remove
 */
#include "cli/cli.h"

#include <stdio.h>

#include "directory/edit.h"

int cli_domain_add(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    int result = cli_parse(i, NULL, 0, 1, CLI_WORDS_MAX, words);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    for (size_t k = 0; k < CLI_WORDS_MAX && words[k] && result == CLI_DONE; k++)
        result = cli_result(i, directory_domain_add(d, str_from(words[k])));
    directory_close(d);
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

int cli_domain_remove(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    int result = cli_parse(i, NULL, 0, 1, 1, words);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    result = cli_result(i, directory_domain_remove(d, str_from(words[0])));
    directory_close(d);
    return result;
}
