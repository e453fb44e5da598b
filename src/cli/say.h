/* SPDX-License-Identifier: ISC */
/*
 * say.h - times, durations and sizes as people read them
 */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include "base/str.h"

#include <jansson.h>
#include <stdint.h>

enum { SAY_MAX = 48 };

/* "5 s", "3 min", "2 h", "4 days": rounded down, never below 0. The text is given back. */
const char *say_duration(int64_t ms, char text[SAY_MAX]);

/* "2026-03-01 12:00:00Z" */
const char *say_time(int64_t real_ms, char text[SAY_MAX]);

/* "812 B", "4.0 KiB", "1.5 MiB" */
const char *say_size(int64_t bytes, char text[SAY_MAX]);

/* A text of a JSON object, "" when it is not there; and a number, 0. */
const char *say_text(const json_t *o, const char *name);
int64_t say_number(const json_t *o, const char *name);

/* A string from outside: control characters become '?', so that it says nothing to a terminal. */
void say_safely(const char *text);
void say_safely_slice(struct str text);

/* Text of several lines from outside, with the indent in front of each: control characters other than
 * line ends and tabs are shown as \x1B. The last line ends, too. */
void say_lines(struct str text, const char *indent);

/* True when standard output is a terminal, which obeys control characters. */
bool say_to_terminal(void);

/* A line of JSON in ASCII: neither a terminal nor a reader of lines finds anything in it to obey. */
void say_json(const json_t *o);

#endif
