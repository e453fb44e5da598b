/* SPDX-License-Identifier: ISC */
/*
 * filter.h - which messages of the queue: one grammar for all its commands
 *
 * Words that all must hold: sender=ADDRESS (<> for notices, @DOMAIN for everybody there),
 * recipient=ADDRESS, domain=DOMAIN, state=waiting|delivering|held, age>DURATION, age<DURATION, and
 * ids of messages, of which one must be it.
 */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include "cli/cli.h"

/* The conditions, for --help. */
extern const char filter_conditions[];

/* The filter of the words (NULL at the end) as the control protocol wants it, or NULL after saying
 * what is wrong. No words give the filter that everything passes. */
json_t *filter_make(const struct invocation *i, const char *const *words);

#endif
