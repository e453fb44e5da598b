/* SPDX-License-Identifier: ISC */
/*
 * smtp_engine.h - what the files of the SMTP server engine share; nobody else includes it
 *
 * smtp_server.c keeps the session and cuts lines, smtp_verbs.c has the commands, smtp_auth.c the
 * AUTH exchange, smtp_content.c DATA and BDAT.
 */
#ifndef PROTO_SMTP_ENGINE_H
#define PROTO_SMTP_ENGINE_H

#include "proto/smtp_server.h"

enum smtp_phase {
    SMTP_PHASE_COMMAND = 0,
    SMTP_PHASE_DRAIN, /* an over-long line up to its end */
    SMTP_PHASE_AUTH,  /* the next line is a response */
    SMTP_PHASE_DATA,
    SMTP_PHASE_BDAT,
    SMTP_PHASE_TLS, /* the handshake is the caller's; no octet may come */
    SMTP_PHASE_ENDED,
};

enum { SMTP_COMMAND_MAX = 512, SMTP_AUTH_LINE_MAX = 12288 };

/* Puts a reply into the output; say spares the usual replies the making of a fault. */
void smtp_engine_reply(struct smtp_server *s, const struct fault *f);
void smtp_engine_say(struct smtp_server *s, unsigned code, struct fault_status status,
                     struct str text);

/* The client did something wrong: replies and counts; too many end the session with 421. */
void smtp_engine_error(struct smtp_server *s, struct smtp_event *out, const struct fault *f);

/* Opens a question. */
void smtp_engine_ask(struct smtp_server *s, struct smtp_event *out, enum smtp_event_kind kind);

/* Replies and ends the session with a CLOSE event. */
void smtp_engine_close(struct smtp_server *s, struct smtp_event *out, const struct fault *reason);

/* Ends the session with a CLOSE event; the reply has been written. */
void smtp_engine_end(struct smtp_server *s, struct smtp_event *out, const struct fault *reason);

/* The one reset of the transaction. */
void smtp_engine_reset(struct smtp_server *s);

/* Keeps a refusal with the transaction until it can be told. */
void smtp_engine_refuse(struct smtp_server *s, const struct fault *f);

/* From now on the client must wait for the reply that is about to be written. */
void smtp_engine_end_group(struct smtp_server *s);

/* True when AUTH may be used now. */
bool smtp_engine_offers_auth(const struct smtp_server *s);

/* smtp_verbs.c: runs one command line without its CRLF. */
void smtp_verbs_run(struct smtp_server *s, struct str line, struct smtp_event *out);

/* smtp_verbs.c: octets a command line may have with its CRLF. */
size_t smtp_verbs_line_limit(const struct smtp_server *s, struct str line);

/* smtp_verbs.c: the answer to HELLO was yes. */
void smtp_verbs_greeted(struct smtp_server *s);

/* smtp_auth.c: the AUTH command and the lines that answer challenges. */
void smtp_auth_start(struct smtp_server *s, struct str arguments, struct smtp_event *out);
void smtp_auth_response(struct smtp_server *s, struct str line, struct smtp_event *out);

/* smtp_auth.c: counts a failed exchange. True when it was one too many. */
bool smtp_auth_failed(struct smtp_server *s);

/* smtp_content.c: DATA, BDAT and the octets behind them. */
void smtp_content_data(struct smtp_server *s, struct smtp_event *out);
void smtp_content_bdat(struct smtp_server *s, struct str arguments, struct smtp_event *out);
size_t smtp_content_feed(struct smtp_server *s, struct str in, struct smtp_event *out);

/* smtp_content.c: the announced octets of a BDAT chunk are all there. */
void smtp_content_finish_chunk(struct smtp_server *s, struct smtp_event *out);

/* smtp_content.c: after the answer to SMTP_EVENT_DATA and the last one to SMTP_EVENT_MESSAGE. */
void smtp_content_start(struct smtp_server *s);
void smtp_content_done(struct smtp_server *s);

#endif
