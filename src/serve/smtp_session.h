/* SPDX-License-Identifier: ISC */
/*
 * smtp_session.h - one connection to the MX, submission and submissions listeners
 */
#ifndef SERVE_SMTP_SESSION_H
#define SERVE_SMTP_SESSION_H

#include "serve/server.h"

/* Serves the stream to its end and closes it. arg is the struct service. For acceptor_add. */
void smtp_session_serve(struct conn *c, void *arg);

/* The refusal of a client for which there is no room, told as an event. arg is the struct service. For
 * listen; of LMTP, too. */
struct str smtp_session_turn_away(const struct endpoint *peer, void *arg);

#endif
