/* SPDX-License-Identifier: ISC */
/*
 * cli_serve.c - eilbote serve: the server itself
 */
#include "cli/cli.h"
#include "role/role_process.h"
#include "role/supervisor.h"

int cli_serve(struct invocation *i)
{
    bool is_single = false;
    const char *words[CLI_WORDS_MAX];
    const struct cli_option options[] = {{.name = "--single", .flag = &is_single}};
    int result = cli_parse(i, options, 1, 0, 0, words);
    if (result != CLI_DONE)
        return result;
    return cli_result(i, supervisor_run(i->conf_path, is_single));
}

int cli_role(struct invocation *i)
{
    const char *words[CLI_WORDS_MAX];
    int result = cli_parse(i, NULL, 0, 1, 1, words);
    if (result != CLI_DONE)
        return result;
    return cli_result(i, role_process_run(words[0], i->conf_path));
}
