/* SPDX-License-Identifier: ISC */
/*
 * trial.h - what the commands that try something out have in common
 *
 * A trial asks the DNS, as the server would or of the resolvers that it is told, and the configuration. It listens
 * nowhere, sends nothing but questions to the DNS, and writes nothing.
 */
#ifndef CLI_TRIAL_H
#define CLI_TRIAL_H

#include "cli/cli.h"
#include "net/resolver.h"

enum { TRIAL_TIME_MS = 20000 /* that the questions of a trial may take together */ };

struct trial {
    struct invocation *i;
    const char *servers[CLI_WORDS_MAX + 1]; /* --resolver, as written */
    const char *trust_anchor;
    struct conf *conf; /* NULL: there is none, and none is needed */
    struct arena arena;
    struct resolver *resolver; /* while it runs */
    int64_t deadline_ms;       /* of the questions, of loop_now_ms */
};

/* What --help says of them. */
extern const char trial_more[];

/* The options of every trial, for cli_parse. */
#define TRIAL_OPTIONS(t)                                                                           \
    {"--resolver", NULL, NULL, (t)->servers},                                                      \
    {                                                                                              \
        "--trust-anchor", NULL, &(t)->trust_anchor, NULL                                           \
    }

struct trial trial_make(struct invocation *i);
void trial_free(struct trial *t);

/* Loads the configuration: one that is named, or needed, must be there. CLI_DONE, or CLI_FAILED after saying why. */
int trial_load(struct trial *t, bool is_needed);

/* Our name by the configuration, else "unknown" (RFC 7208 section 7.3). */
struct str trial_hostname(const struct trial *t);

/*
 * Runs run(arg) in a task with a resolver, until it has ended. CLI_DONE, or after saying why CLI_USAGE for the options
 * and CLI_FAILED when there is no resolver.
 */
int trial_run(struct trial *t, void (*run)(void *arg), void *arg);

/* An option's value as an IP address or an address of mail, else CLI_USAGE after saying what is allowed. */
int trial_ip(const struct trial *t, const char *name, const char *text, struct ip_address *out);
int trial_check_helo(const struct trial *t, const char *text);

/*
 * What a client said in HELO or MAIL FROM, without its "<>": SPF has a result for whatever that is (RFC 7208 4.3), so
 * nothing is refused but what no client can say.
 */
int trial_word(const struct trial *t, const char *name, const char *text, struct str *out);

/* A sender, where "" and "<>" are the null sender, as "local@domain" in the trial's arena. */
int trial_sender(struct trial *t, const char *name, const char *text, struct str *out);

/* Seconds since 1970; NULL: now. */
int trial_time(const struct trial *t, const char *text, int64_t *now_s);

/* A row of the table for people: "spf  pass  example.org  the reason". Texts from outside are made harmless. */
void trial_print_row(const char *what, const char *result, const char *domain, const char *more,
                     const char *reason);

/* Puts a text from anywhere under the name. */
void trial_put_text(json_t *o, const char *name, struct str text);

/* Reply, status and reason of a fault. */
void trial_put_fault(json_t *o, const struct fault *f);

#endif
