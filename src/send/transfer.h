/* SPDX-License-Identifier: ISC */
/*
 * transfer.h - moving jobs over one connection
 */
#ifndef SEND_TRANSFER_H
#define SEND_TRANSFER_H

#include "net/conn.h"
#include "net/dial.h"
#include "proto/smtp_client.h"
#include "send/internal.h"

/* A transaction: all or some of a job's recipients. */
struct transaction;

struct transfer {
    struct carrier *carrier;
    const struct conf_delivery *limits;
    struct conn *conn; /* NULL while there is none */
    struct smtp_client client;
    struct smtp_client_options options;
    char host[256];                     /* by name, for TLS */
    char remote[300];                   /* the host talked to, for people; empty when none was */
    struct buf dialogue;                /* with it, after the connection's end */
    struct transaction *first, *second; /* under way, in order */
    uint64_t message_count;             /* on this connection */
    bool is_requirement_unmet;          /* the host tried last cannot do what REQUIRETLS asks */
};

struct transfer *transfer_make(struct carrier *c);
void transfer_free(struct transfer *t);

/* The connection stands: starts the engine. host is empty for a Unix socket. */
void transfer_connected(struct transfer *t, struct str host, const struct endpoint *to);

/* What was known of the host before is forgotten: another one is tried. */
void transfer_begin_host(struct transfer *t);

/* Ends the connection; says QUIT when nothing is under way. */
void transfer_disconnect(struct transfer *t);

/* Writes what the engine has to say and waits for its next event. The fault is the connection's,
 * or says that the server did not answer in time. */
struct fault transfer_await(struct transfer *t, struct smtp_client_event *e);

/*
 * Works on the carrier's jobs until there are none or the connection ends (t->conn is NULL then).
 * Every job that was begun has gone back with its results.
 */
void transfer_jobs(struct transfer *t);

/* Notes in the job which server it was about and what was said. */
void transfer_describe(struct transfer *t, struct job *j);

/* carrier.c: the job has its results. */
void carrier_return(struct job *j);

#endif
