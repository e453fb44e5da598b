/* SPDX-License-Identifier: ISC */
/*
 * session.h - the state of one SMTP session, shared by the files that handle its events
 */
#ifndef SERVE_SESSION_H
#define SERVE_SESSION_H

#include "base/map.h"
#include "proto/smtp_server.h"
#include "serve/auth.h"
#include "serve/gate.h"
#include "serve/inspection.h"
#include "serve/intake.h"
#include "serve/report_intake.h"
#include "serve/visitor.h"
#include "sign/signing.h"

struct session;
struct filtering;

/* What we do about each event: a mail server's answers, or a mailbox server's. */
struct session_handlers {
    struct fault (*mail)(struct session *s, const struct smtp_mail *mail);
    struct fault (*rcpt)(struct session *s, const struct smtp_rcpt *rcpt);
    struct fault (*data)(struct session *s);
    bool (*message)(struct session *s); /* gives every answer; true when one is FINE */
};

/* A recipient that has a mailbox here (LMTP). */
struct mailbox_rcpt {
    struct str account;
    struct address address; /* as the client said it */
    int64_t quota_bytes;    /* 0: none */
};

/* What the recipients and the message itself are, from MAIL to the end of the transaction. */
struct transaction {
    struct arena arena;
    struct queue_envelope envelope;
    size_t rcpt_size;         /* room in envelope.rcpt */
    size_t alias_count;       /* of envelope.rcpt: QUEUE_NOTIFY_EXPANDED */
    struct map rcpt_seen;     /* envelope.rcpt by address; made with the second recipient */
    struct address only_rcpt; /* for the trace field, when asked_rcpts is 1 */
    size_t asked_rcpts;       /* RCPT commands accepted */
    uint64_t announced_size;
    struct directory_recipient
        sole; /* the only mailbox a stranger's mail is for, without its account; else empty */
    uint64_t id;
    size_t trace_size;            /* of our field on top of the content */
    struct mailbox_rcpt *mailbox; /* LMTP, instead of the envelope's */
    size_t mailbox_count, mailbox_size;
    struct intake intake;
    struct inspection *inspection; /* or NULL */
    struct signing *signing;       /* or NULL */
    bool is_discarded;             /* a filter has taken the message away */
    bool is_report;                /* a recipient is the address for reports */
    struct report_intake *report;  /* or NULL */
    size_t unread_header;          /* octets in front of the body that it has not been given */
};

struct session {
    const struct session_handlers *handlers;
    struct visitor visitor;
    struct smtp_server engine;
    struct smtp_server_options options;
    struct transaction transaction;
    struct auth *auth;
    struct gate *gate;           /* NULL: nobody from outside can be there */
    int64_t hold_ms;             /* that replies are held up */
    struct filtering *filtering; /* NULL: no filter is asked */
    char auth_mechanism[32];     /* of the login */
    bool is_auth_done;           /* the last server message is out; its answer ends the login */
    struct str account;          /* logged in; in account_text */
    char account_text[320];
};

/* session_mail.c: into the queue. */
extern const struct session_handlers session_mail_handlers;

/* Serves the stream to its end and closes it. */
void session_serve(struct service *service, struct conn *c,
                   const struct session_handlers *handlers);

/* Appends the trace field for the message at hand (RFC 5321 section 4.4); the recipient may be
 * NULL. */
void session_append_received(const struct session *s, const struct address *recipient,
                             struct buf *out);

/* 554 5.4.6 when the message at hand has been round too often (RFC 5321 section 6.3). */
struct fault session_check_loop(const struct transaction *t);

/* Begins the content: the trace field goes in, and whoever has a say in the rest is set. */
void session_begin_content(struct session *s);

/* What came of the message is settled: the verdict about it is counted for the report to its author's domain. A message
 * that was put off is not, it comes again. */
void session_report_inspection(const struct session *s, const struct fault *outcome);

/* Signs what has been taken in, as far as mail of this session is signed. For what was edited after
 * it had been read. */
struct fault session_sign(struct session *s, struct intake *i, struct buf *top);

/* Looks the client's name up, once in a session. */
void session_ask_client_name(struct session *s);

bool session_is_submission(const struct session *s);

/* An event about this session's message, with what every one says. */
void session_begin_event(const struct session *s, struct event *e, const char *name);

/* session_rcpt.c: what is said to RCPT. */
struct fault session_on_rcpt(struct session *s, const struct smtp_rcpt *rcpt);

/* Whether there is room for the message of that size, where it is a stranger's and for one mailbox alone: 452 4.2.2, or
 * 552 5.2.2 when there never will be. */
struct fault session_check_room(const struct session *s, uint64_t size_bytes);

/* Recipients that a filter adds, or with is_trial would add, and takes away. */
struct fault session_add_rcpt(struct session *s, const struct smtp_rcpt *rcpt, bool is_trial);
struct fault session_delete_rcpt(struct session *s, const struct address *a);

/* session_milter.c: the mail filters of the listener. Each gives the reply that refuses. */
struct fault session_open_filters(struct session *s); /* 421 or 554 */
struct fault session_filter_helo(struct session *s, struct str name);
struct fault session_filter_mail(struct session *s, const struct smtp_mail *mail);
struct fault session_filter_rcpt(struct session *s, const struct smtp_rcpt *rcpt);
struct fault session_filter_data(struct session *s);
struct fault session_filter_unknown(struct session *s, struct str command);

/* Tells them of a recipient that was refused before. */
void session_filter_refused_rcpt(struct session *s, const struct smtp_rcpt *rcpt,
                                 const struct fault *f);

/* Shows them the content that has been taken in, and makes the edits. An intake's edit. */
struct fault session_filter_content(void *arg, struct intake *i, struct buf *top);

/* The message has ended; the session has. */
void session_end_filtered_message(struct session *s);
void session_close_filters(struct session *s);

/* session_gate.c: who is let in, and how fast. */

/* Begins with the client that is there; FINE, or the reply that ends it. */
struct fault session_open_gate(struct session *s);

struct fault session_greet_gate(struct session *s, const struct smtp_event *e);
struct fault session_pass_mail(struct session *s, struct str sender);
struct fault session_pass_rcpt(struct session *s, struct str rcpt);
void session_count_bytes(struct session *s, int64_t bytes);

/* Remembers that something was refused for good, for which the client will wait. */
void session_note_refusal(struct session *s, const struct fault *f);

/* Holds the reply up when the client has been refused too often. The fault ends the session. */
struct fault session_hold_up(struct session *s);

/* Drops the transaction with everything it holds. */
void session_forget(struct session *s);

#endif
