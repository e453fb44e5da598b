/* SPDX-License-Identifier: ISC */
/*
 * kinds.h - the roles there are, as rows
 */
#ifndef ROLE_KINDS_H
#define ROLE_KINDS_H

#include "role/role.h"

enum { ROLES = 2 };

/* A role: what it is called, which sockets it gets, what it may do. */
struct role_kind {
    const char *name;
    struct fault (*run)(struct role *r);
    bool is_mta;
    bool may_connect;
};

extern const struct role_kind role_kinds[ROLES];

#endif
