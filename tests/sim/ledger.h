/* SPDX-License-Identifier: ISC */
/*
 * ledger.h - who was promised what, who got what, and whether that fits together
 *
 * The peers write it; the server knows nothing of it. Each message has a number, which is in its
 * text and gives the text.
 */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LEDGER_MESSAGES_MOST = 512,
    LEDGER_RECIPIENTS_MOST = 12,
    LEDGER_ADDRESS_MAX = 48,
    LEDGER_DELIVERIES_MOST = 12,
    LEDGER_ATTEMPTS_KEPT = 10
};

/* What the client heard. */
enum promise { PROMISE_NONE, PROMISE_REFUSED, PROMISE_GIVEN, PROMISE_UNKNOWN };

/* A delivery that a peer took, or found in a mailbox. */
struct ledger_delivery {
    int64_t at_ns, heard_ns;
    bool is_certain; /* the server has surely heard that it was taken */
    bool is_sound;   /* the text is what was sent */
};

struct ledger_recipient {
    char address[LEDGER_ADDRESS_MAX];
    bool was_taken; /* by the server's answer to RCPT */
    bool is_local;
    struct ledger_delivery delivery[LEDGER_DELIVERIES_MOST];
    size_t deliveries;
    unsigned failures, delays;              /* notices that came to the sender */
    int64_t failure_made_ns, delay_made_ns; /* when the server made the first of each */
    int64_t
        attempt_ns[LEDGER_ATTEMPTS_KEPT]; /* by turns: when its server was last asked to take it */
    size_t attempts;
    unsigned refusals;  /* permanent, by its server */
    int64_t refused_ns; /* the last of them */
    bool is_doubtful;   /* the server went away soon after one: it may not know of it */
    unsigned takings;   /* by its server, whether or not its answer went out */
};

struct ledger_message {
    uint64_t number;
    char sender[LEDGER_ADDRESS_MAX]; /* empty: the null sender */
    struct ledger_recipient recipient[LEDGER_RECIPIENTS_MOST];
    size_t recipients;
    size_t body_bytes;
    enum promise promise;
    int64_t offered_ns, promised_ns;              /* MAIL was said; the last answer was heard */
    uint64_t offered_troubles, promised_troubles; /* that the disk had met by then */
    char id[32];                                  /* by the server's answer */
    struct letter *letter;                        /* of a stranger's mail; else NULL */
};

/* When a process ended, when the disk failed it last, and how often it had failed. */
struct ledger_crash {
    int64_t at_ns, trouble_ns;
    uint64_t troubles;
};

struct ledger {
    struct ledger_message message[LEDGER_MESSAGES_MOST];
    size_t messages;
    int64_t expiry_ns;
    struct ledger_crash crash[64];
    size_t crashes;
    char violation[512]; /* the first one */
    uint64_t violation_message;
};

/* expiry_ns: the age at which mail is given up. */
void ledger_make(int64_t expiry_ns);
struct ledger_message *ledger_new(void);
struct ledger_message *ledger_find(uint64_t number);
struct ledger_recipient *ledger_recipient(struct ledger_message *m, const char *address);

/* A peer took it; the record may be made certain later. NULL when there are too many. */
struct ledger_delivery *ledger_deliver(struct ledger_message *m, const char *address,
                                       bool is_sound);
void ledger_crash(void);

/* Its server has been asked to take it. */
void ledger_attempt(const char *sender, const char *address);

/* The server of the recipient has said that it never takes it. */
void ledger_refuse(struct ledger_recipient *r);

/* The text of a message as its client sends it: header, empty line, body; CRLF at line ends. A letter's own fields are
 * in front. */
size_t ledger_text(const struct ledger_message *m, char *out, size_t size);

/* Looks at a text that came out: its message, and whether all that was sent is in it, behind fields that were added
 * on top. NULL: none of ours. */
struct ledger_message *ledger_recognise(const char *text, size_t size, bool *is_sound);

/* Reads a notice about a message of ours and counts what it says; false when it is none. */
bool ledger_read_notice(const char *text, size_t size, const char *to);

void ledger_blame(uint64_t message, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* True when nothing is open any more: each promise is kept or reported. */
bool ledger_is_settled(void);

/* What the server calls the message. */
const char *ledger_id(uint64_t number);

/* The properties, at the end of a run. */
void ledger_check(void);

#endif
