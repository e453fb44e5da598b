/* SPDX-License-Identifier: ISC */
/*
 * client_name.h - the name of a client by the DNS, for trace fields (RFC 5321 section 4.4)
 */
#ifndef SERVE_CLIENT_NAME_H
#define SERVE_CLIENT_NAME_H

#include "base/arena.h"
#include "net/resolver.h"

/*
 * Finds the name that the address has in the reverse DNS and that leads back to the address. It is
 * empty when there is none; else it lives in the arena. All questions together end at the deadline
 * (of loop_now_ms). The fault, that of resolver_lookup, is for people: there is no name then.
 * Suspends the task.
 */
struct fault client_name_find(struct resolver *r, const struct ip_address *ip, int64_t deadline_ms,
                              struct arena *arena, struct str *name);

#endif
