/* SPDX-License-Identifier: ISC */
/*
 * policy.h - whether a stranger is let in: the rules of a listener's policy, one stage of SMTP after the other
 *
 * Each rule that finds something does what its action says: off (nobody looks), record (it is told of), mark (the
 * message goes to the junk mailbox), weight N (N is added to a score, and a score that is reached marks or refuses),
 * defer, refuse. Rules that cost nothing come first; what is refused is not asked about any further. Whoever is
 * allowed by name is exempt from all that comes behind.
 *
 *   connect  allow-clients, block-clients
 *   helo     allow-helo, block-helo, helo-invalid, helo-own-name, helo-literal
 *   mail     allow-senders, block-senders; of the client, once in a session: dnswl, reverse-name, dnsbl;
 *            helo-unresolvable, rhsbl of the HELO name; null-mx-sender, unknown-sender-domain, rhsbl of the sender
 *
 * Limits and greylisting need a memory, which is the caller's: policy_limited() and policy_greylisted() say what
 * becomes of its word.
 */
#ifndef CHECK_POLICY_H
#define CHECK_POLICY_H

#include "base/fault.h"
#include "check/iprev.h"
#include "check/policy_rules.h"

enum policy_stage {
    POLICY_AT_CONNECT,
    POLICY_AT_HELO,
    POLICY_AT_MAIL,
    POLICY_AT_RCPT,
    POLICY_AT_DATA
};

enum policy_result {
    POLICY_PASSES,  /* the rule was looked at and found nothing */
    POLICY_EXEMPTS, /* from all that comes behind */
    POLICY_FAILED, /* a list or the DNS did not answer as it should, and nothing follows from that */
    POLICY_RECORDS,
    POLICY_MARKS,
    POLICY_WEIGHS,
    POLICY_DEFERS,
    POLICY_REFUSES
};

/* One decision, told as soon as it is made. Everything in it is borrowed. */
struct policy_finding {
    enum policy_stage stage;
    const char *rule; /* its name in the configuration */
    enum policy_result result;
    int64_t weight;            /* of WEIGHS */
    struct str domain, reason; /* what it is about; why, in words */
    const struct fault *fault; /* what is answered; NULL unless DEFERS or REFUSES */
};

/* The state of a session. Made zeroed, with the first part filled in; its texts are borrowed. */
struct policy {
    const struct policy_rules *rules;
    struct str hostname; /* ours */
    struct ip_address ip, own_ip;
    bool has_own_ip; /* the address of ours that the client talks to is known */
    void (*tell)(void *arg, const struct policy_finding *f);
    void *arg;

    bool is_exempt, is_sender_exempt, is_helo_exempt; /* the session, this message, this HELO */
    const char *mark;        /* the rule that marks the message at hand, or NULL */
    const char *client_mark; /* that marks all messages of the session */
    const char *helo_mark;
    int64_t client_score, helo_score, sender_score;
    bool is_client_judged;
    struct fault client_fault; /* of the rules about the client that ask the DNS */
};

/* What MAIL is judged by. */
struct policy_mail {
    struct str helo; /* as said */
    struct str sender,
        domain; /* "local@domain" and its domain as A-labels; both empty for the null sender */
    const struct iprev_verdict *iprev; /* NULL: no rule wants it */
    struct asker *asker;               /* of the message */
    struct asker
        *lists; /* the same with a limit of time; its questions are taken from the other's */
};

/* "connect", "helo" and so on; "pass", "allow", "error", "record", "mark", "weight", "defer", "refuse". */
const char *policy_stage_name(enum policy_stage stage);
const char *policy_result_name(enum policy_result result);

/* Whether one of the rules wants the client's name (iprev). */
bool policy_wants_name(const struct policy_rules *r);

/* Each stage: FINE, or the reply. is_valid: the name is a domain or an address literal. */
struct fault policy_connect(struct policy *p);
struct fault policy_helo(struct policy *p, struct str helo, bool is_valid);
struct fault policy_mail(struct policy *p, const struct policy_mail *m);

/* What becomes of a limit that is reached, and of a triplet. */
struct fault policy_limited(struct policy *p, enum policy_stage stage, const struct policy_rate *r,
                            int64_t wait_ms);
struct fault policy_greylisted(struct policy *p, const struct greylist_verdict *v);

/* How long a client waits for replies that has been refused so often. */
int64_t policy_tarpit_ms(const struct policy_rules *r, int64_t refusals);

/* For the parts of the room: tells a finding, and does what the action says of it. */
void policy_tell(struct policy *p, enum policy_stage stage, const char *rule,
                 enum policy_result result, struct str domain, struct str reason,
                 const struct fault *f);

#endif
