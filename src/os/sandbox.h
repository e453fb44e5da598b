/* SPDX-License-Identifier: ISC */
/*
 * sandbox.h - giving up rights: user, capabilities, system calls, paths
 *
 * Everything here is one-way. seccomp and Landlock are used where the kernel has them; what could
 * be done is told, so that it can be logged.
 */
#ifndef OS_SANDBOX_H
#define OS_SANDBOX_H

#include "base/fault.h"
#include "os/owner.h"

/* Becomes the user and its group alone, without capabilities. 451 4.3.5 when it may not. */
struct fault sandbox_become(const struct owner *owner);

/* True when this process may become another user (root, or CAP_SETUID and CAP_SETGID). */
bool sandbox_may_change_user(void);

/* A path and what may be done below it. */
struct sandbox_path {
    const char *path;
    bool may_write;
};

struct sandbox_rules {
    const struct sandbox_path *paths; /* those that do not exist are left out */
    size_t path_count;
    bool may_connect; /* to other hosts */
};

struct sandbox_report {
    bool has_seccomp;
    int landlock_version; /* 0: the kernel has none */
};

/*
 * No new privileges, system calls by an allow-list (no exec, no ptrace, no mount, ...: they fail
 * with EPERM), and only the given paths. Before the process starts threads.
 */
struct fault sandbox_enter(const struct sandbox_rules *rules, struct sandbox_report *report);

/* Raises the limit on open descriptors as far as it goes; returns it. */
int64_t sandbox_raise_descriptors(void);

#endif
