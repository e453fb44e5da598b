/* SPDX-License-Identifier: ISC */
/*
 * server.h - what all sessions of a role share
 *
 * Made once by the role; the parts a role does not have are NULL. Everything in it may be used by
 * the sessions of every loop.
 */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include <stdatomic.h>

#include "conf/live.h"
#include "directory/cache.h"
#include "event/event.h"
#include "event/log.h"
#include "net/bell.h"
#include "net/listen.h"
#include "net/resolver.h"
#include "queue/queue.h"
#include "serve/clients.h"
#include "sign/key_ring.h"
#include "sign/srs_ring.h"

struct full_mailboxes;
struct greylist_book;
struct report_store;
struct store;

struct server {
    struct live_holder *live;
    struct directory *directory;
    struct directory_cache *directory_cache;
    struct clients *clients;
    struct event_log *log;
    struct key_ring *keys;          /* mta */
    struct srs_ring *srs;           /* mta */
    struct key_cache *opened_keys;  /* mta: of others */
    struct full_mailboxes *full;    /* mta */
    struct queue *queue;            /* mta */
    struct greylist_book *greylist; /* mta, in charge; NULL: nobody is remembered */
    struct resolver *resolver;      /* mta */
    struct report_store *reports;   /* mta, in charge; NULL: none are kept */
    atomic_int report_readers;      /* mails to the address for reports that are being read */
    struct store *store;            /* mda */
    atomic_int_least64_t in_flight_bytes;
    atomic_int_least64_t session_count; /* of all listeners */
    atomic_int_least64_t held_count;    /* sessions whose replies are held up */
    int64_t session_max;                /* what the descriptors of the process suffice for */
    atomic_bool is_disk_low;            /* for server_is_disk_low */
    struct bell disk_bell;
    atomic_bool is_draining;  /* shutting down: sessions end after their transaction */
    atomic_bool is_in_charge; /* queue or store are open: no process of before has them any more */
    atomic_uint_least64_t next_session;
};

/* One listening socket and what it is for; the listener's arg. */
struct service {
    struct server *server;
    struct listener listener;
    char name[64]; /* of the listener in the configuration */
    atomic_int_least64_t session_count;
    struct {
        atomic_int_least64_t second; /* on the loops' clock */
        atomic_uint told;            /* in that second */
        atomic_int_least64_t untold;
    } refusals; /* at the door: each is an event, but where there are very many */
};

enum { SESSION_ID_MAX = 20 };

/* A new id for a session, unique in the role's life and short. */
struct str server_session_id(struct server *s, char text[SESSION_ID_MAX]);

/* Whether there is less room on the disk than the reserve, as of a second ago; after a quiet time as
 * of its beginning. Has it looked at again. */
bool server_is_disk_low(struct server *s);

/*
 * Waits until queue or store are open: beside a process of before that still has them, a session gets
 * as far as that. 451 4.3.2 when that takes too long, 421 4.3.2 when the role stops. Whoever takes
 * charge, and whoever stops, nudges the sessions.
 */
struct fault server_await_charge(struct server *s);

/* Whether a transaction may begin: waits for the above; 452 4.3.1 when the disk is low. */
struct fault server_may_begin(struct server *s);

/* The listener's part of a snapshot, or NULL when a reload has taken the listener away. */
const struct conf_listener *service_conf(const struct service *s, const struct conf *conf);

#endif
