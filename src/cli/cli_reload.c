/* SPDX-License-Identifier: ISC */
/*
 * cli_reload.c - eilbote reload: the running server takes the configuration as it is now
 *
 * Any role can pass the wish on to the supervisor: when one is just being started again the other is
 * asked.
 */
#include "cli/ask.h"

int cli_reload(struct invocation *i)
{
    static const char *const roles[] = {"mta", "mda"};
    int result = cli_parse(i, NULL, 0, 0, 0, NULL);
    if (result != CLI_DONE)
        return result;
    struct conf *c = cli_conf(i);
    if (!c)
        return CLI_FAILED;
    struct fault f = FINE;
    for (size_t k = 0; k < sizeof roles / sizeof roles[0]; k++) {
        f = ask_role(c, roles[k], json_pack("{s:s}", "verb", "reload"), NULL, NULL);
        if (!ask_is_absent(&f))
            break;
    }
    conf_free(c);
    return cli_result(i, f);
}
