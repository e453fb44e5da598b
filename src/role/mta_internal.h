/* SPDX-License-Identifier: ISC */
/*
 * mta_internal.h - the mta role's parts, for the files that answer its operator
 */
#ifndef ROLE_MTA_INTERNAL_H
#define ROLE_MTA_INTERNAL_H

#include "report/courier.h"
#include "report/tls_gather.h"
#include "role/steward.h"
#include "send/sender.h"

struct mta {
    struct steward steward; /* the first, see there */
    struct sender_loop loops[CREW_MOST];
    struct scope keeping; /* the queue's keeper, the last to go */
    struct resolver *resolver;
    struct sender *sender;
    const char *sts_folder;        /* where the sender keeps MTA-STS policies */
    struct courier courier;        /* of reports */
    struct tls_gather *tls_gather; /* NULL: no reports about TLS */
};

/* report_verbs.c */
extern const struct control_verb report_verbs[];

/* The verbs of the control socket. */
extern const struct control_verb mta_verbs[];

#endif
