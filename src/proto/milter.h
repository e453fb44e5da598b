/* SPDX-License-Identifier: ISC */
/*
 * milter.h - the mail server's side of the milter protocol, versions 2 to 6, without any I/O
 *
 * Packets to the filter are put into the output; its octets go in with milter_feed, legal events come
 * out. What a filter may say depends on what it was asked and on what was agreed; anything else is
 * MILTER_BROKEN, after which nothing more is read. A session on top of it:
 *
 *     milter_begin(&m);            // the offer; READY answers it
 *     milter_connect(&m, ...);     // then helo, mail, rcpt, data, fields, end of header, body, end
 *     while (milter_is_waiting(&m)) {
 *         write milter_output, milter_sent;
 *         read, milter_feed: an edit or PROGRESS leaves it waiting, every other event ends that
 *     }
 *
 * What the filter does not want to hear is not said, and what it does not answer is not waited for.
 * Macros go in front of what they belong to: those that the filter named for the stage, or else the usual ones.
 */
#ifndef PROTO_MILTER_H
#define PROTO_MILTER_H

#include "base/buf.h"
#include "base/fault.h"

enum {
    MILTER_VERSION = 6,
    MILTER_CHUNK_MAX = 65535,             /* octets of body in a packet */
    MILTER_PACKET_MAX = (64 << 10) + 512, /* octets that a filter may say at a time */
    MILTER_VALUE_MAX = 64 << 10,          /* octets of a field's value that are sent; more is cut */
    MILTER_EDITS_MAX = 1000,              /* edits of one message beside the pieces of a body */
    MILTER_WISHES_MAX = 2048, /* octets of macro names that a filter asks for in a stage */
};

/* What a filter may do (SMFIF_*). */
enum milter_action {
    MILTER_MAY_ADD_HEADERS = 1 << 0,
    MILTER_MAY_CHANGE_BODY = 1 << 1,
    MILTER_MAY_ADD_RCPT = 1 << 2,
    MILTER_MAY_DELETE_RCPT = 1 << 3,
    MILTER_MAY_CHANGE_HEADERS = 1 << 4,
    MILTER_MAY_QUARANTINE = 1 << 5,
    MILTER_MAY_CHANGE_SENDER = 1 << 6,
    MILTER_MAY_ADD_RCPT_ARGS = 1 << 7,
    MILTER_MAY_NAME_MACROS = 1 << 8,
    MILTER_ACTIONS = (1 << 9) - 1,
};

/* What it does not want, does not answer, or can bear (SMFIP_*). */
enum milter_step {
    MILTER_NO_CONNECT = 1 << 0,
    MILTER_NO_HELO = 1 << 1,
    MILTER_NO_MAIL = 1 << 2,
    MILTER_NO_RCPT = 1 << 3,
    MILTER_NO_BODY = 1 << 4,
    MILTER_NO_HEADERS = 1 << 5,
    MILTER_NO_END_OF_HEADER = 1 << 6,
    MILTER_MUTE_HEADER = 1 << 7,
    MILTER_NO_UNKNOWN = 1 << 8,
    MILTER_NO_DATA = 1 << 9,
    MILTER_CAN_SKIP = 1 << 10,
    MILTER_WANTS_REFUSED = 1 << 11, /* recipients that we refuse */
    MILTER_MUTE_CONNECT = 1 << 12,
    MILTER_MUTE_HELO = 1 << 13,
    MILTER_MUTE_MAIL = 1 << 14,
    MILTER_MUTE_RCPT = 1 << 15,
    MILTER_MUTE_DATA = 1 << 16,
    MILTER_MUTE_UNKNOWN = 1 << 17,
    MILTER_MUTE_END_OF_HEADER = 1 << 18,
    MILTER_MUTE_BODY = 1 << 19,
    MILTER_LEADING_SPACE = 1 << 20, /* values keep the space behind the colon */
    MILTER_STEPS = (1 << 21) - 1,
    MILTER_LIBRARY_STEPS = 7 << 28, /* between libmilter and its user */
};

/* Where macros belong to, in the order of the protocol (SMFIM_*). */
enum milter_stage {
    MILTER_CONNECT,
    MILTER_HELO,
    MILTER_MAIL,
    MILTER_RCPT,
    MILTER_DATA,
    MILTER_END,
    MILTER_END_OF_HEADER,
    MILTER_STAGES
};

struct milter_macro {
    const char *name; /* "i", "{auth_type}" */
    struct str value; /* empty: not defined */
    unsigned
        stages; /* set of 1 << enum milter_stage: where it is sent to a filter that named none */
};

/* All that are known. */
struct milter_macros {
    const struct milter_macro *item;
    size_t count;
};

enum milter_event_kind {
    MILTER_MORE, /* all is consumed */
    MILTER_READY,
    /* Verdicts: they answer what was asked. */
    MILTER_CONTINUE,
    MILTER_ACCEPT,
    MILTER_REJECT,
    MILTER_TEMPFAIL,
    MILTER_DISCARD,
    MILTER_SKIP,     /* no more body, please */
    MILTER_REPLY,    /* fault is the reply in the filter's words */
    MILTER_SHUTDOWN, /* 421 */
    /* It is still thinking. */
    MILTER_PROGRESS,
    /* Edits, after the end of the message only. */
    MILTER_ADD_RCPT,     /* name: the path; value: its parameters */
    MILTER_DELETE_RCPT,  /* name: the path */
    MILTER_SET_SENDER,   /* name: the path; value: its parameters */
    MILTER_BODY,         /* value: the next piece of the body that takes the place of ours */
    MILTER_ADD_FIELD,    /* name and value, behind the others */
    MILTER_INSERT_FIELD, /* in front of the field with that index, from 0 */
    MILTER_CHANGE_FIELD, /* index among those of that name, from 1; an empty value takes it away */
    MILTER_QUARANTINE,   /* value: why */
    /* It said what it may not. */
    MILTER_BROKEN
};

/* The slices live until the next call. */
struct milter_event {
    enum milter_event_kind kind;
    uint32_t index;
    struct str name, value;
    struct fault fault; /* of the four verdicts that refuse, and of BROKEN */
};

/* Read the facts; change nothing. */
struct milter {
    struct buf output, input;
    uint32_t version, actions, steps; /* agreed */
    uint32_t edit_count;              /* of this message */
    char asked;                       /* the command whose answer is due; 0: none */
    bool is_ready, is_broken;
    bool is_skipping;                 /* the rest of the body is not wanted */
    bool is_consumed;                 /* the packet in the input belongs to an event given out */
    bool has_wishes[MILTER_STAGES];   /* the filter named the macros of the stage */
    struct buf wishes[MILTER_STAGES]; /* their names, blanks between them */
};

/* Begins a connection: puts the offer into the output. */
void milter_begin(struct milter *m);
void milter_free(struct milter *m);

/* Whether an answer is due. */
bool milter_is_waiting(const struct milter *m);

/* Family '4', '6', 'L' (a path) or 'U' (unknown, no address). */
void milter_connect(struct milter *m, struct str name, char family, uint16_t port,
                    struct str address, struct milter_macros macros);
void milter_helo(struct milter *m, struct str name, struct milter_macros macros);

/* MAIL and RCPT: the path in its brackets, then the parameters, each a string of its own. */
void milter_mail(struct milter *m, const struct str *words, size_t count,
                 struct milter_macros macros);
void milter_rcpt(struct milter *m, const struct str *words, size_t count,
                 struct milter_macros macros);
void milter_data(struct milter *m, struct milter_macros macros);

/* A command that is none, as a line. */
void milter_unknown(struct milter *m, struct str command);

/* A field; the value as in the message, from behind the colon, without its last CRLF. */
void milter_field(struct milter *m, struct str name, struct str value);
void milter_end_of_header(struct milter *m, struct milter_macros macros);

/* At most MILTER_CHUNK_MAX octets of the body. */
void milter_body(struct milter *m, struct str chunk);

/* Whether the filter wants to hear of the step, or of more body. */
bool milter_wants(const struct milter *m, enum milter_step step);
bool milter_wants_body(const struct milter *m);

/* The end of the message: from now until the verdict there may be edits. */
void milter_end(struct milter *m, struct milter_macros macros);

/* Forgets the message; the connection stays. Nobody answers. */
void milter_abort(struct milter *m);

/* Ends the connection. */
void milter_quit(struct milter *m);

struct str milter_output(const struct milter *m);
void milter_sent(struct milter *m, size_t n);

/* Consumes octets from the front of in up to the first event; returns their number. */
size_t milter_feed(struct milter *m, struct str in, struct milter_event *out);

#endif
