/* SPDX-License-Identifier: ISC */
/*
 * log.h - the file that the events go to
 *
 * Each thread has a buffer of its own; event_flush, called by one thread now and then, takes them
 * all and writes them to the file, which is rotated by size. What comes while a buffer is full is
 * dropped, counted and told in the next flush as event "log.dropped".
 */
#ifndef EVENT_LOG_H
#define EVENT_LOG_H

#include "base/fault.h"

#include <stdint.h>

struct event_log;

enum { EVENT_BUFFER_BYTES = 4 * 1024 * 1024 };

/*
 * Opens (or makes) the file to append to. Beyond size_bytes it is renamed to path.1, path.1 to
 * path.2 and so on; of those file_count are kept. is_shared: see event_log_share. *out is for
 * event_log_close; NULL on a fault.
 */
struct fault event_log_open(const char *path, int64_t size_bytes, unsigned file_count,
                            bool is_shared, struct event_log **out);

/*
 * Another process appends to the file, or no more: while that is so nobody renames it, whatever its
 * size, and what was torn is ended and not cut off. Then the file is opened anew, in case it was
 * renamed all the same.
 */
void event_log_share(struct event_log *log, bool is_shared);

/* Has tell(arg) called, by the thread whose line it is, for the first line after each flush. Before
 * the first line. */
void event_log_tell(struct event_log *log, void (*tell)(void *arg), void *arg);

/* Writes what the threads have collected. The fault of the file; then the lines are lost and
 * counted. */
struct fault event_flush(struct event_log *log);

/* Flushes and frees; no thread may use the log any more. NULL is allowed. */
void event_log_close(struct event_log *log);

/* Copies a line with its line end into the calling thread's buffer, or counts it as dropped. */
void event_log_add(struct event_log *log, struct str line);

#endif
