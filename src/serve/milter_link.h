/* SPDX-License-Identifier: ISC */
/*
 * milter_link.h - one connection to one mail filter
 *
 * A filter that cannot be reached, falls silent, breaks off or says what it may not is a fault here
 * (451 4.7.1 with what happened), and its connection is closed; what follows from that is decided
 * elsewhere. Everything suspends.
 */
#ifndef SERVE_MILTER_LINK_H
#define SERVE_MILTER_LINK_H

#include "conf/conf.h"
#include "net/conn.h"
#include "proto/milter.h"

enum {
    MILTER_PATIENCE =
        10, /* so many times its time-out a filter may think, or drip edits, at one step */
};

struct milter_link {
    const struct conf_milter *conf;
    struct conn *conn; /* NULL: closed */
    struct milter engine;
    unsigned read_count;
    bool has_session;         /* it has heard of the client */
    bool has_message;         /* it has heard of a message that has not ended */
    bool is_session_accepted; /* it wants to hear no more of this client */
    bool is_message_accepted; /* nor of this message */
    bool has_failed;          /* since the message began */
};

/* Connects and agrees on what will be said. */
struct fault milter_link_open(struct milter_link *l);

/*
 * Sends what was said and gives the next event, unless no answer is due: then CONTINUE. end_ms is when
 * its patience ends whatever the filter says meanwhile (milter_link_end).
 */
struct fault milter_link_ask(struct milter_link *l, int64_t timeout_ms, int64_t end_ms,
                             struct milter_event *out);
int64_t milter_link_end(int64_t timeout_ms);

/* Lets the filter forget the message, if it has one. */
void milter_link_abort(struct milter_link *l);

/* Says goodbye and closes; a connection that has failed is just closed. */
void milter_link_close(struct milter_link *l);

#endif
