/* SPDX-License-Identifier: ISC */
/*
 * plan.h - what a seed means: who is there, how they behave, what breaks and when
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "net.h"
#include "peer_policy.h"

enum {
    PLAN_DOMAINS_MOST = 8,
    PLAN_MX_MOST = 3,
    PLAN_USERS = 3,
    PLAN_CLIENTS_MOST = 8,
    PLAN_PORT_MX = 2525,
    PLAN_PORT_POP3 = 1110,
    PLAN_CONF_MAX = 4096
};

/* What becomes of STARTTLS; it works for domains with policies alone. */
enum tls_manners {
    TLS_NONE,
    TLS_REFUSED,
    TLS_GARBAGE,
    TLS_CLOSED,
    TLS_MUTE,
    TLS_MANNERS,
    TLS_WORKS
};

/* How a server of another domain behaves; each number is "one in so many", 0 is never. */
struct manners {
    unsigned refuses_greeting;                                       /* 421 and closes */
    unsigned resets, closes;                                         /* at any reply */
    unsigned delays_mail, delays_recipient, delays_data, delays_end; /* 4yz */
    unsigned refuses_recipient, refuses_end;                         /* 5yz */
    unsigned mute_after_end; /* takes the message and closes without a reply */
    unsigned hangs;          /* says nothing more */
    unsigned slow;           /* a reply byte by byte */
    enum tls_manners tls;
    bool is_greylisting;
    bool has_pipelining, has_chunking, has_size, has_8bitmime, has_ehlo;
};

struct plan_server {
    uint32_t address;
    struct host *host;
    struct manners manners;
    struct plan_domain *domain;
};

/* LIES: an address where nobody is; FLIPS: now these exchangers, now others of its own; LATE: seconds later. */
enum dns_mood { DNS_WELL, DNS_SERVFAIL, DNS_SILENT, DNS_LIES, DNS_FLIPS, DNS_LATE, DNS_NXDOMAIN };

struct plan_domain {
    char name[24];
    struct plan_server server[PLAN_MX_MOST];
    size_t servers;
    struct crowd crowd;
    bool is_back;        /* where notices go: it takes everything */
    bool is_dead;        /* never comes back */
    unsigned dns_one_in; /* a question in so many gets this: */
    enum dns_mood dns_mood;
    struct peer_policy policy;
    uint64_t greylisted[64];
    int64_t greylisted_ns[64];
};

struct plan {
    struct plan_domain domain[PLAN_DOMAINS_MOST];
    size_t domains;
    size_t clients, clients_done;
    size_t messages_a_client;
    int64_t sending_ns; /* the clients spread their mail over that time */
    int64_t healing_ns; /* from then on everybody behaves */
    int64_t expiry_ns;
    unsigned processes_left; /* crashes to come */
    int64_t segment_bytes;
    unsigned connections_per_site;
    bool has_stopped, is_stopping;
    bool
        has_policies; /* domains say who may write in their name, and how mail has to come to them */
    struct authors *authors; /* then */
    char conf[PLAN_CONF_MAX];
};

/* Draws the plan of the world's seed, and starts its peers. */
void plan_make(void);

/* The configuration of a template, whose directory knows the users. */
void plan_write_conf(void);

bool plan_is_healed(void);

/* Blames the server when it had more connections open than it was allowed. */
void plan_check_limits(void);

/* The peers. */
void client_run(void *arg);
void stranger_run(void *arg);
void server_serve(struct stream *s, void *arg);
void reader_run(void *arg);

#endif
