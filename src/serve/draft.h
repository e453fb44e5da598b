/* SPDX-License-Identifier: ISC */
/*
 * draft.h - a message that has been taken in, as the filters see and edit it
 *
 * Nothing is changed in what was taken in until draft_apply. What one filter wants is collected and
 * becomes a part of the draft when it has said all it wants (draft_keep), so that the next one sees it,
 * or never (draft_drop). A body that takes the place of ours is kept in memory up to a MiB, then in the
 * message's file, behind the content that is there: the last bytes of the file are the message.
 */
#ifndef SERVE_DRAFT_H
#define SERVE_DRAFT_H

#include "mail/header_edit.h"
#include "proto/milter.h"
#include "serve/intake.h"

enum {
    DRAFT_TEXT_MAX = 256 << 10,     /* octets of what one filter says in its edits, beside a body */
    DRAFT_SIGNATURES_MAX = 16 << 10 /* octets that are left for what comes on top in the end */
};

/* A part of the message: in memory, or in the intake's file. */
struct draft_body {
    struct str memory;
    uint64_t start, size; /* in the file, when it is there */
    bool is_in_file;
};

/* What a filter wants. */
struct draft_edit {
    enum milter_event_kind kind;
    uint32_t index;
    struct str name, value;
};

struct draft {
    struct intake *intake;
    uint64_t size_limit;
    struct buf section; /* the header section that came */
    struct header_edit header;
    size_t room; /* octets that the header may still grow */
    struct draft_body body;
    struct buf memory; /* of a body that took the place of ours */
    bool is_changed;
    /* Of the present filter. */
    struct arena arena;
    struct draft_edit *edit;
    size_t edit_count, edit_room, cost;
    struct buf piece; /* of its body */
    struct draft_body new_body;
    bool has_new_body, has_own_file;
};

/*
 * Begins with what was taken in and what comes on top of it; the first trace_size octets of what was taken in are ours
 * and not for the filters. 552 5.3.4 when there are too many fields, or a header section longer than what is kept in
 * memory. Suspends.
 */
struct fault draft_begin(struct draft *d, struct intake *i, struct str top, size_t trace_size,
                         uint64_t size_limit);
void draft_free(struct draft *d);

/* Up to size octets of the body at the offset, into out. Suspends. */
struct fault draft_read(struct draft *d, uint64_t offset, size_t size, struct buf *out);

/* Collects an edit; a fault when the filter wants more than it may, or a field whose lines are too long. Suspends. */
struct fault draft_collect(struct draft *d, const struct milter_event *e);

/*
 * What was collected becomes a part of the draft, but for the recipients, the sender and quarantine, which are left to
 * the caller (edit, edit_count). has_space: values bring the space behind the colon along. Suspends; a fault is the
 * disk's.
 */
struct fault draft_keep(struct draft *d, bool has_space);

/* Forgets what was collected. */
void draft_drop(struct draft *d);

/* Makes the draft what was taken in; top is part of it then and empty. Suspends. */
struct fault draft_apply(struct draft *d, struct buf *top);

#endif
