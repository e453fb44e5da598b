/* SPDX-License-Identifier: ISC */
/*
 * smtp_server.h - the server's side of SMTP, submission and LMTP, without any I/O
 * (RFC 5321, 6409, 2033; 1870, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 8689, 9422)
 *
 * Bytes go in with smtp_server_feed, legal events come out; bytes to send are taken from
 * smtp_server_output. Wrong order, bad syntax, long lines and unknown verbs are answered inside and
 * never become events. Some events are questions: until smtp_server_answer has closed it, nothing
 * more is consumed. A session on top of it is one loop:
 *
 *     smtp_server_init(&s, &options, is_tls);
 *     smtp_server_greet(&s);
 *     for (;;) {
 *         flush();            // write smtp_server_output, then smtp_server_sent
 *         in = read_some();   // a deadline passed: smtp_server_close(&s, &f421)
 *         do {
 *             in = str_skip(in, smtp_server_feed(&s, in, &e));
 *             switch (e.kind) {
 *             case NONE:      all is consumed, or the output must be sent first: flush()
 *             case HELLO:     drop the envelope (a new greeting does), answer FINE
 *             case MAIL:      begin an envelope, answer with a verdict
 *             case RCPT:      add a recipient, answer with a verdict
 *             case DATA:      before the first octet (disk full? rate?): answer
 *             case CONTENT:   append e.content; no answer
 *             case MESSAGE:   accept, answer smtp_server_answers_wanted() times
 *             case AUTH, AUTH_RESPONSE:  smtp_server_challenge or smtp_server_answer
 *             case AUTH_ABORT:           the exchange is over; no answer
 *             case STARTTLS:  answer FINE; nothing unread: flush(), handshake,
 *                             smtp_server_tls_started(); else the next feed closes the session
 *             case RESET:     drop the envelope; no answer
 *             case QUIT, CLOSE:          flush(), smtp_server_free(), return
 *             }
 *         } while (in.n > 0 || e.kind != NONE);
 *     }
 *
 * The slices of an event live until the next feed. FINE without a reply code gives the usual text.
 *
 * Group ends (RFC 2920): the client must wait for the reply to the connection itself, EHLO, HELO,
 * LHLO, DATA, AUTH and each of its responses, and STARTTLS. Whoever is fed before smtp_server_sent
 * took that reply away gets 554 5.5.0 in its place and is closed, or waits with may_talk_early. NOOP, VRFY, EXPN and HELP may be
 * followed at once although RFC 2920 ends a group there: nothing depends on it. What follows QUIT
 * is ignored.
 */
#ifndef PROTO_SMTP_SERVER_H
#define PROTO_SMTP_SERVER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "mail/address.h"
#include "mail/dotline.h"
#include "mail/dsn.h"

enum smtp_kind { SMTP_MX = 0, SMTP_SUBMISSION, SMTP_LMTP };

/* What the server offers and bears. Read at each command: it may change between two feeds. */
struct smtp_server_options {
    enum smtp_kind kind;
    struct str hostname;
    struct str greeting;    /* behind the host name in the 220 line; may be empty */
    uint64_t size_limit;    /* octets of a message; 0: none */
    uint32_t rcpt_limit;    /* accepted recipients of a message; 0: none */
    uint32_t mail_limit;    /* transactions of a session, then 421; 0: none */
    uint32_t line_limit;    /* octets of a text line with CRLF; 0: none */
    uint32_t command_limit; /* octets of a command without extensions; 0: the 512 of RFC 5321 */
    uint32_t error_limit;   /* bad commands, then 421; 0: none */
    bool is_bad_rcpt_error; /* a recipient refused for good is one (somebody guesses addresses) */
    uint32_t auth_failure_limit; /* failed AUTH, then 421; 0: none */
    struct str auth_mechanisms;  /* "SCRAM-SHA-256 PLAIN LOGIN", upper case; empty: no AUTH */
    bool is_auth_in_clear;       /* AUTH without TLS too (a Unix socket, the loopback) */
    bool is_auth_required;       /* before MAIL */
    bool has_starttls;           /* offered while the session is in the clear */
    bool is_tls_required;        /* nothing but EHLO, STARTTLS, NOOP, HELP, QUIT before it */
    bool has_smtputf8, has_chunking, has_dsn, has_limits;
    bool has_requiretls;      /* offered under TLS alone */
    bool is_asked_of_unknown; /* a command that is none is a question */
    bool may_talk_early; /* what comes before a reply waits for it: a local program that says all at
                            once is no attacker */
};

enum smtp_event_kind {
    SMTP_EVENT_NONE = 0,
    SMTP_EVENT_HELLO,         /* question; FINE also drops an open transaction */
    SMTP_EVENT_MAIL,          /* question */
    SMTP_EVENT_RCPT,          /* question */
    SMTP_EVENT_DATA,          /* question: content is about to start (DATA, or the first BDAT) */
    SMTP_EVENT_CONTENT,       /* a slice of the message, dots un-stuffed, CRLF line ends */
    SMTP_EVENT_MESSAGE,       /* question: the message is complete */
    SMTP_EVENT_AUTH,          /* question; answered with smtp_server_challenge too */
    SMTP_EVENT_AUTH_RESPONSE, /* the same */
    SMTP_EVENT_AUTH_ABORT,    /* the client gave up or sent nonsense; the exchange is over */
    SMTP_EVENT_STARTTLS,      /* question */
    SMTP_EVENT_UNKNOWN,       /* question: what to say to a command that is none; FINE says 500 */
    SMTP_EVENT_RESET,         /* the transaction was dropped: RSET, or its content was refused */
    SMTP_EVENT_QUIT,          /* send the output and close */
    SMTP_EVENT_CLOSE,         /* send the output and close, the reason is given */
};

struct smtp_mail {
    struct address sender;
    uint64_t size;        /* announced octets; 0: unknown */
    bool is_8bit;         /* BODY=8BITMIME */
    bool is_utf8;         /* SMTPUTF8 */
    bool is_tls_required; /* REQUIRETLS (RFC 8689) */
    enum dsn_return ret;
    struct str envid; /* xtext as received; empty: absent */
    struct str auth;  /* AUTH= decoded, "<>" for unknown; empty: absent */
};

struct smtp_rcpt {
    struct address address;
    unsigned notify;  /* set of enum dsn_notify; 0: absent */
    struct str orcpt; /* "type;xtext" as received; empty: absent */
};

/* All slices are valid until the next feed. */
struct smtp_event {
    enum smtp_event_kind kind;
    union {
        struct {
            struct str name;  /* as said, printable, at most 255 octets */
            bool is_extended; /* EHLO or LHLO */
            bool is_valid;    /* the name is a domain or an address literal */
        } hello;
        struct smtp_mail mail;
        struct smtp_rcpt rcpt;
        struct {
            bool is_bdat;
            uint64_t chunk_size; /* of the first BDAT */
        } data;
        struct str content;
        struct str command; /* the whole line */
        struct {
            struct str mechanism; /* as in the options; empty in AUTH_RESPONSE */
            struct str response;  /* decoded */
            bool has_response;    /* AUTH may come without an initial response */
        } auth;
        struct fault reason; /* CLOSE */
    };
};

/* One mail transaction; a zeroed one is none. Reset in one place. */
struct smtp_transaction {
    struct arena arena;
    struct fault *refusal; /* decided, to be told at the end of the content */
    struct dotline_scanner scanner;
    uint64_t content_size;
    uint64_t chunk_left;
    uint64_t chunk_size;
    uint32_t rcpt_count; /* accepted */
    bool is_open;        /* MAIL was accepted */
    bool is_utf8;
    bool has_bdat;
    bool has_success; /* an answer to MESSAGE was FINE */
    bool is_chunk_last;
};

/* Read the facts; change nothing. */
struct smtp_server {
    const struct smtp_server_options *options;
    struct buf line; /* a command that has not come whole yet, or whose event is out */
    struct buf output;
    struct buf helo;
    struct arena scratch; /* what the event's slices point to */
    struct smtp_transaction transaction;
    struct str asked_helo;
    enum smtp_event_kind question;
    uint32_t answers_wanted;
    size_t reply_start;         /* in output: where the reply to the last group end begins */
    uint32_t transaction_count; /* MAIL accepted */
    uint32_t message_count;     /* messages accepted (LMTP: for at least one recipient) */
    uint32_t line_count;        /* commands and responses to AUTH, good or bad */
    uint32_t error_count, auth_failure_count;
    uint8_t phase;
    bool is_line_used;                       /* line belongs to an event given out */
    bool is_auth_line, is_drain_of_response; /* what the line being drained was */
    bool is_drain_at_cr;                     /* its last octet so far */
    bool is_waiting;                         /* the client must not speak before it has the reply */
    bool is_close_due;                       /* an answer ended the session; CLOSE comes next */
    bool is_asked_extended, is_asked_utf8;   /* facts that become true when the answer is FINE */
    bool is_extended, is_tls, is_authenticated;
};

/* Starts a session; nothing is sent yet. Keeps the options. is_tls: implicit TLS is up already. */
void smtp_server_init(struct smtp_server *s, const struct smtp_server_options *options,
                      bool is_tls);

/* Gives all memory back. */
void smtp_server_free(struct smtp_server *s);

/* Puts the 220 line into the output. */
void smtp_server_greet(struct smtp_server *s);

/*
 * Consumes octets from the front of in, up to the first event. Returns their number. With
 * SMTP_EVENT_NONE and octets left, the output has to be sent first. An open question consumes
 * nothing.
 */
size_t smtp_server_feed(struct smtp_server *s, struct str in, struct smtp_event *out);

/*
 * Answers the open question. FINE without a reply code gives the standard reply; code, status and
 * text of the verdict are used where present (a private text is not), the status' class follows the
 * code. 421 and 521 end the session: the next feed, also of nothing, gives CLOSE.
 */
void smtp_server_answer(struct smtp_server *s, const struct fault *verdict);

/* How many answers the open question wants: 0 none is open, more than 1 only LMTP's MESSAGE. */
size_t smtp_server_answers_wanted(const struct smtp_server *s);

/* Answers AUTH or AUTH_RESPONSE with a challenge (334), at most 9000 octets before base64. */
void smtp_server_challenge(struct smtp_server *s, struct str challenge);

/* The handshake after an accepted STARTTLS is done: forgets all the client said before. */
void smtp_server_tls_started(struct smtp_server *s);

/*
 * Ends the session from outside (shutdown, time-out, refused connection): the fault's reply goes
 * into the output, what is fed from now on is ignored, no event follows.
 */
void smtp_server_close(struct smtp_server *s, const struct fault *reason);

/* True after QUIT or CLOSE or smtp_server_close. */
bool smtp_server_is_ended(const struct smtp_server *s);

/* Octets to send; valid until the next call. */
struct str smtp_server_output(const struct smtp_server *s);

/* The first n octets of the output have been sent. */
void smtp_server_sent(struct smtp_server *s, size_t n);

/* What the client called itself; empty before the first accepted HELO, EHLO or LHLO. */
struct str smtp_server_helo(const struct smtp_server *s);

#endif
