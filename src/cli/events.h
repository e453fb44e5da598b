/* SPDX-License-Identifier: ISC */
/*
 * events.h - the event files of all roles, read as one stream in order of time
 */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include "base/str.h"
#include "conf/conf.h"

struct events;

/* Opens log/mta and log/mda with their renamed files, the oldest first; missing ones are empty.
 * 451 4.3.0 when one may not be read. *out is for events_close. */
struct fault events_open(const struct conf *c, struct events **out);
void events_close(struct events *e); /* NULL is allowed */

/* The next whole line, without its line end; valid until the next call. False when there is none
 * (yet: events_wait, then ask again). */
bool events_next(struct events *e, struct str *line);

/* Goes behind what is there. */
void events_skip(struct events *e);

/* Waits until a role may have written more. Blocks. */
struct fault events_wait(struct events *e);

/* The "time" of a line, and the "event" behind it; empty when it has none. */
struct str events_time(struct str line);
struct str events_name(struct str line);

#endif
