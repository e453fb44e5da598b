/* SPDX-License-Identifier: ISC */
/*
 * mta_internal.h - the mta role's parts, for the files that answer its operator
 */
#ifndef ROLE_MTA_INTERNAL_H
#define ROLE_MTA_INTERNAL_H

#include "role/control.h"
#include "role/crew.h"
#include "role/role.h"
#include "send/sender.h"
#include "serve/server.h"

struct mta {
    struct role *role;
    struct arena arena;
    struct live_holder live;
    struct server server;
    struct crew crew;
    struct sender_loop loops[CREW_MOST];
    struct scope chores;  /* disk watch, log, control socket */
    struct scope keeping; /* the queue's keeper, the last to go */
    struct resolver *resolver;
    struct sender *sender;
    struct service *service;
    size_t service_count;
    char *spool;
    struct fault fault;
};

/* Loads the configuration again and tells the event log. On a fault the old one stays in force. */
struct fault mta_reload(struct mta *m);

/* The verbs of the control socket. */
extern const struct control_verb mta_verbs[];

#endif
