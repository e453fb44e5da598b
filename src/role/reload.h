/* SPDX-License-Identifier: ISC */
/*
 * reload.h - the supervisor's part of a reload: which set is in force, and who works with it
 *
 * A set is the text of a configuration and its listening sockets; each has a number. A reload binds
 * what is new, gives the set to the roles and waits for their reports; one reload goes on at a
 * time, and who asks meanwhile gets the next one. A socket that the set in force does not want any
 * more is kept until every role works with that set. When a role refuses, the set before is put in
 * force again, for all.
 */
#ifndef ROLE_RELOAD_H
#define ROLE_RELOAD_H

#include "base/buf.h"
#include "role/kinds.h"
#include "role/sockets.h"

/* A role as the supervisor sees it. */
struct reload_role {
    const struct role_kind *kind;
    int channel; /* -1: does not run */
    bool has_been_ready;
    bool has_predecessor; /* a process of before has what this one needs */
    bool is_beside;       /* it greets beside that */
    bool owes_report;     /* of the reload that goes on */
    uint64_t works_with;  /* the number of its set; 0: none yet */
    uint64_t wish;        /* the last one it sent, */
    uint64_t wish_taken;  /* that the reload is for, */
    uint64_t wish_told;   /* that has been answered */
};

struct reload {
    const char *conf_path;
    struct reload_role role[ROLES];
    struct buf source;        /* of the set in force, */
    struct sockets *current;  /* its sockets, */
    uint64_t number;          /* its number */
    struct sockets *retired;  /* others, that a role may still work with */
    struct buf source_before; /* the set that was in force before: */
    struct sockets *before;   /* retired, or in both */
    uint64_t number_before;
    struct order *order; /* to fill and send */
    uint64_t last_number, last_id;
    bool is_going_on, is_wanted, is_refused, is_undone, is_over;
    bool wants_upgrade; /* a role has been asked for one */
    bool wants_mending; /* a role cannot read the directory */
    struct fault fault; /* the first of the reload that goes on */
};

/* Loads the configuration and binds its sockets, or takes those it finds among the inherited ones
 * and closes the rest: the first set. *conf, which is the caller's, is that configuration. */
struct fault reload_start(struct reload *r, const char *conf_path, const struct sockets *inherited,
                          struct conf **conf);
void reload_stop(struct reload *r);

/* Closes the ports, and no reload opens them again; the roles close theirs. */
void reload_close_ports(struct reload *r);

/* A role starts: it finds the set in force in the channel. A role has ended. */
struct fault reload_attach(struct reload *r, struct reload_role *role, int channel);
void reload_detach(struct reload *r, struct reload_role *role);

/* Begins a reload, or another one after the one that goes on. */
void reload_want(struct reload *r);

/* Tells the roles why there is no upgrade. */
void reload_tell_stay(struct reload *r, const struct fault *f);

/* The predecessor has ended. The fault: the role cannot be told, and waits for it for ever. */
struct fault reload_tell_alone(struct reload *r, struct reload_role *role);

/* Takes the reports of a role. */
void reload_read(struct reload *r, struct reload_role *role);

/* True once each role has served. */
bool reload_is_ready(const struct reload *r);

#endif
