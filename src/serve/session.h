/* SPDX-License-Identifier: ISC */
/*
 * session.h - the state of one SMTP session, shared by the files that handle its events
 */
#ifndef SERVE_SESSION_H
#define SERVE_SESSION_H

#include "proto/smtp_server.h"
#include "serve/auth.h"
#include "serve/intake.h"
#include "serve/visitor.h"

/* What the recipients and the message itself are, from MAIL to the end of the transaction. */
struct transaction {
    struct arena arena;
    struct queue_envelope envelope;
    size_t rcpt_size;         /* room in envelope.rcpt */
    struct address only_rcpt; /* for the trace field, when asked_rcpts is 1 */
    size_t asked_rcpts;       /* RCPT commands accepted */
    uint64_t announced_size;
    uint64_t id;
    bool is_8bit;
    struct intake intake;
};

struct session {
    struct visitor visitor;
    struct smtp_server engine;
    struct smtp_server_options options;
    struct transaction transaction;
    struct auth *auth;
    bool is_auth_done;  /* the last server message is out; its answer ends the login */
    struct str account; /* logged in; in account_text */
    char account_text[320];
};

/* session_mail.c: what we do about each event. */
struct fault session_mail(struct session *s, const struct smtp_mail *mail);
struct fault session_rcpt(struct session *s, const struct smtp_rcpt *rcpt);
struct fault session_data(struct session *s);
struct fault session_message(struct session *s);

/* Drops the transaction with everything it holds. */
void session_forget(struct session *s);

#endif
