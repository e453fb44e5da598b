/* SPDX-License-Identifier: ISC */
/*
 * clients.h - what each client address and account has done lately, and what it may still do
 *
 * One table for all loops of a process, bounded: when it is full, addresses that are doing nothing
 * make room. IPv6 clients are counted by their /64.
 */
#ifndef SERVE_CLIENTS_H
#define SERVE_CLIENTS_H

#include "base/fault.h"
#include "base/ip.h"
#include "check/policy_rules.h"
#include "conf/conf.h"

#include <stdint.h>

struct clients;

struct clients *clients_make(void);
void clients_free(struct clients *c);

/*
 * Counts a session of that address in, or refuses it with 421 4.7.0. Each FINE is followed by one
 * clients_leave. *is_known: it has delivered a message before and not misbehaved since.
 */
struct fault clients_enter(struct clients *c, const struct ip_address *ip,
                           const struct conf_limits *limits, bool *is_known);
void clients_leave(struct clients *c, const struct ip_address *ip);

/* Counts a command; 421 4.7.0 when the address has said too many in this minute. */
struct fault clients_command(struct clients *c, const struct ip_address *ip, uint32_t count,
                             const struct conf_limits *limits);

/* Remembers that the address behaved, or that it did not. */
void clients_trust(struct clients *c, const struct ip_address *ip, bool has_behaved);

/*
 * Whether the address and the account may try to log in (454 4.7.0 when they have failed too often
 * in the window), and the outcome of a try.
 */
struct fault clients_may_login(struct clients *c, const struct ip_address *ip, struct str account,
                               const struct conf_limits *limits);
void clients_login_failed(struct clients *c, const struct ip_address *ip, struct str account,
                          const struct conf_limits *limits);

/* Whom a rate is about; what is not known is empty. */
struct clients_who {
    const struct ip_address *ip; /* NULL: not counted by where it is */
    struct str sender, account;
};

/*
 * Takes the amount out of the bucket of each rate of that quantity that is about somebody known. When one of them is
 * empty nothing is taken from those behind it, and it is given with the time until something is in it; NULL: all had
 * enough. An amount of 0 only looks.
 */
const struct policy_rate *clients_take(struct clients *c, const struct policy_rules *rules,
                                       enum policy_quantity quantity, const struct clients_who *who,
                                       int64_t amount, int64_t *wait_ms);

/* Takes the amount however empty the buckets are: for what is only known when it has happened. */
void clients_charge(struct clients *c, const struct policy_rules *rules,
                    enum policy_quantity quantity, const struct clients_who *who, int64_t amount);

/* Counts a refusal of the address; how many there were, none of them longer ago than forget_ms from the next. */
void clients_refused(struct clients *c, const struct ip_address *ip, int64_t forget_ms);
int64_t clients_refusals(struct clients *c, const struct ip_address *ip, int64_t forget_ms);

#endif
