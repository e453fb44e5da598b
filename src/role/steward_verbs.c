/* SPDX-License-Identifier: ISC */
/*
 * steward_verbs.c - what an operator may ask any role
 */
#include "role/steward_verbs.h"

#include <unistd.h>

#include "role/steward.h"

static struct fault verb_directory_changed(struct control *c, void *role, const json_t *request)
{
    (void)c;
    (void)request;
    struct steward *s = role;
    s->kind->forget(s);
    return FINE;
}

static struct fault verb_reload(struct control *c, void *role, const json_t *request)
{
    (void)c;
    (void)request;
    struct steward *s = role;
    return role_reload(s->role);
}

static struct fault verb_upgrade(struct control *c, void *role, const json_t *request)
{
    (void)c;
    (void)request;
    struct steward *s = role;
    return role_upgrade(s->role);
}

static struct fault verb_who(struct control *c, void *role, const json_t *request)
{
    (void)role;
    (void)request;
    return control_say(c, json_pack("{s:i}", "pid", (int)getpid()));
}

const struct control_verb steward_verbs[] = {
    {"directory.changed", verb_directory_changed},
    {"reload", verb_reload},
    {"upgrade", verb_upgrade},
    {"who", verb_who},
    {NULL, NULL},
};
