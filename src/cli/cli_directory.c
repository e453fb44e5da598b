/* SPDX-License-Identifier: ISC */
/*
 * cli_directory.c - eilbote directory export|apply
 */
#include "cli/cli.h"

#include <stdio.h>

#include "directory/text.h"
#include "os/file.h"

enum { TEXT_LIMIT = 1024 * 1024 * 1024 };

int cli_directory_export(struct invocation *i)
{
    int result = cli_parse(i, NULL, 0, 0, 0, NULL);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_READ) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    struct buf text = buf_make(TEXT_LIMIT);
    result = cli_result(i, directory_export(d, &text));
    if (result == CLI_DONE)
        fwrite(text.data, 1, text.used, stdout);
    buf_free(&text);
    directory_close(d);
    return result;
}

static bool read_input(struct buf *out)
{
    char part[2048];
    size_t n;
    while ((n = fread(part, 1, sizeof part, stdin)) > 0)
        if (!buf_append(out, str_make(part, n)))
            return false;
    return !ferror(stdin);
}

int cli_directory_apply(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX] = {NULL};
    int result = cli_parse(i, NULL, 0, 1, 1, words);
    struct directory *d = result == CLI_DONE ? cli_directory(i, DIRECTORY_WRITE) : NULL;
    if (!d)
        return result == CLI_DONE ? CLI_FAILED : result;
    struct buf text = buf_make(TEXT_LIMIT);
    if (strcmp(words[0], "-") != 0)
        result = cli_result(i, file_load(words[0], &text));
    else if (!read_input(&text))
        result = cli_fail(i, "cannot read standard input");
    if (result == CLI_DONE)
        result = cli_result(i, directory_apply(d, buf_str(&text), words[0]));
    buf_free(&text);
    directory_close(d);
    return result;
}
