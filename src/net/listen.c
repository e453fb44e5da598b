/* SPDX-License-Identifier: ISC */
/*
 * listen.c - accepting connections and spreading them over the loops
 *
 * Every loop watches every listening socket (the kernel wakes one of them); the loop that accepts
 * hands the new descriptor to the loop with the fewest streams. One with SO_REUSEPORT for each loop
 * would spread by hash, which leaves one of two loops idle for small numbers, and would drop connections
 * that wait in the queue of a socket that is closed.
 */
#include "net/listen.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* During a reload the new listeners are there before the old ones go. */
enum { MOST_LISTENERS = 128, ACCEPTS_A_TURN = 16, BACKLOG = 4096, FULL_PAUSE_MS = 100 };

struct watched {
    struct loop_watch watch;
    struct acceptor *acceptor;
    struct listener *listener; /* NULL: a free place */
};

struct acceptor {
    struct loop *loop;
    struct scope *scope;
    struct acceptor **peers;
    size_t peer_count;
    struct watched watched[MOST_LISTENERS]; /* the loop knows their addresses: none ever moves */
    struct loop_timer pause;                /* descriptors ran out: accept again later */
    bool is_stopped;
    atomic_size_t stream_count;
};

/* A connection on its way to its loop. */
struct arrival {
    struct loop_message message;
    struct acceptor *acceptor;
    struct listener *listener;
    int descriptor;
};

/* Only a socket makes way for a socket: the file may be anything, by a slip in the configuration. */
static bool is_other_file(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode);
}

void listen_remove(const struct endpoint *at)
{
    const char *path = ((const struct sockaddr_un *)&at->address)->sun_path;
    if (!is_other_file(path))
        unlink(path);
}

struct fault listen_may_replace(const char *path)
{
    if (is_other_file(path))
        return fault_make(551, FAULT_STATUS(5, 3, 5),
                          "%s exists and is not a socket; it is not replaced", path);
    return FINE;
}

/* Somebody accepts connections on the Unix socket: it is in use and not left over. */
static bool is_served(const struct endpoint *at)
{
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_taken = s >= 0 && (connect(s, (const struct sockaddr *)&at->address, at->length) == 0 ||
                               errno == EAGAIN);
    if (s >= 0)
        close(s);
    return is_taken;
}

static bool bind_and_listen(int s, const struct endpoint *at)
{
    int family = at->address.ss_family, on = 1;
    if (family == AF_UNIX)
        listen_remove(at);
    else
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6)
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    return bind(s, (const struct sockaddr *)&at->address, at->length) == 0 &&
           listen(s, BACKLOG) == 0;
}

/* Whether sockets of this user that say the same may share the port. */
static void share_port(const int *descriptors, size_t count, int is_shared)
{
    for (size_t i = 0; i < count; i++)
        setsockopt(descriptors[i], SOL_SOCKET, SO_REUSEPORT, &is_shared, sizeof is_shared);
}

static bool bind_beside(int s, const struct endpoint *at, const int *others, size_t count)
{
    if (count == 0)
        return bind_and_listen(s, at);
    share_port(others, count, 1);
    share_port(&s, 1, 1);
    bool is_good = bind_and_listen(s, at);
    int error = errno;
    share_port(&s, 1, 0);
    share_port(others, count, 0);
    errno = error;
    return is_good;
}

struct fault listen_open(const struct endpoint *at, int *descriptor)
{
    return listen_open_beside(at, NULL, 0, descriptor);
}

struct fault listen_open_beside(const struct endpoint *at, const int *others, size_t count,
                                int *descriptor)
{
    char text[ENDPOINT_TEXT_MAX];
    if (endpoint_is_unix(at)) {
        struct fault f = listen_may_replace(((const struct sockaddr_un *)&at->address)->sun_path);
        if (f.kind)
            return f;
        if (is_served(at))
            return fault_make(451, FAULT_STATUS(4, 3, 5),
                              "cannot listen on " STR_FMT ": another server listens there",
                              STR_ARG(endpoint_text(at, text)));
    }
    int s = socket(at->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s >= 0 && bind_beside(s, at, others, count)) {
        *descriptor = s;
        return FINE;
    }
    int error = errno;
    if (s >= 0)
        close(s);
    struct str name = endpoint_text(at, text);
    return fault_make(451, FAULT_STATUS(4, 3, 5), "cannot listen on " STR_FMT ": %s", STR_ARG(name),
                      strerrordesc_np(error));
}

static void leave(struct acceptor *a, struct listener *l)
{
    atomic_fetch_sub(&a->stream_count, 1);
    atomic_fetch_sub(&l->stream_count, 1);
}

static void serve(void *arg)
{
    struct arrival *arrival = arg;
    struct acceptor *a = arrival->acceptor;
    struct listener *l = arrival->listener;
    struct conn *c;
    struct fault f = conn_open(arrival->descriptor, &c);
    free(arrival);
    if (!f.kind)
        l->serve(c, l->arg);
    leave(a, l);
}

static void arrive(struct loop_message *message)
{
    struct arrival *arrival = (struct arrival *)(void *)message;
    struct acceptor *a = arrival->acceptor;
    if (task_start(a->scope, arrival->listener->task_name, serve, arrival))
        return;
    close(arrival->descriptor);
    leave(a, arrival->listener);
    free(arrival);
}

static struct acceptor *least_loaded(struct acceptor *a)
{
    struct acceptor *best = a;
    for (size_t i = 0; i < a->peer_count; i++)
        if (acceptor_count(a->peers[i]) < acceptor_count(best))
            best = a->peers[i];
    return best;
}

/* True when the connection was refused. The text fits into the buffer of a fresh socket, and goes in one segment with
 * the end of the connection; what the client has not read of it stays there for it. */
static bool turn_away(const struct listener *l, int descriptor, const struct endpoint *peer)
{
    if (!l->is_full || !l->is_full(l->arg))
        return false;
    struct str text = l->turn_away(peer, l->arg);
    send(descriptor, text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
    close(descriptor);
    return true;
}

static void hand_over(struct watched *w, int descriptor)
{
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct arrival *arrival = malloc(sizeof *arrival);
    if (!arrival)
        abort();
    struct acceptor *to = least_loaded(w->acceptor);
    *arrival = (struct arrival){{NULL, arrive}, to, w->listener, descriptor};
    atomic_fetch_add(&to->stream_count, 1);
    atomic_fetch_add(&w->listener->stream_count, 1);
    if (to == w->acceptor)
        arrive(&arrival->message);
    else
        loop_post(to->loop, &arrival->message);
}

static void unwatch_all(struct acceptor *a)
{
    for (size_t i = 0; i < MOST_LISTENERS; i++)
        if (a->watched[i].listener)
            loop_unwatch(a->loop, a->watched[i].listener->descriptor);
}

static void resume(struct loop_timer *timer)
{
    struct acceptor *a = (struct acceptor *)((char *)timer - offsetof(struct acceptor, pause));
    if (a->is_stopped)
        return;
    for (size_t i = 0; i < MOST_LISTENERS; i++)
        if (a->watched[i].listener)
            loop_watch_listener(a->loop, a->watched[i].listener->descriptor, &a->watched[i].watch);
}

static void accept_some(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    struct watched *w = (struct watched *)(void *)watch;
    struct acceptor *a = w->acceptor;
    for (int i = 0; i < ACCEPTS_A_TURN && !a->is_stopped; i++) {
        struct endpoint peer = {.length = sizeof peer.address};
        int s = accept4(w->listener->descriptor, (struct sockaddr *)&peer.address, &peer.length,
                        SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (s >= 0) {
            if (!turn_away(w->listener, s, &peer))
                hand_over(w, s);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The socket stays readable: look away for a moment instead of turning in circles. */
            unwatch_all(a);
            loop_timer_set(a->loop, &a->pause, loop_now_ms(a->loop) + FULL_PAUSE_MS);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

struct acceptor *acceptor_start(struct scope *scope, struct acceptor **peers, size_t peer_count)
{
    struct acceptor *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    a->loop = loop_current();
    a->scope = scope;
    a->peers = peers;
    a->peer_count = peer_count;
    a->pause.expire = resume;
    return a;
}

struct fault acceptor_add(struct acceptor *a, struct listener *l)
{
    struct watched *w = a->watched;
    while (w < a->watched + MOST_LISTENERS && w->listener)
        w++;
    if (w == a->watched + MOST_LISTENERS)
        return fault_make(451, FAULT_STATUS(4, 3, 5), "more than %d listeners", MOST_LISTENERS);
    *w = (struct watched){{accept_some}, a, l};
    struct fault f = loop_watch_listener(a->loop, l->descriptor, &w->watch);
    if (f.kind)
        w->listener = NULL;
    return f;
}

void acceptor_remove(struct acceptor *a, const struct listener *l)
{
    for (size_t i = 0; i < MOST_LISTENERS; i++) {
        if (a->watched[i].listener != l)
            continue;
        loop_unwatch(a->loop, l->descriptor);
        a->watched[i].listener = NULL;
    }
}

void acceptor_stop(struct acceptor *a)
{
    if (a->is_stopped)
        return;
    a->is_stopped = true;
    unwatch_all(a);
    loop_timer_clear(a->loop, &a->pause);
}

void acceptor_free(struct acceptor *a)
{
    assert(atomic_load(&a->stream_count) == 0);
    free(a);
}

size_t acceptor_count(const struct acceptor *a)
{
    return atomic_load_explicit(&a->stream_count, memory_order_relaxed);
}
