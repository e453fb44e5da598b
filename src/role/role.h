/* SPDX-License-Identifier: ISC */
/*
 * role.h - what every role is given and asked
 *
 * A role is one function that runs until it is asked to stop, in a process of its own or, with
 * serve --single, on a thread. Over its channel the supervisor gives it orders: the text of the
 * configuration with the listening sockets that belong to it, at the start and at each reload. The
 * role reports what became of them. Orders have numbers and a report names the order it is about.
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/fault.h"
#include "net/loop.h"
#include "net/task.h"
#include "os/sandbox.h"
#include "os/thread.h"

enum { ROLE_SOCKET_NAME_MAX = 64, ROLE_SOCKETS_MOST = 64 };

/* A listening socket, by the name of its listener in the configuration. The id is the socket's own
 * for ever: two descriptors with one id are the same socket. */
struct role_socket {
    char name[ROLE_SOCKET_NAME_MAX];
    uint64_t id;
    int descriptor;
};

enum order_kind {
    ORDER_SET = 1, /* work with these sockets and this configuration */
    ORDER_REFUSED, /* a reload that failed before any role was asked: for the event log */
    ORDER_RESULT,  /* what became of the wishes up to this number */
    ORDER_STAY,    /* there is no upgrade, with the reason */
    ORDER_ALONE    /* the process of before has ended: what it held is free */
};

/* A packet from the supervisor. With ORDER_SET come a descriptor that holds the configuration's
 * text, then those of the sockets. */
struct order {
    uint32_t kind; /* enum order_kind */
    uint32_t socket_count;
    uint64_t number;
    uint32_t reply;           /* of the fault that is told; 0: fine */
    uint32_t has_predecessor; /* with the first set: ORDER_ALONE is to come */
    char text[FAULT_TEXT_MAX];
    struct role_socket socket[ROLE_SOCKETS_MOST];
};

enum report_kind {
    REPORT_READY = 1, /* serves, with the set of that number */
    REPORT_BESIDE,    /* greets, with that set, and waits for ORDER_ALONE */
    REPORT_DONE,      /* works with the set of that number now */
    REPORT_FAILED,    /* does not, and goes on with the one before */
    REPORT_WISH,      /* somebody asks for a reload */
    REPORT_UPGRADE,   /* somebody asks for an upgrade */
    REPORT_STUCK      /* a change of directory.db was left half done, and is to be taken back */
};

/* A packet to the supervisor, which looks at every byte with distrust. */
struct report {
    uint32_t kind; /* enum report_kind */
    uint32_t reply;
    uint64_t number;
    char text[FAULT_TEXT_MAX];
};

enum role_request {
    ROLE_SET,
    ROLE_REFUSED,
    ROLE_STAY,
    ROLE_ALONE,
    ROLE_RELOAD,
    ROLE_MEND,
    ROLE_STOP
};

struct role {
    const char *conf_path;         /* relative to the working directory, or absolute */
    int channel;                   /* to the supervisor */
    struct sandbox_report sandbox; /* what could be given up, for the event log */

    struct order *order; /* the last one; the descriptors of its sockets are the role's */
    struct buf source;   /* the text that came with the last set */

    /* Requests on their way to the role's first loop. */
    struct mutex mutex; /* of loop */
    struct loop *loop;  /* NULL: not yet, or no more */
    struct loop_message message;
    atomic_bool is_posted;
    atomic_bool wants_reload, wants_mending, wants_stop;

    /* The role's own. */
    struct task *task; /* that acts on requests */
    struct loop_watch watch;
    struct list wishes, upgrades;
    uint64_t last_wish;
};

/* Prepares a role that has been given the other end of the channel, and waits for its first set.
 * 551 5.3.5 when something else comes. role_close closes the channel, too. */
struct fault role_open(struct role *r, const char *conf_path, int channel);
void role_close(struct role *r);

/* Asks the role to stop, or to ask for a reload, or (ROLE_MEND) to have the directory made readable; any
 * thread, also before it runs. */
void role_ask(struct role *r, enum role_request request);

/* For the role: the running task acts on requests from now on, or no more. */
struct fault role_listen(struct role *r);
void role_unlisten(struct role *r);

/* Waits for the next ROLE_SET, ROLE_REFUSED, ROLE_STAY (all with r->order), ROLE_ALONE or ROLE_STOP.
 */
enum role_request role_wait(struct role *r);

/* Tells the supervisor about the order of that number. */
void role_report(struct role *r, enum report_kind kind, uint64_t number, const struct fault *f);

/* Asks the supervisor for a reload and waits for what becomes of it, from a task of the loop. The
 * fault is that of the configuration, of the sockets, or of the role that refused. */
struct fault role_reload(struct role *r);

/* Asks the supervisor for an upgrade, from a task of the loop: FINE when this role is to stop and
 * make way, else what kept the supervisor from it. */
struct fault role_upgrade(struct role *r);

/* The roles. Each returns when it has stopped in good order, or the fault that kept it from
 * starting. */
struct fault mta_run(struct role *r);
struct fault mda_run(struct role *r);

#endif
