/* SPDX-License-Identifier: ISC */
/*
 * dkim_select.h - which signatures of a message are looked at, when there are many
 *
 * A bound alone would let who adds signatures above the author's decide that DMARC does not see it.
 */
#ifndef CHECK_DKIM_SELECT_H
#define CHECK_DKIM_SELECT_H

#include "check/dkim_fields.h"

enum {
    DKIM_CHECKED_MAX = 8,   /* signatures checked */
    DKIM_VERDICTS_MAX = 16, /* signatures reported; those that are not checked as policy */
    DKIM_AUTHORS_MAX = 8    /* addresses in From whose domains are compared */
};

struct dkim_selected {
    const struct header_field *field;
    bool is_checked;
};

/*
 * The signatures to report, in the order of the header; gives their number. Checked are first those whose d= is a domain of
 * the From field, above one or below one, and then the others, each from the top down.
 */
size_t dkim_select(const struct dkim_fields *fields, struct dkim_selected out[DKIM_VERDICTS_MAX]);

#endif
