/* SPDX-License-Identifier: ISC */
/*
 * role.h - what every role is given and asked
 *
 * A role is one function that runs until it is asked to stop. It gets its listening sockets from
 * the supervisor, in a process of its own or, with serve --single, on a thread.
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

#include <stdatomic.h>

#include "base/fault.h"
#include "net/loop.h"
#include "net/task.h"
#include "os/sandbox.h"

enum { ROLE_SOCKET_NAME_MAX = 64, ROLE_SOCKETS_MOST = 64 };

/* A listening socket, by the name of its listener in the configuration. */
struct role_socket {
    char name[ROLE_SOCKET_NAME_MAX];
    int descriptor;
};

enum role_request { ROLE_RELOAD, ROLE_STOP };

struct role {
    const char *conf_path;             /* relative to the working directory, or absolute */
    const struct role_socket *sockets; /* closed by the role when it stops */
    size_t socket_count;
    struct sandbox_report sandbox; /* what could be given up, for the event log */
    void (*ready)(struct role *r); /* serves from now on; on the role's thread */
    void *arg;                     /* the caller's */

    /* Requests on their way to the role's first loop; the role's own from here on. */
    struct loop *_Atomic loop;
    struct task *task; /* that acts on requests */
    struct loop_message message;
    atomic_bool is_posted;
    atomic_bool wants_reload, wants_stop;
};

/* Asks the role for something; any thread, also before it runs. */
void role_ask(struct role *r, enum role_request request);

/* For the role: the running task acts on requests from now on. */
void role_listen(struct role *r);

/* Waits for the next request; true for ROLE_STOP. */
bool role_wait(struct role *r);

/* Closes the listening sockets: from here on new clients are refused, not left waiting. After no
 * loop watches them any more. */
void role_close_sockets(const struct role *r);

/* The roles. Each returns when it has stopped in good order, or the fault that kept it from
 * starting. */
struct fault mta_run(struct role *r);
struct fault mda_run(struct role *r);

#endif
