/* SPDX-License-Identifier: ISC */
/*
 * steward_verbs.c - what an operator may ask any role
 */
#include "role/steward_verbs.h"

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

const struct control_verb steward_verbs[] = {
    {"directory.changed", verb_directory_changed},
    {"reload", verb_reload},
    {NULL, NULL},
};
