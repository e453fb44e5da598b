/* SPDX-License-Identifier: ISC */
/*
 * smtp_client.h - the client's side of SMTP and LMTP, without I/O
 *
 * Bytes from the server go in, events and bytes to send come out. Several transactions may be under
 * way on a connection that pipelines (RFC 2920): the commands of the next one follow the body of
 * the last one in the same flight. A dialogue, driven from send/deliver:
 *
 *     smtp_client_init(&c, &options);
 *     for (;;) {
 *         write smtp_client_output(&c); smtp_client_sent(&c, n);
 *         read bytes; n = smtp_client_feed(&c, bytes, &event); consume n;
 *         READY:   smtp_client_starttls, _auth or _begin
 *         BODY:    write the body of event.mail (dot-stuffed), then smtp_client_body_sent
 *         RCPT:    event.index, event.fault       DONE: event.mail has ended, event.fault
 *     }
 */
#ifndef PROTO_SMTP_CLIENT_H
#define PROTO_SMTP_CLIENT_H

#include "base/buf.h"
#include "base/fault.h"

#include <stdint.h>

enum smtp_capability {
    SMTP_HAS_PIPELINING = 1 << 0,
    SMTP_HAS_SIZE = 1 << 1,
    SMTP_HAS_8BITMIME = 1 << 2,
    SMTP_HAS_SMTPUTF8 = 1 << 3,
    SMTP_HAS_CHUNKING = 1 << 4,
    SMTP_HAS_DSN = 1 << 5,
    SMTP_HAS_STARTTLS = 1 << 6,
    SMTP_HAS_AUTH_PLAIN = 1 << 7,
    SMTP_HAS_AUTH_LOGIN = 1 << 8,
    SMTP_HAS_AUTH_SCRAM_SHA_256 = 1 << 9,
    SMTP_HAS_ENHANCED = 1 << 10,
    SMTP_HAS_REQUIRETLS = 1 << 11
};

struct smtp_client_options {
    bool is_lmtp;
    bool may_chunk;        /* BDAT instead of DATA where the server has CHUNKING */
    struct str hello_name; /* borrowed for the connection's life */
};

struct smtp_client_rcpt {
    struct str path;   /* local@domain as it goes between the angle brackets */
    struct str notify; /* NOTIFY value as received, empty when none */
    struct str orcpt;  /* ORCPT value as received, empty when none */
};

/* One message for a set of recipients; the engine keeps a pointer until DONE. */
struct smtp_client_mail {
    struct str sender; /* between the angle brackets; empty for the null path */
    struct str ret;    /* "FULL", "HDRS" or empty */
    struct str envid;  /* xtext as received, or empty */
    const struct smtp_client_rcpt *rcpt;
    size_t rcpt_count;
    uint64_t size_bytes;
    bool is_8bit;
    bool is_utf8;
    bool is_tls_required; /* REQUIRETLS, where the server has it (RFC 8689) */
    /* The engine's own: */
    size_t accepted_count;   /* recipients the server took */
    size_t final_count;      /* LMTP: answers after the body so far */
    struct fault mail_fault; /* refusal of MAIL or DATA */
    bool is_failed;          /* no body will be sent */
    uint8_t *is_accepted;    /* one byte a recipient, given by the caller, zeroed */
};

enum smtp_client_event_kind {
    SMTP_CLIENT_MORE,      /* feed more bytes */
    SMTP_CLIENT_READY,     /* greeted, hello answered: capabilities are known */
    SMTP_CLIENT_REFUSED,   /* greeting or hello refused: close; fault */
    SMTP_CLIENT_TLS,       /* answer to STARTTLS; FINE: do the handshake, smtp_client_tls_started */
    SMTP_CLIENT_CHALLENGE, /* AUTH: data to be answered with smtp_client_auth_response */
    SMTP_CLIENT_AUTH,      /* AUTH has ended; fault */
    SMTP_CLIENT_RCPT,      /* recipient index of mail: fault of RCPT, or its LMTP result */
    SMTP_CLIENT_BODY,      /* write the body of mail now, then smtp_client_body_sent */
    SMTP_CLIENT_DONE,      /* mail has ended; fault holds for all accepted recipients (SMTP) */
    SMTP_CLIENT_BROKEN     /* the server broke the protocol or said 421: close; fault */
};

struct smtp_client_event {
    enum smtp_client_event_kind kind;
    struct smtp_client_mail *mail;
    size_t index;
    struct fault fault;
    struct str data; /* CHALLENGE: base64 text, valid until the next feed */
};

enum { SMTP_CLIENT_PIPELINE_MAX = 2, SMTP_CLIENT_DIALOGUE_MAX = 3000, SMTP_CLIENT_NAME_MAX = 256 };

/* What the next reply will be for. */
struct smtp_client_expect {
    uint8_t command;
    uint32_t index;
    struct smtp_client_mail *mail;
};

struct smtp_client {
    const struct smtp_client_options *options;
    unsigned capabilities; /* SMTP_HAS_*, of the last hello */
    uint64_t size_limit;   /* 0: not said */
    uint32_t rcpt_max;     /* LIMITS RCPTMAX, else 0 */
    uint32_t mail_max;     /* LIMITS MAILMAX, else 0 */
    struct buf out;
    struct buf line;     /* an incomplete line */
    struct buf reply;    /* text lines of the reply so far, joined with a space */
    struct buf dialogue; /* what was said, for people; secrets left out */
    struct buf challenge;
    unsigned reply_code; /* of the lines so far, 0 at the start */
    size_t reply_lines;
    struct smtp_client_expect *expect; /* ring of outstanding commands */
    size_t expect_first, expect_count, expect_size;
    size_t mails_under_way;
    /* An event that needs no further reply: BODY or DONE, else MORE. */
    enum smtp_client_event_kind due;
    struct smtp_client_mail *due_mail;
    bool is_broken;
    char
        server_name[SMTP_CLIENT_NAME_MAX]; /* as it says in its answer to the hello; may be empty */
};

/* Options are borrowed for the engine's life. */
void smtp_client_init(struct smtp_client *c, const struct smtp_client_options *options);
void smtp_client_free(struct smtp_client *c);

/* Takes bytes from the server up to the end of one reply; returns how many. */
size_t smtp_client_feed(struct smtp_client *c, struct str in, struct smtp_client_event *out);

/* Bytes to send; smtp_client_sent drops the first n of them. */
struct str smtp_client_output(const struct smtp_client *c);
void smtp_client_sent(struct smtp_client *c, size_t n);

/* Asks for TLS; answered by SMTP_CLIENT_TLS. After the handshake everything learned is forgotten
 * and the hello is said again (RFC 3207 section 4.2): READY follows. */
void smtp_client_starttls(struct smtp_client *c);
void smtp_client_tls_started(struct smtp_client *c);

/* Begins AUTH with a mechanism and, unless it is NULL, an initial response in base64. */
void smtp_client_auth(struct smtp_client *c, const char *mechanism, const struct str *initial);
void smtp_client_auth_response(struct smtp_client *c, struct str base64);

/* True when a transaction may begin now: none is under way, or the server pipelines and the last
 * one's body has been sent. */
bool smtp_client_may_begin(const struct smtp_client *c);

/*
 * Says MAIL and, when the server pipelines, all of RCPT and DATA. With CHUNKING (and may_chunk) the
 * BODY event comes at once, from the next feed with no bytes.
 */
void smtp_client_begin(struct smtp_client *c, struct smtp_client_mail *mail);

/* True when mail's body goes as one BDAT chunk, as is; else dot-stuffed with the final dot. */
bool smtp_client_is_chunked(const struct smtp_client *c);

/* The body has been written to the stream behind smtp_client_output. */
void smtp_client_body_sent(struct smtp_client *c, struct smtp_client_mail *mail);

void smtp_client_quit(struct smtp_client *c);

/* Replies that are still to come. */
size_t smtp_client_outstanding(const struct smtp_client *c);

/* The step whose reply is awaited; each has its own time-out (RFC 5321 section 4.5.3.2). */
enum smtp_client_step {
    SMTP_CLIENT_STEP_NONE,
    SMTP_CLIENT_STEP_GREETING,
    SMTP_CLIENT_STEP_HELLO, /* EHLO, STARTTLS, AUTH, RSET, QUIT */
    SMTP_CLIENT_STEP_MAIL,
    SMTP_CLIENT_STEP_RCPT,
    SMTP_CLIENT_STEP_DATA,
    SMTP_CLIENT_STEP_END
};
enum smtp_client_step smtp_client_step(const struct smtp_client *c);

/* The name of that step ("greeting", "MAIL", "end of data"), for people. */
const char *smtp_client_step_name(const struct smtp_client *c);

#endif
