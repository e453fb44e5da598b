/* SPDX-License-Identifier: ISC */
/*
 * shelf.h - the reports of others about us
 *
 * Anybody can send them, in anybody's name. Those that DMARC does not prove to be their submitter's get a part of the
 * room, and go first when there is none; among them and among the proven ones it is the oldest of the submitter that takes
 * the most room that goes: who sends false ones in masses loses his own. All functions block.
 */
#ifndef REPORT_SHELF_H
#define REPORT_SHELF_H

#include "report/document.h"

/* Where a report came from. */
struct shelf_origin {
    struct str submitter; /* the domain of the mail's author, lower case */
    bool is_authentic;    /* DMARC says that it is from there */
    int64_t arrived_s;
};

/*
 * Keeps a report. *is_new is false, and nothing changes, when one of that organization, id, domain and submitter is there,
 * or it is not proven and what is proven fills the shelf. A proven one takes the place of one that is not.
 */
struct fault shelf_add(struct report_store *s, const struct document *d,
                       const struct shelf_origin *origin, bool *is_new);

/* Which reports to list; zeroed: all. */
struct shelf_filter {
    struct str domain; /* this one and those below it; empty: any */
    int64_t since_s;   /* that end then or later */
};

enum { SHELF_LIST_MAX = 10000 };

/* An array of objects, the newest first; NULL on a fault. The caller's to json_decref. */
json_t *shelf_list(struct report_store *s, const struct shelf_filter *filter);

/* A report with its "records"; NULL when there is none. */
json_t *shelf_get(struct report_store *s, int64_t id);

#endif
