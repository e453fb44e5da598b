/* SPDX-License-Identifier: ISC */
/*
 * policy_rules.h - what an operator writes about who is let in, as values
 */
#ifndef CHECK_POLICY_RULES_H
#define CHECK_POLICY_RULES_H

#include "check/dnsbl_site.h"
#include "check/greylist.h"

enum policy_act {
    POLICY_OFF,
    POLICY_RECORD,
    POLICY_MARK,
    POLICY_WEIGHT,
    POLICY_DEFER,
    POLICY_REFUSE
};

struct policy_action {
    enum policy_act act;
    int64_t weight; /* of WEIGHT */
};

enum { POLICY_WEIGHT_MAX = 1000, POLICY_RATES_MAX = 32 };

enum policy_scope {
    POLICY_BY_ADDRESS, /* a /64 of IPv6 */
    POLICY_BY_NETWORK, /* a /24 of IPv4, a /48 of IPv6 */
    POLICY_BY_SENDER,
    POLICY_BY_ACCOUNT
};

enum policy_quantity {
    POLICY_CONNECTIONS,
    POLICY_MESSAGES,
    POLICY_RECIPIENTS,
    POLICY_BYTES,
    POLICY_AUTH_FAILURES
};

/* "SCOPE QUANTITY COUNT/WINDOW": "address messages 100/1h". */
struct policy_rate {
    enum policy_scope scope;
    enum policy_quantity quantity;
    int64_t count, window_ms;
};

/* What an operator writes in a policy section; see eilbote.conf(5). */
struct policy_rules {
    struct {
        const struct ip_network *item;
        size_t count;
    } allow_clients, block_clients;
    struct {
        const struct str *item; /* domains in lower case */
        size_t count;
    } allow_helo, block_helo;
    struct {
        const struct str *item; /* "local@domain", "domain", ".domain" for what is below it */
        size_t count;
    } allow_senders, block_senders;
    struct policy_action helo_invalid, helo_literal, helo_own_name, helo_unresolvable;
    struct policy_action no_reverse_name, unconfirmed_name;
    struct policy_action unknown_sender_domain, null_mx_sender;
    struct {
        const struct dnsbl_site *item;
        size_t count;
    } dnswl_sites, dnsbl_sites, rhsbl_sites;
    struct policy_action dnsbl_action, rhsbl_action;
    int64_t dnsbl_threshold, rhsbl_threshold;
    int64_t dnsbl_timeout_ms;         /* of one question to a list */
    int64_t mark_score, refuse_score; /* 0: none is reached */
    struct policy_action greylisting;
    struct greylist_terms greylist;
    int64_t greylist_size; /* triplets that are remembered */
    struct {
        const struct policy_rate *item;
        size_t count;
    } rates;
    int64_t tarpit_after;    /* refusals of an address; 0: never */
    int64_t tarpit_delay_ms; /* the first delay, which doubles with each further refusal */
    int64_t tarpit_delay_max_ms;
    int64_t tarpit_forget_ms; /* after so long without one an address begins anew */
    int64_t tarpit_sessions;  /* that are held up at a time */
};

/* Reads and prints actions and rates as the configuration has them; the text is a C string of at most 80 octets. */
bool policy_action_parse(struct str text, struct policy_action *out);
struct str policy_action_text(const struct policy_action *a, char text[80]);
bool policy_rate_parse(struct str text, struct policy_rate *out);
struct str policy_rate_text(const struct policy_rate *r, char text[80]);

/* Whether a sender's pattern is well formed. */
bool policy_sender_is_pattern(struct str text);

#endif
