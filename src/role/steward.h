/* SPDX-License-Identifier: ISC */
/*
 * steward.h - the household of a role: what the mta and the mda have in common
 *
 * The steward loads the configuration, opens the event log, the directory, the control socket and
 * the listeners, watches the disk, follows orders and stops everything in the opposite order. What
 * a role does beside that is in its row of functions.
 *
 * At an upgrade it begins beside the process that it follows: then it listens and greets before it
 * is in charge, and opens queue or store, and the control socket, when the other has ended.
 */
#ifndef ROLE_STEWARD_H
#define ROLE_STEWARD_H

#include "role/control.h"
#include "role/crew.h"
#include "role/role.h"
#include "serve/server.h"

struct steward;

/* Which listeners a role serves, and how. */
struct steward_session {
    enum conf_role role;
    const char *task_name;
    void (*serve)(struct conn *c, void *service);
    struct str (*turn_away)(const struct endpoint *peer, void *service);
};

struct steward_kind {
    const char *name; /* of its folders in log and ctl */
    const char *data; /* its folder; below the disk reserve no mail comes in */
    const struct steward_session *sessions; /* ends with CONF_ROLE_NONE */
    const struct control_verb *verbs;       /* its own; steward_verbs come on top */
    const struct control_verb *more_verbs;  /* or NULL */

    /* Opens what sessions need from their greeting on (NULL: nothing), then what the role keeps and
     * no two processes may have; on the first loop. What is open on a fault is closed by close. */
    struct fault (*open)(struct steward *s, const struct conf *conf);
    struct fault (*take_charge)(struct steward *s, const struct conf *conf);
    /* Another configuration is in force; in charge. */
    void (*adopt)(struct steward *s, const struct conf *conf);
    /* The directory has changed, or may have. */
    void (*forget)(struct steward *s);
    /* Stopping: begins nothing new; whether all has come to rest; the last to go. NULL: nothing. */
    void (*settle)(struct steward *s);
    bool (*is_settled)(struct steward *s);
    void (*end)(struct steward *s);
    /* Gives everything back, after the loops have stopped. */
    void (*close)(struct steward *s);
};

/* The first member of each role's struct, so that the functions of its row find their role. */
struct steward {
    const struct steward_kind *kind;
    struct role *role;
    struct arena arena;
    struct live_holder live;
    struct server server;
    struct bell log_bell; /* there are lines to write */
    struct crew crew;
    struct scope chores;  /* disk watch, log, control socket, and the role's */
    struct list services; /* listeners, and those that were, until their last stream ends */
    char *data;           /* the path of the role's folder */
    uint64_t set_number;  /* of the set it works with */
    struct fault fault;
    atomic_bool has_given_up;
    struct fault reason; /* of that */
};

/* Runs the role with that number of loops (0: one a processor), until it has stopped. */
struct fault steward_run(struct steward *s, const struct steward_kind *kind, struct role *r,
                         int64_t (*thread_count)(const struct conf *conf));

/*
 * Ends the role with that fault, any thread, once: what it keeps can be made good by a start alone. Whoever
 * watches over it starts it again.
 */
void steward_give_up(struct steward *s, const struct fault *f);

/* Writes an event; f may be NULL. */
void steward_tell(struct steward *s, const char *name, const struct fault *f);

#endif
