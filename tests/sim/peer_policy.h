/* SPDX-License-Identifier: ISC */
/*
 * peer_policy.h - what domains ask of those who send to them (DANE, MTA-STS), and whether they are obeyed
 *
 * Some of these domains' servers have TLS, with a certificate that TLSA records can name and that no authority has signed.
 * As long as a policy wants something else nobody may be offered a message; when it goes, the message has to come. What the DNS says of DANE is secure or an error from the first moment on. A
 * policy of MTA-STS is in force once a fetch has given it to the server.
 */
#ifndef SIM_PEER_POLICY_H
#define SIM_PEER_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan_domain;
struct zone_answer;

/* DANE_UNUSABLE: records that SMTP cannot use, so TLS with anybody. UNSIGNED: records that prove nothing. */
enum peer_policy_kind { PEER_FREE, PEER_DANE, PEER_DANE_UNUSABLE, PEER_UNSIGNED, PEER_STS };

/* How a policy's DNS or web server fails; each kind of policy has its own of these. */
enum peer_policy_mood {
    POLICY_DNS_FAILS,
    POLICY_DNS_BOGUS,
    POLICY_DNS_SILENT,
    POLICY_DNS_LATE,
    POLICY_DNS_DENIES,
    POLICY_DNS_BROKEN,
    POLICY_DNS_DOUBLE,
    POLICY_DNS_PRIVATE,
    POLICY_WEB_REFUSES,
    POLICY_WEB_SILENT,
    POLICY_WEB_UNTRUSTED,
    POLICY_WEB_MISSING,
    POLICY_WEB_TYPE,
    POLICY_WEB_LARGE,
    POLICY_WEB_NONSENSE,
    POLICY_WEB_OTHER_HOSTS,
    POLICY_MOODS
};

struct peer_policy {
    enum peer_policy_kind kind;
    enum peer_policy_mood mood;
    unsigned one_in;    /* a question or a fetch in so many meets the mood; 0: none */
    bool has_tls;       /* the servers do */
    bool is_fitting;    /* of DANE: the records name the servers' certificate */
    int64_t gone_ns;    /* from then on nothing is asked for any more; SIM_NEVER: for ever */
    bool has_vanished;  /* of MTA-STS that goes: without a policy that says so */
    bool is_enforced;   /* of MTA-STS */
    int64_t max_age_ns; /* of MTA-STS */
    /* Of MTA-STS, what the server has been given last. */
    struct {
        bool is_enforced;
        int64_t since_ns, until_ns;
        uint64_t troubles; /* that the disk had met by then */
    } known;
};

/* Draws what a domain asks for. */
void peer_policy_draw(struct plan_domain *d);

/* What the DNS says below the domain ("" itself); false when that is nothing of a policy's. */
bool peer_policy_resolve(struct plan_domain *d, const char *label, int type,
                         struct zone_answer *out);

/* The web server of the policies: what a GET of the URL, tried at these addresses, gives. */
struct web_answer {
    enum { WEB_ANSWERS, WEB_REFUSES, WEB_SILENT, WEB_UNTRUSTED } outcome;
    long status;
    const char *type;
    char text[512];
    size_t repeated; /* the text comes so often */
};
void peer_policy_fetch(const char *url, const char *addresses, struct web_answer *out);

/* Blames the server when it offers a message in spite of a policy, over a connection made at that time. */
void peer_policy_check_offer(const struct plan_domain *d, int64_t connected_ns, bool is_tls);

/* Looks at what a notice, made at that time, says of a recipient whose mail was offered to nobody since then. */
void peer_policy_check_failure(uint64_t message, const char *address, const char *status,
                               int64_t offered_ns, int64_t made_ns);

/* A process of the server has ended. */
void peer_policies_crash(void);

#endif
