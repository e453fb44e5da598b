/* SPDX-License-Identifier: ISC */
/*
 * lmtp_session.h - one connection of a mail server that delivers into the mailboxes (RFC 2033)
 */
#ifndef SERVE_LMTP_SESSION_H
#define SERVE_LMTP_SESSION_H

#include "serve/server.h"

/* Serves the stream to its end and closes it. arg is the struct service. For acceptor_add. */
void lmtp_session_serve(struct conn *c, void *arg);

#endif
