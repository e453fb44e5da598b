/* SPDX-License-Identifier: ISC */
/*
 * listen.h - accepting connections and spreading them over the loops
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include <stdatomic.h>

#include "net/conn.h"
#include "net/loop.h"
#include "net/task.h"

struct acceptor; /* the listeners of one loop */

/*
 * What one listening socket is for; shared by all loops, kept until no acceptor has it any more and
 * its last stream has ended. serve runs as a task of its own and must close the stream.
 */
struct listener {
    int descriptor;
    atomic_size_t stream_count; /* accepted and not ended yet */
    const char *task_name;
    void (*serve)(struct conn *c, void *arg);
    /* Asked on the accepting loop before anything is made of a new connection. When it is true,
     * turn_away gives what the client is told (a constant, one segment at most) instead of serve.
     * It costs a third of a session that refuses: whoever has too many visitors has no time for
     * them. Both may be NULL. */
    bool (*is_full)(void *arg);
    struct str (*turn_away)(const struct endpoint *peer, void *arg);
    void *arg;
};

/*
 * A socket that listens on the endpoint; a Unix socket's file that nobody serves is replaced. The
 * fault (451 4.3.5) names the endpoint and the system's word; 551 5.3.5 when a file that is no
 * socket is in the way.
 */
struct fault listen_open(const struct endpoint *at, int *descriptor);

/*
 * The same beside sockets of ours (count of them) that listen on its port at other addresses, where
 * one of the addresses takes in the other: as long as both are open, the narrower one gets its
 * clients. It must be the same user who has opened them.
 */
struct fault listen_open_beside(const struct endpoint *at, const int *others, size_t count,
                                int *descriptor);

/* That last fault of listen_open beforehand. */
struct fault listen_may_replace(const char *path);

/* Removes a Unix socket's file, unless something else has taken its place. */
void listen_remove(const struct endpoint *at);

/*
 * Starts accepting on the calling thread's loop. Each new stream goes to the loop of the group that
 * has the fewest. peers: all acceptors of the process, filled by the caller before connections may
 * come; count of them.
 */
struct acceptor *acceptor_start(struct scope *scope, struct acceptor **peers, size_t peer_count);

/* Adds a listener (kept) to this loop, or takes it away; its streams go on. */
struct fault acceptor_add(struct acceptor *a, struct listener *l);
void acceptor_remove(struct acceptor *a, const struct listener *l);

/* Stops accepting here; streams go on. Free with acceptor_free once the scope has ended. */
void acceptor_stop(struct acceptor *a);
void acceptor_free(struct acceptor *a);

/* Streams being served that came through this acceptor's loop. */
size_t acceptor_count(const struct acceptor *a);

#endif
