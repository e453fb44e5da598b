/* SPDX-License-Identifier: ISC */
/*
 * milters.h - the mail filters of a session, asked in their order
 *
 * Each filter sees what those before it have made of the message; the first that refuses has the last
 * word. One that fails makes the message wait (451 4.7.1), or is left out from then on and what it
 * wanted of the message with it, as its configuration says. All of the content is there before a
 * filter sees any of it. A connection to a filter is kept for the session; when it is lost it is made
 * anew with the next message.
 */
#ifndef SERVE_MILTERS_H
#define SERVE_MILTERS_H

#include "serve/draft.h"
#include "serve/milter_link.h"

/* What the session says, and is asked. */
struct milters_host {
    /* The macros as of now; borrowed until the next call. */
    struct milter_macros (*macros)(void *arg);
    /* What a filter decided, or (fault) why it failed; the result is a word. */
    void (*tell)(void *arg, const struct conf_milter *conf, const char *stage, const char *result,
                 const struct fault *f);
    /* A filter's recipients, sender and quarantine, all of them or, with a fault, none. Suspends. */
    struct fault (*apply)(void *arg, const struct conf_milter *conf, const struct draft_edit *edits,
                          size_t count);
    void *arg;
};

/* The client, as filters are told. */
struct milters_client {
    struct str name; /* or "[ADDRESS]" */
    char family;     /* '4', '6' or 'L' */
    uint16_t port;
    struct str address;
};

struct milters;

/* For the filters of a listener, which are borrowed. */
struct milters *milters_make(const struct conf_milter *const *conf, size_t count,
                             const struct milters_host *host);

/* Says goodbye to all and gives the memory back; NULL is allowed. Suspends, as all below does. */
void milters_free(struct milters *m);

/* The client is there: 421 when a filter does not want it. What is borrowed lives until the end. */
struct fault milters_connect(struct milters *m, const struct milters_client *client);

/* The commands, each with the reply that refuses it. Words are the path in its brackets and the
 * parameters. */
struct fault milters_helo(struct milters *m, struct str name);
struct fault milters_mail(struct milters *m, const struct str *words, size_t count);
struct fault milters_rcpt(struct milters *m, const struct str *words, size_t count);
struct fault milters_data(struct milters *m);

/* A recipient that we refuse, for filters that want to know. */
void milters_refused_rcpt(struct milters *m, const struct str *words, size_t count);

/* A command that is none: the reply of the first that has one, else FINE. */
struct fault milters_unknown(struct milters *m, struct str command);

/* Shows the message to each and collects what they make of it. */
struct fault milters_content(struct milters *m, struct draft *draft);

/* Whether a filter has taken the message away: it is answered as if it were accepted. */
bool milters_has_discarded(const struct milters *m);

/* The message has ended in another way. */
void milters_abort(struct milters *m);

#endif
