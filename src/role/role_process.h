/* SPDX-License-Identifier: ISC */
/*
 * role_process.h - a role as a process of its own: from the program's start to the role's end
 */
#ifndef ROLE_ROLE_PROCESS_H
#define ROLE_ROLE_PROCESS_H

#include "role/kinds.h"

/* Starts this program again as the role; channel is the role's end of it. */
struct fault role_process_start(const struct role_kind *kind, const char *conf_path, int channel,
                                int *pid);

/* The other side: becomes the role's user, enters its sandbox and runs it in this process. */
struct fault role_process_run(const char *name, const char *conf_path);

#endif
