/* SPDX-License-Identifier: ISC */
/*
 * event.h - one decision as one JSON line
 *
 *   struct event e;
 *   event_begin(&e, log, "smtp.accepted");
 *   event_text(&e, "session", session_id);
 *   event_number(&e, "size", size_bytes);
 *   event_end(&e);
 *
 * gives {"time":"2026-03-01T12:00:00.123Z","event":"smtp.accepted","session":"...","size":4096}.
 * The line is built on the stack and copied into the thread's buffer of the log; nothing is written
 * here and nothing waits. By custom the fields "session" and "message" carry the ids. Names of
 * events and fields are plain ASCII literals of the program; any bytes may be a text.
 */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include "base/fault.h"
#include "event/log.h"

#include <stdint.h>

enum { EVENT_LINE_MAX = 2048, EVENT_TEXT_MAX = 512 };

struct event {
    struct event_log *log;
    size_t n;
    bool is_full; /* a field did not fit and was left out */
    char line[EVENT_LINE_MAX];
};

/* Begins an event with the present time. */
void event_begin(struct event *e, struct event_log *log, const char *name);

/* Adds a field. A text longer than EVENT_TEXT_MAX is cut (and ends in "..."); bytes that are not
 * UTF-8 become U+FFFD. A field that does not fit into the line is left out, and the line gets
 * "cut":true. */
void event_text(struct event *e, const char *name, struct str text);
void event_number(struct event *e, const char *name, int64_t number);
void event_flag(struct event *e, const char *name, bool flag);

/* Adds "outcome" (fine, later or never), "reply", "status" and "text"; those that are not empty. And
 * "answer":true when another server said so. */
void event_fault(struct event *e, const struct fault *f);

/* Hands the line over to the log. */
void event_end(struct event *e);

#endif
