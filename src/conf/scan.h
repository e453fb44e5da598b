/* SPDX-License-Identifier: ISC */
/*
 * scan.h - what libconfuse does not tell of a configuration's text: open quotes, lines of sections
 */
#ifndef CONF_SCAN_H
#define CONF_SCAN_H

#include "base/str.h"

/*
 * Looks for a quote that is not closed in its line (one that ends in a backslash goes on), or a
 * comment or brace that is not closed at all: libconfuse takes everything up to the next quote, or
 * to the end, for its text and complains about something else, if at all. Returns the line where it
 * is opened and *what is open ("quote", "comment", "brace"); 0 when there is none.
 */
int scan_for_open(struct str source, const char **what);

/* The line where a section begins: the last one with that name and, unless it is empty, that title
 * in any case. 0 when there is none. */
int scan_for_section(struct str source, struct str name, struct str title);

/* The line of an option at the top level, the last one of that name. 0 when there is none. */
int scan_for_option(struct str source, struct str name);

#endif
