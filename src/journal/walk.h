/* SPDX-License-Identifier: ISC */
/*
 * walk.h - the good records of a log, one after the other
 */
#ifndef JOURNAL_WALK_H
#define JOURNAL_WALK_H

#include "journal/segment.h"

struct walk {
    struct segment *segment;
    uint64_t offset; /* where to look next */
    char *window;    /* bytes of the segment's file */
    uint64_t window_offset;
    size_t window_used;
    size_t window_size;
    uint64_t ahead; /* up to there the file is being fetched */
};

struct walk_record {
    struct format_record header;
    struct segment *segment;
    uint64_t position;
    uint64_t end;
    struct str payload; /* until the next call */
};

/* A walk that begins at this offset; free it with walk_free. */
struct walk walk_make(struct segment *segment, uint64_t offset);
void walk_free(struct walk *w);

/*
 * The next good record of this segment or those linked behind it; bytes that are none are passed
 * over, and so is what lies behind a segment's valid end. False at the end or on a fault.
 */
bool walk_next(struct walk *w, struct walk_record *out, struct fault *fault);

/* The record at exactly this offset of the walk's segment; false when there is no good one. */
bool walk_record_at(struct walk *w, uint64_t offset, struct walk_record *out, struct fault *fault);

#endif
