/* SPDX-License-Identifier: ISC */
/*
 * ask.h - asking a running role over its control socket
 */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "cli/cli.h"

/* Called for each line of the answer but the last; the line is borrowed. */
typedef void (*ask_line)(void *arg, const json_t *line);

/*
 * Sends the request (taken) to the role ("mta", "mda") and calls each for the lines of its answer;
 * each may be NULL. FINE when the role says that it is done; its own fault when it refuses. 451
 * 4.3.2 when no server runs, 451 4.3.0 when it may not be asked or breaks off. Blocks.
 */
struct fault ask_role(const struct conf *conf, const char *role, json_t *request, ask_line each,
                      void *arg);

/* True for the fault of ask_role that says that no server runs. */
bool ask_is_absent(const struct fault *f);

/* What a socket of the server at path that cannot be used means, by its errno: 451 4.3.2 when no
 * server runs, else 451 4.3.0. */
struct fault ask_trouble(const struct conf *conf, const char *path, int error);

/* Tells the roles that run that the directory has changed; those that do not are no error. */
void ask_forget_directory(const struct invocation *i);

#endif
