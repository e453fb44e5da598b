/* SPDX-License-Identifier: ISC */
/*
 * net.h - the network between the server and its peers: in memory, slow, and not to be relied on
 *
 * A stream has two ends. Bytes that are written take a while; they arrive in pieces of any size. A
 * link may lose its other end without a word, be reset in the middle, or carry a byte at a time.
 * Peers are fibers that use the calls below; the server uses sockets.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include <netinet/in.h>
#include <sys/un.h>

#include "system.h"

/* How a connection behaves. */
struct link {
    int64_t latency_ns;   /* one way */
    int64_t jitter_ns;    /* and at most that much more */
    unsigned lost_one_in; /* pieces that come a second or more late, as if sent again; 0: none */
    size_t window;        /* bytes under way in one direction */
    size_t piece;         /* at most so many arrive together; 0: as sent */
    uint64_t reset_after; /* bytes in one direction; 0: never */
    uint64_t silent_after;
};

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_un un;
    struct sockaddr_storage room;
};

enum stream_state { STREAM_CONNECTING, STREAM_OPEN, STREAM_RESET, STREAM_FAILED };

struct stream {
    struct object object;
    struct stream *peer; /* NULL: gone */
    struct link link;    /* for what is written here */
    enum stream_state state;
    int error; /* of a connect that failed; told once */
    bool was_told;
    char *ring; /* what came in: arrived bytes, then those under way */
    size_t room, start, arrived, under_way;
    int64_t last_arrival_ns;
    bool has_sent_end, has_end; /* nothing more is written here; the other end has said so */
    bool is_silent;
    uint64_t written;
    union address local, remote;
    socklen_t length;
    struct fiber *waiter; /* a peer */
    struct crowd *crowd;  /* that it counts for */
    uint64_t number;
};

/* Connections that the server has open to a group of hosts at a time, and had at most. */
struct crowd {
    unsigned open, most;
};

/* A host of the net: what it says to a connection. */
enum host_state { HOST_SERVES, HOST_REFUSES, HOST_SILENT, HOST_UNREACHABLE };
struct host {
    struct host *next;
    uint32_t address; /* host byte order */
    enum host_state state;
    struct link link;
    void (*serve)(struct stream *s, void *arg); /* in a fiber of its own; closes the stream */
    void *arg;
    struct crowd *crowd;
    bool has_tls; /* which takes more stack */
};

struct listener {
    struct object object;
    union address at;
    socklen_t length;
    struct stream **waiting;
    size_t waiting_count;
    struct listener *next;
    bool is_listening;
};

struct net {
    struct host *hosts;
    struct listener *listeners;
    uint64_t stream_last;
    uint16_t port_last;
    size_t streams_open;
    struct stream *free_streams; /* no other record may take their places: events know them */
    struct object *descriptor[SYSTEM_DESCRIPTORS];
    unsigned descriptor_count, descriptor_limit;
    int signals[8];
    size_t signal_count;
    struct object *signal_object;
    struct fiber *poller; /* in poll */
};

enum { NET_WAITING_MOST = 64 };

void net_make(void);
struct host *net_add_host(uint32_t address, void (*serve)(struct stream *s, void *arg), void *arg);

/* For peers. Connects to a port of the server's; NULL when nobody listens. */
struct stream *net_connect(uint32_t from, uint16_t port, const struct link *link);

/* Reads at most size bytes: 0 at the end, -1 after a reset or when the time is over. */
ptrdiff_t net_read(struct stream *s, void *memory, size_t size, int64_t deadline_ns);

/* Writes all; false when the other end is gone or the time is over. */
bool net_write(struct stream *s, const void *memory, size_t size, int64_t deadline_ns);

/* Whether the other end has read all that was written. */
bool net_is_heard(const struct stream *s);

/* Says that no more comes; the stream can still be read. */
void net_end_writing(struct stream *s);
void net_close(struct stream *s);
void net_reset(struct stream *s);

/* A pair for the server's own calls. */
struct stream *stream_make(const struct link *link);
void stream_join(struct stream *a, struct stream *b);
struct listener *net_listener(const union address *at);

#endif
