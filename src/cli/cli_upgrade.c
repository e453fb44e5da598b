/* SPDX-License-Identifier: ISC */
/*
 * cli_upgrade.c - eilbote upgrade: the running server makes way for the program that is there now
 *
 * The wish goes the way of a reload's. It is fulfilled when processes that were not there before
 * answer for both roles.
 */
#include <stdio.h>

#include "cli/ask.h"
#include "os/clock.h"

enum { ROLES_ASKED = 2, LOOK_US = 50000, PATIENCE_MS = 120000 };

static const char *const roles[ROLES_ASKED] = {"mta", "mda"};

static void take_pid(void *arg, const json_t *line)
{
    json_t *pid = json_object_get(line, "pid");
    if (pid)
        *(json_int_t *)arg = json_integer_value(pid);
}

/* The id of the role's process; 0: nobody answers. */
static json_int_t find_pid(const struct conf *c, size_t k)
{
    json_int_t pid = 0;
    struct fault f = ask_role(c, roles[k], json_pack("{s:s}", "verb", "who"), take_pid, &pid);
    return f.kind ? 0 : pid;
}

/* The first role that is there passes the wish on. That it hangs up when it stops is no refusal. */
static struct fault ask(const struct conf *c)
{
    struct fault f = FINE;
    for (size_t k = 0; k < ROLES_ASKED; k++) {
        f = ask_role(c, roles[k], json_pack("{s:s}", "verb", "upgrade"), NULL, NULL);
        if (!ask_is_absent(&f))
            break;
    }
    return f.kind == FAULT_NEVER || ask_is_absent(&f) ? f : FINE;
}

static struct fault await(const struct conf *c, const json_int_t before[ROLES_ASKED])
{
    int64_t end = clock_now_ms() + PATIENCE_MS;
    for (size_t k = 0; k < ROLES_ASKED;) {
        json_int_t now = find_pid(c, k);
        if (now != 0 && now != before[k])
            k++;
        else if (clock_now_ms() > end)
            return fault_make(451, FAULT_STATUS(4, 3, 2), "the new %s does not answer", roles[k]);
        else
            clock_sleep_us(LOOK_US);
    }
    return FINE;
}

int cli_upgrade(struct invocation *i)
{
    json_int_t before[ROLES_ASKED];
    int result = cli_parse(i, NULL, 0, 0, 0, NULL);
    if (result != CLI_DONE)
        return result;
    struct conf *c = cli_conf(i);
    if (!c)
        return CLI_FAILED;
    for (size_t k = 0; k < ROLES_ASKED; k++)
        before[k] = find_pid(c, k);
    struct fault f = ask(c);
    if (!f.kind)
        f = await(c, before);
    conf_free(c);
    return cli_result(i, f);
}
