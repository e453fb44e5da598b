/* SPDX-License-Identifier: ISC */
/*
 * gate.h - a listener's policy at work: check/policy with the DNS, the clients' buckets and the greylist
 *
 * The server has one for each session on a listener that strangers may reach, and "eilbote try smtp" has one without
 * memory of its own: both ask the same functions, so what one says the other does. All questions to the DNS about a
 * message, with those of its authentication, are bounded together (INSPECTION_QUESTIONS_MAX, INSPECTION_TIME_MS), and
 * those of the gate by a part of that: what a client makes us ask here is not missing for the author's policy.
 */
#ifndef SERVE_GATE_H
#define SERVE_GATE_H

#include "check/policy.h"
#include "check/spf.h"
#include "net/resolver.h"
#include "serve/clients.h"
#include "serve/greylist_book.h"

/* Why a session is not looked at as a stranger's. */
enum {
    GATE_QUESTIONS_MAX = 24, /* to the DNS, about a message */
    GATE_TIME_MS = 12000     /* that they may take */
};

enum gate_exemption { GATE_STRANGER, GATE_TRUSTED, GATE_LOCAL };

/* All of it is borrowed but for the structs. */
struct gate_options {
    const struct policy_rules *rules;
    struct str hostname;
    struct ip_address ip, own_ip;
    bool has_own_ip;
    enum gate_exemption exemption;
    bool is_mx;                 /* else only connections are looked at, and limits */
    bool is_name_wanted;        /* for trace fields, whatever the rules say */
    bool is_known;              /* it has delivered before */
    struct clients *clients;    /* NULL: no limit is counted */
    struct greylist_book *book; /* NULL: nobody is put off */
    struct resolver *resolver;
    int64_t now_ms; /* Unix ms, for a trial; 0: the clock's */
    void (*tell)(void *arg, const struct policy_finding *f);
    void (*tell_fault)(void *arg, const struct fault *f); /* the memory cannot be used */
    void *arg;
};

struct gate {
    struct gate_options o;
    struct policy policy;
    struct iprev_verdict name; /* its texts are constant but for: */
    char *client_name;         /* confirmed, or NULL */
    bool is_name_known;        /* name has been asked for */
    bool is_name_failed;       /* and the DNS failed */
    unsigned questions;        /* that were asked about the message at hand */
    int64_t asked_ms;          /* that they took */
    enum spf_result spf;       /* of the message at hand, when it was asked for */
    bool is_spf_known;
    bool has_passed_greylist; /* the message at hand has, for one recipient */
};

struct gate *gate_make(const struct gate_options *o);
void gate_free(struct gate *g);

/* Who sends: "local@domain", empty for the null sender; the login, or empty; what HELO said. */
struct gate_sender {
    struct str address, account, helo;
};

/* The stages. FINE, or the reply. The last two suspend the task. */
struct fault gate_connect(struct gate *g);
struct fault gate_helo(struct gate *g, struct str helo, bool is_valid);
struct fault gate_mail(struct gate *g, const struct gate_sender *from);
struct fault gate_rcpt(struct gate *g, const struct gate_sender *from, struct str rcpt);

/* Counts the octets of a message that was taken. */
void gate_count_bytes(struct gate *g, const struct gate_sender *from, int64_t bytes);

/* Whether the client or the account may try to log in; and that it failed. 454 4.7.0. */
struct fault gate_may_login(struct gate *g, struct str account);
void gate_login_failed(struct gate *g, struct str account);

/* The client's name by the DNS, which is asked for once in a session; empty when there is none. Suspends the task. */
struct str gate_client_name(struct gate *g);

/* The rule that marks the message at hand, or empty. */
struct str gate_mark(const struct gate *g);

#endif
