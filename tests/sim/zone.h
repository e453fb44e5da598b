/* SPDX-License-Identifier: ISC */
/*
 * zone.h - what the DNS says of a name
 */
#ifndef SIM_ZONE_H
#define SIM_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ZONE_RECORDS_MOST = 10, ZONE_RECORD_MAX = 640 };

enum zone_type { ZONE_A = 1, ZONE_MX = 15, ZONE_TXT = 16, ZONE_TLSA = 52 };

/* Instead of a number of records. */
enum { ZONE_NO_NAME = -1, ZONE_FAILURE = -2, ZONE_SILENCE = -3 };

struct zone_record {
    unsigned char data[ZONE_RECORD_MAX]; /* in wire form */
    size_t size;
};

struct zone_answer {
    int count;
    int64_t late_ns;
    bool is_secure, is_bogus;
    struct zone_record record[ZONE_RECORDS_MOST];
};

/* The answer to a question; zeroed before. */
void zone_resolve(const char *name, int type, struct zone_answer *out);

/* Whether the DNS says now and then that the domain does not exist. */
bool zone_denies_domain(const char *name);

/* Adds a record to an answer. */
void zone_add_address(struct zone_answer *out, uint32_t address);
void zone_add_exchanger(struct zone_answer *out, unsigned preference, const char *host);
void zone_add_text(struct zone_answer *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A text whose octets of length lie. */
void zone_add_broken_text(struct zone_answer *out, const char *text);

/* What is before the domain in a name, or "" for the domain itself; NULL when the name is not in it. */
const char *zone_below(const char *name, const char *domain, char label[256]);

#endif
