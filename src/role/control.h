/* SPDX-License-Identifier: ISC */
/*
 * control.h - the socket on which an operator asks a running role
 *
 * A request is one line of JSON with a "verb"; the answer is lines of JSON, the last one being
 * {"done": true} or {"error": "..."}. Who may connect is a matter of the socket's directory, which
 * belongs to the role's user with mode 0700.
 */
#ifndef ROLE_CONTROL_H
#define ROLE_CONTROL_H

#include "base/buf.h"
#include "net/conn.h"
#include "net/task.h"

#include <jansson.h>

enum { CONTROL_LINE_MAX = 1 << 20, CONTROL_DEPTH_MAX = 8 };

struct control; /* one request being answered */

/* Answers one verb; the request is borrowed. The fault becomes the error. */
struct control_verb {
    const char *name;
    struct fault (*run)(struct control *c, void *role, const json_t *request);
};

enum { CONTROL_TABLES_MOST = 4 };

/*
 * Serves the socket at path (replaced when it exists) on this loop: a task for each connection, in
 * the scope, until it is cancelled; of more than 64 at a time, the one that has been idle longest is
 * told 421 and closed. The list of tables ends with NULL, each table with a NULL name;
 * tables and role are kept.
 */
struct fault control_start(struct scope *scope, const char *path,
                           const struct control_verb *const *tables, void *role);

/*
 * Reads a request: *out is an object, for json_decref. 500 5.5.2 when the line is none, or is nested
 * deeper than CONTROL_DEPTH_MAX (the parser calls itself, and a task's stack is small).
 */
struct fault control_parse(struct str line, json_t **out);

/* A JSON string of any bytes: where they are no UTF-8, those beyond ASCII become '?'. */
json_t *control_text(struct str s);

/* Sends a line (taken). The fault ends the answer: nobody listens any more. */
struct fault control_say(struct control *c, json_t *line);

#endif
