/* SPDX-License-Identifier: ISC */
/*
 * journal.h - the group-commit write-ahead journal
 *
 * Records are handed over from any thread, written in batches and acknowledged in the order of the
 * log, once they are on stable storage. Two batches are in flight at a time. What is on disk is
 * described in format.h; the reasons are in doc/decisions/0002-journal.md.
 *
 * A failed write or sync is never repeated: everything in flight is refused with 451 4.3.0 (452
 * 4.3.1 when the disk is full), the segment is given up, the alarm is called, and the log goes on
 * in a fresh segment which first says that the refused records are void.
 */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include "base/buf.h"
#include "base/fault.h"
#include "net/loop.h"

#include <stdint.h>
#include <sys/uio.h>

struct journal;

struct journal_options {
    const char *directory;   /* made when missing */
    int64_t segment_bytes;   /* a multiple of 4096, at least 16384 */
    unsigned spare_segments; /* made ahead of need, at least 1 */
    /* Trimmed ones kept for use again (at least one more than those); the others are removed. */
    unsigned spare_segments_max;
    /* Called when something needs a person (a failed disk, damage); from any thread. */
    void (*alarm)(void *arg, const struct fault *fault);
    void *alarm_arg;
    /* For measurements only: no sync at all, or each one longer by that time. */
    bool is_sync_off;
    int64_t extra_sync_delay_us;
};

/* A record found by journal_open; the payload is borrowed during the call. */
struct journal_record {
    uint16_t type;
    uint64_t position;
    uint64_t end; /* the position behind it */
    struct str payload;
};

/* Bytes of the log that held acknowledged records and are no longer good. */
struct journal_damage {
    uint64_t position;
    uint64_t end;
};

/* What journal_open calls; damage may be NULL (the alarm is called too). */
struct journal_replay {
    void (*record)(void *arg, const struct journal_record *record);
    void (*damage)(void *arg, const struct journal_damage *damage);
    void *arg;
};

/*
 * One record on its way. The submitter fills in the first part and keeps it and the parts' bytes
 * unchanged until the message's run is called: on the thread of loop, or when loop is NULL on a
 * thread of the journal, where it must not block. Then result and position are set.
 */
struct journal_append {
    struct loop_message message;
    struct loop *loop;
    const struct iovec *parts;
    size_t part_count;
    uint16_t type; /* below 0xFFFF */

    struct fault result;
    uint64_t position;

    struct journal_append *next; /* the rest is the journal's own */
    uint32_t length;
    uint32_t payload_crc;
    unsigned char header[40];
};

struct journal_statistics {
    int64_t records;            /* acknowledged since the start */
    int64_t bytes_acknowledged; /* headers and payloads of those */
    int64_t bytes_written;      /* batches as written, whole pages */
    int64_t batches;
    int64_t syncs;
    int64_t failures;
    int64_t damages;       /* found at the start */
    int64_t segments;      /* files that hold records */
    int64_t spares;        /* files ready for use */
    int64_t segments_made; /* zeroed since the start, not recycled */
    uint64_t oldest_position;
    uint64_t end_position; /* behind the last acknowledged record */
    int64_t free_bytes;    /* of the file system */
};

/*
 * Locks the directory, calls replay for every record in order, and starts the journal's threads.
 * When it has returned, no power cut takes back what it told; until then nobody acts on that.
 * *out is for journal_close. 451 4.3.0 when another process has it (named in the text), when
 * something cannot be read or synced, or 452 4.3.1 when there is no room for a segment.
 */
struct fault journal_open(const struct journal_options *options,
                          const struct journal_replay *replay, struct journal **out);

/*
 * Waits for everything submitted, stops the threads and gives the lock back. NULL is allowed. By
 * then no other thread's loop has a turn under way in which it submitted something.
 */
void journal_close(struct journal *j);

/* The longest payload; longer ones are refused with 552 5.3.4. */
size_t journal_payload_max(const struct journal *j);

/* Hands a record over. Any thread; does not wait for the disk. */
void journal_submit(struct journal *j, struct journal_append *append);

/*
 * Submits a record and returns when it is durable (FINE, *position set) or refused. Suspends the
 * running task; outside of tasks it blocks the thread. Cancellation does not interrupt it.
 */
struct fault journal_wait(struct journal *j, uint16_t type, const struct iovec *parts,
                          size_t part_count, uint64_t *position);

/* Lets everything before the position (of a record or an end) go; whole segments are recycled. */
void journal_trim(struct journal *j, uint64_t position);

/*
 * Appends bytes of the payload of the acknowledged record at that position to out: length bytes
 * from offset, fewer when the payload ends before. Blocks on the disk (a task goes through
 * offload). 451 4.3.0 when the position was trimmed, is none, the checksum is wrong (checked when
 * the whole payload is read) or out's limit is passed.
 */
struct fault journal_read(struct journal *j, uint64_t position, size_t offset, size_t length,
                          struct buf *out);

void journal_statistics(struct journal *j, struct journal_statistics *out);

#endif
