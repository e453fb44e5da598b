/* SPDX-License-Identifier: ISC */
/*
 * zone_plan.h - the records that the mail of a domain of ours needs
 *
 * They follow from configuration, directory and certificate alone; nothing is asked. dns print writes them as text, dns
 * check compares them with what the DNS has.
 */
#ifndef CLI_ZONE_PLAN_H
#define CLI_ZONE_PLAN_H

#include "base/buf.h"
#include "cli/signing_keys.h"
#include "conf/conf.h"

enum zone_kind {
    ZONE_COMMENT,
    ZONE_MX,
    ZONE_SPF,
    ZONE_HELO_SPF,
    ZONE_DKIM,
    ZONE_DMARC,
    ZONE_DMARC_CONSENT,
    ZONE_TLSRPT,
    ZONE_MTA_STS,
    ZONE_TLSA,
    ZONE_SRV
};

/* A record; the data of a TXT record is its text, of others as a zone file has it. Of a comment there is data alone. */
struct zone_item {
    enum zone_kind kind;
    struct str name; /* without the last dot */
    const char *type;
    struct str data;
    const struct directory_key *key; /* of DKIM */
};

struct zone_plan {
    struct str domain, host;
    struct zone_item *item;
    size_t count, size;
    struct signing_keys keys;
};

/* Makes the plan in the arena, which needs 16 MiB of room. Borrows the rest while the plan is used. The fault is that of
 * the directory. */
struct fault zone_plan_make(const struct conf *conf, struct directory *directory, struct str domain,
                            struct arena *arena, struct zone_plan *out);

/* The first item of that kind behind one of the plan (NULL: of all); NULL when there is none. */
const struct zone_item *zone_plan_find(const struct zone_plan *p, enum zone_kind kind,
                                       const struct zone_item *after);

/* Whether a name is the zone's or below it. */
bool zone_plan_is_within(struct str name, struct str zone);

/* Appends an item as a line of a zone file. False when out is full. */
bool zone_plan_append(const struct zone_item *item, struct buf *out);

#endif
