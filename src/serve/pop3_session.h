/* SPDX-License-Identifier: ISC */
/*
 * pop3_session.h - one connection to the POP3 and POP3S listeners (RFC 1939)
 */
#ifndef SERVE_POP3_SESSION_H
#define SERVE_POP3_SESSION_H

#include "serve/server.h"

/* Serves the stream to its end and closes it. arg is the struct service. For acceptor_add. */
void pop3_session_serve(struct conn *c, void *arg);

/* The refusal of a client for which there is no room, told as an event. arg is the struct service. For
 * listen. */
struct str pop3_session_turn_away(const struct endpoint *peer, void *arg);

#endif
