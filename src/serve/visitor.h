/* SPDX-License-Identifier: ISC */
/*
 * visitor.h - one connection from outside, whatever protocol it speaks
 *
 * What the sessions of all protocols do alike: find out who is there (the PROXY protocol tells the
 * true client), count the client against the limits, start TLS, wait quietly, say goodbye.
 */
#ifndef SERVE_VISITOR_H
#define SERVE_VISITOR_H

#include "serve/server.h"

#define VISITOR_TOO_MANY "too many connections, try again later"

struct visitor {
    struct server *server;
    struct service *service;
    struct live *live;
    const struct conf_listener *listener; /* in live */
    struct conn *conn;
    char id[SESSION_ID_MAX];
    struct ip_address ip;
    bool is_ip;       /* else a Unix socket */
    bool is_trusted;  /* in the listener's trust networks, or a local process */
    bool is_local;    /* loopback: the machine's own processes */
    bool is_known;    /* has delivered a message before */
    bool has_entered; /* counted in server->clients */
    bool is_counted;  /* in the service */
    uint32_t counted_commands;
    int64_t started_ms;
};

/* Whether the listener of the service (arg) has all the sessions that it may have. For listen. */
bool visitor_is_full(void *arg);

/*
 * Tells, as an event of that name, that a client of the service was not let in. So many a second of
 * a service are told, and of the others their number ("sessions.refused", with count), when the
 * next client comes or goes: whoever knocks without end must not push everything else out of the log.
 */
enum { VISITOR_REFUSALS_TOLD = 20 };
void visitor_tell_full(struct service *service, const struct endpoint *peer, const char *name);

/*
 * Takes the stream over. False when a reload has taken the listener away while the connection was
 * on its way: then it is closed and there is no visitor.
 */
bool visitor_open(struct visitor *v, struct service *service, struct conn *c);

/*
 * Reads the PROXY header where one is due and counts the client in. The fault is 421 (too many
 * connections, malformed header), or that of the stream.
 */
__attribute__((noinline)) struct fault visitor_enter(struct visitor *v);

/* The handshake as server; a failure is told as an event of that name. */
struct fault visitor_start_tls(struct visitor *v, const char *failure_event);

/* Waits for input; a session that is quiet for a moment gives the stack's depths back. */
struct fault visitor_wait_input(struct visitor *v, int64_t deadline_ms);

/* Counts the commands that were said since the last time, by the engine's count of them; 421 4.7.0
 * when the client has said too many in this minute. */
struct fault visitor_count_commands(struct visitor *v, uint32_t said);

/* Whether the role shuts down and nothing is unread. */
bool visitor_is_to_leave(const struct visitor *v);

/* An event with the session's id, its listener and the client; the fault may be NULL. */
void visitor_begin_event(const struct visitor *v, struct event *e, const char *name);
void visitor_tell(const struct visitor *v, const char *name, const struct fault *f);

/* The same where a visitor was not let in, as visitor_tell_full says. */
void visitor_tell_refused(const struct visitor *v, const char *name, const struct fault *f);

/* Counts the client out and closes the stream. */
void visitor_close(struct visitor *v);

/* The time on this loop's clock after so many ms. */
int64_t visitor_deadline(int64_t ms);

#endif
