/* SPDX-License-Identifier: ISC */
/*
 * pop3_server.h - the server's side of POP3, without I/O
 *
 * RFC 1939, with CAPA and PIPELINING (2449), STLS (2595), SASL (5034), SYS and AUTH codes (3206).
 * Bytes go in, legal events and bytes to send come out. A session, driven from its task:
 *
 *     pop3_server_init(&s, &options);
 *     for (;;) {
 *         n = pop3_server_feed(&s, bytes, &event); drop n of the bytes;
 *         write pop3_server_output(&s) and pop3_server_sent(&s, n);
 *         MORE:          when nothing was consumed and nothing is to be sent, read bytes
 *         LOGIN, AUTH, AUTH_RESPONSE:  pop3_server_open, _refuse or _challenge
 *         STLS:          write the output, do the handshake, pop3_server_tls_started
 *         CONTENT:       pop3_server_content for each piece, writing in between, then _content_end;
 *                        or pop3_server_refuse
 *         UPDATE:        remove what is marked, pop3_server_updated
 *         CLOSE:         write the output and close
 *     }
 *
 * While an event waits for its answer, no further input is taken.
 */
#ifndef PROTO_POP3_SERVER_H
#define PROTO_POP3_SERVER_H

#include "base/buf.h"

#include <stdint.h>

/* One message of the maildrop; the table is the caller's and outlives the engine. */
struct pop3_message {
    int64_t size_bytes; /* with CRLF line ends */
    uint32_t uid;
    bool is_deleted; /* set by DELE, looked at in UPDATE */
};

struct pop3_server_options {
    bool has_stls;         /* a certificate is there */
    bool may_clear_auth;   /* passwords may be sent without TLS */
    struct str mechanisms; /* SASL names with spaces between, upper case; empty: none */
    unsigned error_max;    /* refused commands before the connection is closed */
};

enum pop3_event_kind {
    POP3_MORE,
    POP3_LOGIN,         /* user, password */
    POP3_AUTH,          /* mechanism; data when has_data */
    POP3_AUTH_RESPONSE, /* data */
    POP3_STLS,
    POP3_CONTENT, /* of message index */
    POP3_UPDATE,
    POP3_CLOSE
};

/* The slices are valid until the answer. */
struct pop3_event {
    enum pop3_event_kind kind;
    struct str user, password;
    struct str mechanism;
    struct str data; /* decoded */
    bool has_data;
    size_t index;
};

/* Why a login or a message is refused, as the client's program may know it. */
enum pop3_refusal {
    POP3_REFUSE_AUTH,      /* wrong user or password */
    POP3_REFUSE_IN_USE,    /* the maildrop is open elsewhere */
    POP3_REFUSE_TEMPORARY, /* trouble that will pass */
    POP3_REFUSE_PERMANENT  /* trouble that somebody must mend */
};

enum { POP3_COMMAND_MAX = 255, POP3_AUTH_LINE_MAX = 12288, POP3_OUTPUT_MAX = 256 * 1024 };
enum { POP3_CONTENT_MAX = 32 * 1024 }; /* bytes of one pop3_server_content */

enum pop3_state { POP3_AUTHORIZATION, POP3_TRANSACTION, POP3_CLOSING };

struct pop3_server {
    const struct pop3_server_options *options;
    enum pop3_state state;
    struct pop3_event *event;      /* of the feed that is going on */
    enum pop3_event_kind question; /* waits for its answer; POP3_MORE when none does */
    bool is_secure;
    bool is_in_auth;    /* the next line is a SASL response */
    bool is_discarding; /* the rest of a line that is too long */
    unsigned errors;
    uint32_t line_count; /* commands and SASL responses, good or bad */
    struct buf line;
    struct buf user;    /* of USER; empty when PASS may not follow */
    struct buf decoded; /* data of the event */
    struct buf out;
    struct pop3_message *message;
    size_t message_count;
    uint32_t uid_validity;
    size_t list_next; /* of a listing that goes on; message_count when none does */
    bool is_uid_list;
    size_t content_index;
    int64_t content_lines; /* body lines still to send (TOP), or -1 for all */
    bool is_in_body;
    char content_last[2]; /* the last two bytes of the content, oldest first */
};

/* Begins with the greeting in the output. Options are borrowed for the engine's life. */
void pop3_server_init(struct pop3_server *s, const struct pop3_server_options *options,
                      bool is_secure);
void pop3_server_free(struct pop3_server *s);

/* Takes bytes up to the first event; returns how many. Also goes on with long answers, so it is to
 * be called again, without bytes if need be, after output was sent. */
size_t pop3_server_feed(struct pop3_server *s, struct str in, struct pop3_event *out);

struct str pop3_server_output(const struct pop3_server *s);
void pop3_server_sent(struct pop3_server *s, size_t n);

/* Answer to LOGIN, AUTH, AUTH_RESPONSE: the client is in. Keeps the table. */
void pop3_server_open(struct pop3_server *s, struct pop3_message *message, size_t count,
                      uint32_t uid_validity);

/* Answer to AUTH and AUTH_RESPONSE: the mechanism asks or tells something; a response follows. */
void pop3_server_challenge(struct pop3_server *s, struct str data);

/* Answer to LOGIN, AUTH, AUTH_RESPONSE, and to CONTENT before its first piece. */
void pop3_server_refuse(struct pop3_server *s, enum pop3_refusal why);

/* TLS is up: what was said before is forgotten. */
void pop3_server_tls_started(struct pop3_server *s);

/*
 * Answer to CONTENT: the next piece of the message (CRLF line ends, at most POP3_CONTENT_MAX
 * bytes), dot-stuffed into the output, which is to be sent before the next piece. False when TOP
 * wants no more; the end is to be said in any case.
 */
bool pop3_server_content(struct pop3_server *s, struct str piece);
void pop3_server_content_end(struct pop3_server *s);

/* Answer to UPDATE: whether everything marked is gone. CLOSE follows. */
void pop3_server_updated(struct pop3_server *s, bool is_done);

#endif
