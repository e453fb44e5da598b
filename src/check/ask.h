/* SPDX-License-Identifier: ISC */
/*
 * ask.h - questions to the DNS, as the checks put them
 *
 * The checks are pure: who runs them brings a function that answers. An asker is for one message and bounds what
 * all checks of it together may ask.
 */
#ifndef CHECK_ASK_H
#define CHECK_ASK_H

#include <stdint.h>

#include "base/arena.h"
#include "base/ip.h"

enum ask_type { ASK_A, ASK_AAAA, ASK_MX, ASK_PTR, ASK_TXT, ASK_TLSA };

enum ask_status {
    ASK_FOUND,
    ASK_NO_DATA, /* the name exists, or names below it do (RFC 8020) */
    ASK_NO_NAME,
    ASK_FAILED /* the servers do not answer or fail, the answer is bogus or has too many records, or no question is left */
};

struct ask_mx {
    struct str host; /* as names; empty: a null MX (RFC 7505) */
    uint16_t preference;
};

struct ask_tlsa {
    struct str data;
    uint8_t usage, selector, matching;
};

/* Of the records, those that are well formed, in the order in which they came. */
struct ask_answer {
    enum ask_status status; /* FOUND also when no record is well formed */
    bool is_secure;         /* proven by DNSSEC, NO_DATA and NO_NAME, too */
    uint32_t ttl_s;
    size_t count;
    union {
        const struct ip_address *addresses; /* ASK_A, ASK_AAAA */
        const struct ask_mx *hosts;         /* ASK_MX */
        const struct str *names;            /* ASK_PTR: lower case, without the last dot */
        const struct str *texts;            /* ASK_TXT: the strings of a record joined */
        const struct ask_tlsa *keys;        /* ASK_TLSA */
    };
};

struct asker {
    /* Answers about a name that ask() has found to be possible. What it gives lives in the arena. */
    void (*answer)(void *context, struct arena *arena, const char *name, enum ask_type type,
                   struct ask_answer *out);
    void *context;
    struct arena *arena; /* has room for as many answers as questions are left */
    unsigned left;       /* questions that may still be asked */
};

/*
 * Asks for the records of that type at name (A-labels, any case, with or without the last dot). A name that the
 * DNS cannot have (empty, an empty label, a label above 63 octets, above 253 in all, other octets than
 * printable ASCII) does not exist, and costs no question.
 */
void ask(struct asker *a, struct str name, enum ask_type type, struct ask_answer *out);

#endif
