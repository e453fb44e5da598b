/* SPDX-License-Identifier: ISC */
/*
 * zone_check.h - whether the DNS says of a domain's mail what it should
 *
 * Each check asks the DNS, within a time of its own, and tells what it found: a finding a record or an address, with the
 * record that mends it where there is one. Checks never stop each other.
 */
#ifndef CLI_ZONE_CHECK_H
#define CLI_ZONE_CHECK_H

#include "check/dnsbl_site.h"
#include "cli/zone_plan.h"
#include "net/inquiry.h"

#include <jansson.h>

enum {
    ZONE_CHECK_TIME_MS = 15000,  /* that the questions of one check may take */
    ZONE_CHECK_QUESTIONS = 60,   /* that it may ask */
    ZONE_CHECK_ADDRESSES = 16,   /* of ours that are looked at */
    ZONE_CHECK_HOSTS = 10,       /* mail exchangers that are looked at */
    ZONE_CHECK_ARENA = 64 << 20, /* room that the plan and the findings need */
};

enum zone_level { ZONE_OK, ZONE_WARN, ZONE_BAD };

struct zone_check {
    /* What is given; all of it borrowed. */
    const struct conf *conf; /* NULL: there is none */
    const struct zone_plan
        *plan; /* NULL: the domain is not ours, and nothing is compared with us */
    struct str domain;
    struct resolver *resolver;
    struct arena *arena;
    const struct dnsbl_site *lists;
    size_t list_count;
    struct ip_address own[ZONE_CHECK_ADDRESSES]; /* that we send from */
    size_t own_count;                            /* 0: they are looked for */
    void (*tell)(void *arg, json_t *finding);    /* takes nothing */
    void *arg;

    /* The check at hand. */
    const char *name;
    struct arena answers;
    struct inquiry inquiry;
    struct asker asker;

    enum zone_level worst;
    struct str host[ZONE_CHECK_HOSTS]; /* the mail exchangers that were found */
    size_t host_count;
};

/* Runs them all. Suspends the task. */
void zone_check_run(struct zone_check *k);

/* "ok", "warn" and "bad". */
const char *zone_level_name(enum zone_level level);

/* For the checks: begins one, which has its own questions and time; what was answered before is forgotten. */
void zone_check_begin(struct zone_check *k, const char *name);

/* Tells a finding about a name of the DNS. found is what is there, and mend the record that should be: empty and NULL
 * when there is nothing to say. */
void zone_check_tell(struct zone_check *k, enum zone_level level, struct str name, struct str found,
                     const struct zone_item *mend, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Checks of the domain's own records (zone_check_name.c), and of the host and its addresses (zone_check_host.c). */
void zone_check_mx(struct zone_check *k);
void zone_check_spf(struct zone_check *k);
void zone_check_dkim(struct zone_check *k);
void zone_check_dmarc(struct zone_check *k);
void zone_check_mta_sts(struct zone_check *k);
void zone_check_tlsrpt(struct zone_check *k);
void zone_check_srv(struct zone_check *k);
void zone_check_addresses(struct zone_check *k); /* finds those that we send from */
void zone_check_ptr(struct zone_check *k);
void zone_check_helo(struct zone_check *k);
void zone_check_tlsa(struct zone_check *k);
void zone_check_dnsbl(struct zone_check *k);

#endif
