/* SPDX-License-Identifier: ISC */
/*
 * bugs.h - planted defects: what the simulation has to find
 *
 * Each takes something away at a border between two rooms of the server (the linker puts our
 * function between them); none is in the server itself. A simulation that does not catch them
 * proves nothing by finding nothing.
 */
#ifndef SIM_BUGS_H
#define SIM_BUGS_H

#include <stdbool.h>
#include <stddef.h>

/* The defects, in order; NULL behind the last. */
const char *bug_name(size_t number);
const char *bug_description(size_t number);

/* Plants one; false when there is none of that name. */
bool bug_plant(const char *name);

/* For what is not a call of the server: its configuration. */
bool bug_is_limit_wrong(void);
bool bug_is_expiry_wrong(void);

#endif
