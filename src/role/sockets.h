/* SPDX-License-Identifier: ISC */
/*
 * sockets.h - the listening sockets that the configuration asks for, as the supervisor holds them
 *
 * A socket keeps its number and its descriptor for as long as any configuration wants its place,
 * whatever the listener is called; so a reload that renames a listener or gives it other options
 * loses no client.
 */
#ifndef ROLE_SOCKETS_H
#define ROLE_SOCKETS_H

#include "conf/conf.h"
#include "net/endpoint.h"
#include "role/role.h"

struct held_socket {
    struct role_socket socket;
    struct endpoint at;
    enum conf_role role;
    bool is_lent; /* systemd's: never closed by us */
};

struct sockets {
    struct held_socket item[ROLE_SOCKETS_MOST];
    size_t count;
};

/* Which listeners the mta serves; the others are the mda's. */
bool sockets_belong_to_mta(enum conf_role role);

/*
 * Fills out with a socket for each address of each listener: one of those that are held (old, or
 * spare), one that systemd passed, or a new one. The fault names the listener and the system's
 * word; what was opened is closed again then. *last_id numbers the new ones.
 */
struct fault sockets_open(const struct conf *conf, const struct sockets *old,
                          const struct sockets *spare, uint64_t *last_id, struct sockets *out);

/* Adds the sockets of more that are not in s. False when they are too many; s is as before then. */
bool sockets_add(struct sockets *s, const struct sockets *more);

/* Removes the sockets of others from s. */
void sockets_subtract(struct sockets *s, const struct sockets *others);

/* Closes them all; with is_over the files of Unix sockets go, too. systemd's stay in s. */
void sockets_close(struct sockets *s, bool is_over);

/* Those of the mta, or of the mda: up to ROLE_SOCKETS_MOST in out; returns how many. */
size_t sockets_choose(const struct sockets *all, bool is_mta, struct role_socket *out);

#endif
