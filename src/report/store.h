/* SPDX-License-Identifier: ISC */
/*
 * store.h - reports.db: what is counted for reports of ours, and the reports of others about us
 *
 * One handle for all threads, behind a lock. What was counted lies in memory until the next flush: a crash loses that,
 * and a count that found the memory full is lost, too (REPORT_PENDING_MAX). All but report_store_count blocks.
 */
#ifndef REPORT_STORE_H
#define REPORT_STORE_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/ip.h"
#include "net/bell.h"

#include <jansson.h>
#include <stdint.h>

enum report_about { REPORT_DMARC, REPORT_TLS };

enum {
    REPORT_PENDING_MAX = 8192, /* different outcomes between two flushes */
    REPORT_PENDING_BYTES_MAX = 16 << 20,
    REPORT_TEXT_MAX = 16 << 10,    /* octets of an outcome's or a policy's text */
    REPORT_OUTBOX_MAX = 20000,     /* reports that wait for their time */
    REPORT_OUTBOX_ROWS_MAX = 1000, /* of one report */
    REPORT_OUTBOX_ALL_ROWS_MAX = 200000,
    REPORT_SHELF_MAX = 10000, /* reports of others that are kept */
    REPORT_SHELF_ALL_RECORDS_MAX = 1000000,
    REPORT_SHELF_UNPROVEN_PART = 4, /* one in so many, of both, may be from who knows whom */
    REPORT_DAY_S = 86400
};

struct report_store;

/* Opens or makes the file. 551 5.3.0 when it is damaged; 451 4.3.0 when it cannot be read now, or its format is a later one. */
struct fault report_store_open(const char *path, struct report_store **out);
void report_store_close(struct report_store *s); /* flushes; NULL is allowed */

/* What a report is to tell of once more. Texts are borrowed. */
struct report_outcome {
    enum report_about kind;
    struct str domain; /* the policy's, lower-case A-labels */
    struct str rua;    /* as its record says */
    struct str policy; /* JSON: what the report says of the policy */
    struct str text;   /* JSON: the outcome */
    int64_t time_s;
    int64_t count;
};

/* Counts, in memory. Any thread; never blocks for long. */
void report_store_count(struct report_store *s, const struct report_outcome *o);

/* Whether something waits to be written down. */
bool report_store_has_news(struct report_store *s);

/* Rings the bell (kept until the store is closed or another one is set; NULL: none) when there is. Before anything is counted. */
void report_store_ring(struct report_store *s, struct bell *b);

/* Writes down what was counted. 451 4.3.0: it stays in memory. */
struct fault report_store_flush(struct report_store *s);

/* A text of ours that is as unique as the file. */
struct str report_store_nonce(struct report_store *s);

/* "dmarc" and "tls" */
const char *report_kind_name(enum report_about kind);

#endif
