/* SPDX-License-Identifier: ISC */
/*
 * validation.h - whether DNSSEC works here, before mail depends on it
 */
#ifndef CLI_VALIDATION_H
#define CLI_VALIDATION_H

#include "cli/cli.h"

enum { VALIDATION_TIME_MS = 5000 };

/* Where the Debian package dns-root-data keeps the root's trust anchor. */
#define VALIDATION_ROOT_ANCHOR "/usr/share/dns/root.key"

/*
 * Asks the resolver of a configuration (NULL: that of /etc/resolv.conf) for the root's name servers and whether the
 * answer is proven. anchor takes the place of the configuration's; NULL: it stays. FINE, or why not.
 */
struct fault validation_try(struct invocation *i, struct conf *c, const char *anchor);

#endif
