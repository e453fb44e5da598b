/* SPDX-License-Identifier: ISC */
/*
 * succession.h - what a supervisor leaves to the program that takes its place
 *
 * An upgrade puts the program's file, as it is now, into the supervisor's process: the id stays, the
 * listening sockets stay open, and the roles of before are children still. What they are is written
 * down as JSON in a descriptor without a name, so that two versions understand each other.
 */
#ifndef ROLE_SUCCESSION_H
#define ROLE_SUCCESSION_H

#include "role/kinds.h"
#include "role/sockets.h"

/* A role's process of before; pid 0: there is none. It stops when its channel is closed. */
struct predecessor {
    int pid;
    int channel;
};

/* Becomes the program at path, which serves the configuration and takes over these sockets and
 * roles. Returns only the fault that kept it from that: nothing has changed then. */
struct fault succession_begin(const char *program, const char *conf_path,
                              const struct sockets *sockets, const struct predecessor roles[ROLES]);

/* The other side. False when this process is the first; 551 5.3.5 in *f when what was left cannot be
 * understood. */
bool succession_take(struct sockets *sockets, struct predecessor roles[ROLES], struct fault *f);

#endif
