/* SPDX-License-Identifier: ISC */
/*
 * owner.h - users that files belong to and processes become
 */
#ifndef OS_OWNER_H
#define OS_OWNER_H

#include "base/buf.h"
#include "base/fault.h"

#include <sys/types.h>

struct owner {
    uid_t uid;
    gid_t gid;
};

/* True when this process has the rights of root. */
bool owner_is_root(void);

/* A user by name, or "UID:GID" in numbers. False when there is none. */
bool owner_find(struct str name, struct owner *out);

/* Appends the login name of the user who runs this process; false when it has none. */
bool owner_login(struct buf *out);

/* The first of 1000 numbers from this one on that is neither a user nor a group; 0 for none. */
uid_t owner_free_id(uid_t from);

/* Sets permissions and, when owner is not NULL, the owner of a file or directory. 451 4.3.0. */
struct fault owner_give(const char *path, const struct owner *owner, unsigned permissions);

/* True when every user may pass through the directories above path to it. */
bool owner_is_reachable(const char *path);

#endif
