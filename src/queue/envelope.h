/* SPDX-License-Identifier: ISC */
/*
 * envelope.h - what the queue keeps of a message beside its content
 */
#ifndef QUEUE_ENVELOPE_H
#define QUEUE_ENVELOPE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"

#include <stdint.h>

enum {
    QUEUE_ID_TEXT_MAX = 14,
    ENVELOPE_RCPT_MAX = 10000, /* of one message, aliases expanded */
    ENVELOPE_HOLD_MAX = FAULT_TEXT_MAX,
    ENVELOPE_PACKED_MAX = 8 << 20 /* so many with the longest addresses and ORCPT */
};

/*
 * In notify beside the success that was asked for: an alias whose several addresses are recipients of
 * their own. Nobody takes mail for it; its sender is to be told that it was expanded (RFC 3461 section
 * 5.2.7). It stands among the recipients because what a delivery owes to the sender is durable
 * there, and done once, with the records that there are: all of a message's have a delivery of their
 * own, which ends when the notice about them has been accepted.
 */
enum { QUEUE_NOTIFY_EXPANDED = 128 };

/*
 * In notify, too: an address elsewhere that one of ours stands for, in mail of somebody else's. The next hop gets the sender
 * rewritten (check/srs.h), while the envelope keeps it.
 */
enum { QUEUE_NOTIFY_FORWARDED = 64 };

/* The domain of that delivery; no address has it. */
#define QUEUE_EXPANDED_DOMAIN STR("*expanded")

struct queue_rcpt {
    struct str address; /* "local@domain", canonical */
    struct str orcpt;   /* ORCPT as received, empty when none */
    uint8_t notify;     /* enum dsn_notify, 0 when absent, and the above */
};

struct queue_envelope {
    struct str sender;    /* "local@domain", empty for the null path */
    struct str envid;     /* ENVID as received, empty when none */
    struct str session;   /* id of the session that brought it, for people */
    struct str account;   /* who logged in, empty when nobody */
    uint8_t ret;          /* enum dsn_return */
    bool is_8bit;         /* BODY=8BITMIME was given */
    bool is_utf8;         /* SMTPUTF8 was given */
    bool is_tls_required; /* REQUIRETLS was given (RFC 8689) */
    bool is_tls_optional; /* the message says TLS-Required: No, and REQUIRETLS was not given */
    int64_t arrival_ms;   /* real time */
    struct str hold;      /* why it is held from the beginning; empty: it is not */
    struct queue_rcpt *rcpt;
    size_t rcpt_count;
};

/* Bytes that envelope_pack appends at most. */
size_t envelope_packed_max(const struct queue_envelope *e);
void envelope_pack(struct buf *out, const struct queue_envelope *e);

/* The inverse; everything is copied to the arena, for which 16 MiB suffice. False when the bytes
 * are no envelope, or larger than one can be. */
bool envelope_unpack(struct arena *arena, struct str bytes, struct queue_envelope *out);

/* Bytes of arena that envelope_copy takes. */
size_t envelope_room(const struct queue_envelope *e);

/* A copy of which every part lives in the arena. */
struct queue_envelope envelope_copy(struct arena *arena, const struct queue_envelope *e);

/* The domain of "local@domain"; empty when there is none ("Postmaster"). */
struct str envelope_domain(struct str address);

/* The domain of the delivery that a recipient belongs to. */
struct str envelope_rcpt_domain(const struct queue_rcpt *r);

/* A message's id as people see it: 13 characters of 0-9 and A-Z without I, L, O, U. */
struct str queue_id_text(uint64_t id, char text[QUEUE_ID_TEXT_MAX]);
bool queue_id_parse(struct str text, uint64_t *id);

#endif
