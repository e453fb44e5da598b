/* SPDX-License-Identifier: ISC */
/*
 * document.h - a report of somebody else, read: what of it is kept and shown
 *
 * Its texts were written by strangers: printable in the sense of UTF-8 without control characters, and cut.
 */
#ifndef REPORT_DOCUMENT_H
#define REPORT_DOCUMENT_H

#include "report/store.h"

enum {
    DOCUMENT_RECORDS_MAX = 20000, /* that are kept; more are only counted */
    DOCUMENT_TEXT_MAX = 1000,     /* octets of a text */
    DOCUMENT_TEXT_ROOM = DOCUMENT_TEXT_MAX + 4,
    DOCUMENT_BYTES_MAX = 16 << 20 /* of all records */
};

#define DOCUMENT_COUNT_MAX INT64_C(1000000000000) /* of a record; a larger one is that */

struct document_record {
    int64_t count;
    struct str text; /* JSON */
};

struct document {
    enum report_about kind;
    struct str organization, report_id, domain;
    int64_t begin_s, end_s;
    int64_t good, bad; /* messages that passed and failed, sessions that went well and did not */
    json_t *about;     /* contact, policy, errors: an object */
    struct document_record *record;
    size_t count;
    int64_t left_out; /* records beyond the bounds */
    struct arena arena;
    size_t room;
};

void document_start(struct document *d, enum report_about kind);
void document_free(struct document *d);

/* A text as it may be kept: cut, control characters and what is no UTF-8 as '?'. */
struct str document_clean(struct str text, char room[DOCUMENT_TEXT_ROOM]);

/* The same in the arena; empty when that is full. */
struct str document_text(struct document *d, struct str text);

/* A name of the DNS: document_text in lower case, without dots at its end. */
struct str document_name(struct document *d, struct str text);

/* Adds a record (taken). */
void document_add(struct document *d, int64_t count, json_t *record);

/* A count from outside: 0 when it is none, at most DOCUMENT_COUNT_MAX. */
int64_t document_count(struct str text);

/* Whether all is there that makes a report: who, which, about whom, when. */
bool document_is_whole(const struct document *d);

#endif
