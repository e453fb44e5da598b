/* SPDX-License-Identifier: ISC */
/*
 * supervisor.h - binds the ports, starts the roles and keeps them running
 *
 * It parses not one byte from the network. Each role is a process of this same program with a user
 * and a sandbox of its own; one that ends is started again, after a pause that grows while it keeps
 * ending. With is_single all roles are threads of one process, for debuggers.
 */
#ifndef ROLE_SUPERVISOR_H
#define ROLE_SUPERVISOR_H

#include "base/fault.h"

/*
 * Serves until SIGTERM or SIGINT; SIGHUP reloads. Says "ready" on standard output once every role
 * serves. The fault is about the configuration or the ports.
 */
struct fault supervisor_run(const char *conf_path, bool is_single);

#endif
