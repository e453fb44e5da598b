/* SPDX-License-Identifier: ISC */
/*
 * author.h - strangers who write to our mailboxes: domains with SPF, DKIM and DMARC, letters that are theirs or forged,
 * and what the checks may say of them
 *
 * A letter is made with the world. What has to come of it follows from how it was made and from what the DNS said while
 * it was looked at: the truth, errors, or lies.
 */
#ifndef SIM_AUTHOR_H
#define SIM_AUTHOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger.h"

struct zone_answer;

enum {
    LETTER_FIELDS_MAX = 12 * 1024,
    AUTHORS_MOST = 4,
    LETTERS_MOST = 12,
    AUTHORS_THEIRS = 0x0a070000,  /* addresses that SPF records have: a /24 for each domain */
    AUTHORS_SOMEBODY = 0x0a060000 /* those that none has */
};

enum author_policy { ASKS_NONE, ASKS_QUARANTINE, ASKS_REJECT };

/* What the DNS answers now and then instead of the truth: first errors, then lies. */
enum author_mood {
    AUTHOR_FAILURE,
    AUTHOR_SILENCE,
    AUTHOR_LATE,
    AUTHOR_DENIAL,
    AUTHOR_OTHER_TEXT,
    AUTHOR_BROKEN_TEXT,
    AUTHOR_DOUBLE_TEXT,
    AUTHOR_MOODS
};

struct author_domain {
    char name[24];
    enum author_policy policy, below,
        absent;                 /* of itself, of names below it, of those that are not there */
    bool has_below, has_absent; /* the record says so */
    bool is_strict;             /* only the very same name is the author's */
    bool has_include;           /* its SPF record is somewhere else */
    enum author_mood mood;
    unsigned one_in;
    int64_t failed_ns, lied_ns; /* when the DNS did so last */
};

struct letter {
    const char *sent,
        *kept; /* fields in front of the usual ones: with those that claim to be the server's, without */
    char author[LEDGER_ADDRESS_MAX];
    uint32_t from;                /* the client's address */
    struct author_domain *domain; /* NULL: a flood of questions in nobody's name */
    bool is_genuine;              /* by its domain's own rules */
    bool has_two_authors, is_list;
    enum author_policy asked;
    bool was_answered;     /* by the server, at its end */
    bool is_open;          /* the server has it, and has not answered */
    unsigned questions;    /* about a flood's names while it was open */
    bool is_well, is_true; /* when it was answered: the DNS had not failed, had not lied */
};

struct authors {
    struct author_domain domain[AUTHORS_MOST];
    size_t domains;
    struct ledger_message *letter[LETTERS_MOST];
    size_t letters, letters_sent;
    unsigned setting; /* of the listener */
    char key[64];     /* the public one of all, as its record has it */
};

/* Once, before any world: the key. */
void letters_prepare(void);

/* Draws domains and letters, and the listener's setting. */
void authors_make(void);
const char *authors_setting(void);

/* The next letter, or NULL. */
struct ledger_message *author_next_letter(void);

/* What the DNS says; false when it is nothing of theirs. */
bool author_resolve(const char *name, int type, struct zone_answer *out);

/* A letter goes out; the server has said something to it (0: nothing). */
void author_begin(struct ledger_message *m);
void author_check_answer(struct ledger_message *m, int code, const char *line);

/* Looks at the fields on top of a letter that came, of that size. */
void author_check_delivery(const struct ledger_message *m, const char *text, size_t top);

#endif
