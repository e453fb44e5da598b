/* SPDX-License-Identifier: ISC */
/*
 * flush.h - sendmail -q: trying messages of the queue again now
 */
#ifndef CLI_FLUSH_H
#define CLI_FLUSH_H

#include "cli/cli.h"

/*
 * What stands behind -q: nothing or "f" for every message, I and an id, R and a recipient or its
 * domain, S and a sender or its domain. Gives the request for the mta, or NULL after saying what
 * is wrong.
 */
json_t *flush_request(const struct invocation *i, const char *what);

/* Sends the request (taken) to the running server; an exit status of sysexits.h. An id that is not
 * in the queue is an error, everything else that fits nothing is not. */
int flush_queue(const struct invocation *i, json_t *request);

#endif
