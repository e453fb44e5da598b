/* SPDX-License-Identifier: ISC */
/*
 * segment.h - one file of the journal
 */
#ifndef JOURNAL_SEGMENT_H
#define JOURNAL_SEGMENT_H

#include "base/fault.h"
#include "journal/format.h"
#include "os/file.h"

enum { SEGMENT_COMMITTERS = 2 };

struct segment {
    struct segment *next;
    struct file *reader;
    /*
     * For writing, past the system's cache: nobody reads it but a replay and who looks for a body
     * that has left memory. Each committer writes and syncs through an open file of its own: the system reports a failed
     * write-back once to each of them, so that one's sync cannot take the other's error away.
     */
    struct file *file[SEGMENT_COMMITTERS];
    char *path;
    uint32_t slot;
    struct format_segment format;
    uint64_t readable;  /* of format.size, what the file has: less when it was cut */
    unsigned pins;      /* batches in flight and readers */
    bool is_failed;     /* never to be used again */
    bool has_head;      /* found at the start: its first record or void is good */
    bool has_records;   /* found at the start: some were delivered */
    uint64_t valid_end; /* found at the start: records from this position on are void */
};

/* Elements linked by next, oldest first. */
struct segment_list {
    struct segment *first;
    struct segment *last;
    int64_t count;
};

void segment_list_push(struct segment_list *l, struct segment *s);
void segment_list_push_front(struct segment_list *l, struct segment *s);
struct segment *segment_list_pop(struct segment_list *l);

/* Makes the file of that slot: zeroed, with a durable header and name. Gives *out. */
struct fault segment_make(const char *directory, uint32_t slot, const struct format_segment *format,
                          struct segment **out);

/* Gives a file a durable new header; what it held is gone. */
struct fault segment_recycle(struct segment *s, const struct format_segment *format);

/* Opens an existing file. *is_segment is false when its header is not good (and *out NULL). */
struct fault segment_open(const char *directory, uint32_t slot, struct segment **out,
                          bool *is_segment);

/* Removes the file durably and frees s; on a fault it is there to be tried again. */
struct fault segment_remove(const char *directory, struct segment *s);

/* Closes and frees; NULL is allowed. */
void segment_free(struct segment *s);

static inline uint64_t segment_end(const struct segment *s)
{
    return s->format.base + s->format.size;
}

/* "segment-NNNNNNNN"; false when the name is something else. */
bool segment_slot_of_name(const char *name, uint32_t *slot);

#endif
