/* SPDX-License-Identifier: ISC */
/*
 * sockets.h - the listening sockets that the configuration asks for
 */
#ifndef ROLE_SOCKETS_H
#define ROLE_SOCKETS_H

#include "conf/conf.h"
#include "role/role.h"

struct sockets {
    struct role_socket item[ROLE_SOCKETS_MOST];
    size_t count;
};

/* Which listeners a role serves. */
bool sockets_belong_to_mta(enum conf_role role);

/*
 * Opens a socket for each address of each listener, or takes the one that systemd passed for it.
 * The fault names the listener and the system's word; nothing stays open then.
 */
struct fault sockets_open(const struct conf *conf, struct sockets *out);

/* The sockets of the mta, or of the mda. */
void sockets_choose(const struct sockets *all, const struct conf *conf, bool is_mta,
                    struct sockets *out);

/* As text for a child ("mx:5,submission:6"), and back. */
void sockets_print(const struct sockets *s, struct buf *out);
bool sockets_parse(struct str text, struct sockets *out);

#endif
