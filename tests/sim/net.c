/* SPDX-License-Identifier: ISC */
/*
 * net.c - streams between the server and its peers
 */
#include "net.h"

#include <errno.h>
#include <string.h>

enum { PEER_STACK_BYTES = 64 * 1024, RING_BYTES = 32 * 1024 };

void net_make(void)
{
    world->net = world_alloc(sizeof *world->net);
    world->net->descriptor_limit = SYSTEM_DESCRIPTORS;
    world->net->port_last = 20000;
}

struct host *net_add_host(uint32_t address, void (*serve)(struct stream *s, void *arg), void *arg)
{
    struct host *h = world_alloc(sizeof *h);
    *h = (struct host){.next = world->net->hosts, .address = address, .serve = serve, .arg = arg};
    world->net->hosts = h;
    return h;
}

struct stream *stream_make(const struct link *link)
{
    struct stream *s = world->net->free_streams;
    if (s)
        world->net->free_streams = s->peer;
    else
        s = world_alloc(sizeof *s);
    size_t room = link->window && link->window < RING_BYTES ? link->window : RING_BYTES;
    *s = (struct stream){.object = {.kind = OBJECT_STREAM, .references = 1},
                         .link = *link,
                         .room = room,
                         .ring = world_take(room),
                         .number = ++world->net->stream_last};
    world->net->streams_open++;
    return s;
}

void stream_join(struct stream *a, struct stream *b)
{
    a->peer = b;
    b->peer = a;
    a->state = b->state = STREAM_OPEN;
}

static void tell(struct stream *s, uint32_t what)
{
    object_changed(&s->object, what);
    if (s->waiter)
        fiber_wake(s->waiter);
}

/* Events find a stream by its number: it may be gone when they come. */
struct piece {
    struct stream *stream;
    size_t size; /* 0: the end */
    bool is_reset;
};

static void arrive(void *arg, uint64_t number)
{
    struct piece p = *(struct piece *)arg;
    struct stream *s = p.stream;
    world_free(arg, sizeof p);
    if (s->number != number)
        return;
    if (p.is_reset) {
        s->state = STREAM_RESET;
        s->has_end = true;
        tell(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    } else if (p.size == 0) {
        s->has_end = true;
        tell(s, EPOLLIN | EPOLLRDHUP | (s->has_sent_end ? (uint32_t)EPOLLHUP : 0));
    } else {
        s->arrived += p.size;
        s->under_way -= p.size;
        tell(s, EPOLLIN);
    }
}

static void send_piece(struct stream *from, size_t size, bool is_reset)
{
    const struct link *l = &from->link;
    struct stream *to = from->peer;
    int64_t at = world->now_ns + l->latency_ns + sim_between(0, l->jitter_ns);
    if (l->lost_one_in && sim_chance(1, l->lost_one_in))
        at += sim_between(1, 4) * SIM_SECOND;
    if (at < to->last_arrival_ns)
        at = to->last_arrival_ns;
    to->last_arrival_ns = at;
    struct piece *p = world_alloc(sizeof *p);
    *p = (struct piece){to, size, is_reset};
    sim_after(at - world->now_ns, arrive, p, to->number);
}

static void cut(struct stream *s)
{
    if (s->peer)
        send_piece(s, 0, true);
    s->state = STREAM_RESET;
    tell(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

static size_t copy_in(struct stream *to, const char *from, size_t size)
{
    size_t used = to->arrived + to->under_way, n = to->room - used;
    if (n > size)
        n = size;
    for (size_t done = 0; done < n;) {
        size_t at = (to->start + used + done) % to->room, part = to->room - at;
        if (part > n - done)
            part = n - done;
        memcpy(to->ring + at, from + done, part);
        done += part;
    }
    return n;
}

static void put_under_way(struct stream *s, size_t n)
{
    s->peer->under_way += n;
    for (size_t left = n; left > 0;) {
        size_t piece = s->link.piece && s->link.piece < left ? s->link.piece : left;
        if (piece > 1 && sim_chance(1, 6))
            piece = (size_t)sim_between(1, (int64_t)piece);
        send_piece(s, piece, false);
        left -= piece;
    }
}

ptrdiff_t stream_write(struct object *o, const void *memory, size_t size)
{
    struct stream *s = (struct stream *)(void *)o;
    if (s->state != STREAM_OPEN || s->has_sent_end || !s->peer) {
        errno = s->state == STREAM_RESET && !s->was_told ? ECONNRESET : EPIPE;
        if (s->state == STREAM_CONNECTING)
            errno = EAGAIN;
        s->was_told = true;
        return -1;
    }
    s->is_silent |= s->link.silent_after && s->written >= s->link.silent_after;
    if (s->is_silent) { /* the window fills, and nobody says anything any more */
        size_t n = s->written >= s->link.silent_after + s->room ? 0 : size;
        s->written += n;
        errno = EAGAIN;
        return n > 0 ? (ptrdiff_t)n : -1;
    }
    if (s->link.reset_after && s->written >= s->link.reset_after) {
        cut(s);
        errno = ECONNRESET;
        return -1;
    }
    size_t n = copy_in(s->peer, memory, size);
    if (n == 0 && size > 0) {
        errno = EAGAIN;
        return -1;
    }
    s->written += n;
    put_under_way(s, n);
    return (ptrdiff_t)n;
}

ptrdiff_t stream_read(struct object *o, void *memory, size_t size, bool is_peek)
{
    struct stream *s = (struct stream *)(void *)o;
    size_t n = s->arrived < size ? s->arrived : size;
    if (n == 0 && (s->state == STREAM_RESET || s->state == STREAM_FAILED)) {
        errno = s->error ? s->error : ECONNRESET;
        return -1;
    }
    if (n == 0 && s->has_end)
        return 0;
    if (n == 0) {
        errno = EAGAIN;
        return -1;
    }
    for (size_t done = 0; done < n;) {
        size_t at = (s->start + done) % s->room, part = s->room - at;
        if (part > n - done)
            part = n - done;
        memcpy((char *)memory + done, s->ring + at, part);
        done += part;
    }
    if (is_peek)
        return (ptrdiff_t)n;
    bool was_full = s->arrived + s->under_way == s->room;
    s->start = (s->start + n) % s->room;
    s->arrived -= n;
    if (was_full && s->peer)
        tell(s->peer, EPOLLOUT);
    return (ptrdiff_t)n;
}

uint32_t stream_ready(const struct object *o)
{
    const struct stream *s = (const struct stream *)(const void *)o;
    uint32_t ready = 0;
    if (s->state == STREAM_CONNECTING)
        return 0;
    if (s->state != STREAM_OPEN)
        return EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (s->arrived > 0 || s->has_end)
        ready |= EPOLLIN;
    if (s->has_end)
        ready |= EPOLLRDHUP;
    if (s->has_end && s->has_sent_end)
        ready |= EPOLLHUP;
    if (!s->peer || s->peer->arrived + s->peer->under_way < s->peer->room)
        ready |= EPOLLOUT;
    return ready;
}

bool net_is_heard(const struct stream *s)
{
    return s->peer && s->state == STREAM_OPEN && s->peer->arrived + s->peer->under_way == 0;
}

void net_end_writing(struct stream *s)
{
    if (s->has_sent_end)
        return;
    s->has_sent_end = true;
    if (s->peer && s->state == STREAM_OPEN && !s->is_silent)
        send_piece(s, 0, false);
}

/* Who closes with bytes unread resets, as TCP does. */
void stream_end(struct object *o)
{
    struct stream *s = (struct stream *)(void *)o;
    if (s->peer) {
        if (s->state == STREAM_OPEN && !s->is_silent && (s->arrived || !s->has_sent_end))
            send_piece(s, 0, s->arrived > 0);
        s->peer->peer = NULL;
    }
    if (s->crowd)
        s->crowd->open--;
    world_free(s->ring, s->room);
    s->number = 0;
    world->net->streams_open--;
    s->peer = world->net->free_streams;
    world->net->free_streams = s;
}

void net_close(struct stream *s)
{
    if (s)
        object_drop(&s->object);
}

void net_reset(struct stream *s)
{
    if (s->peer && s->state == STREAM_OPEN) {
        cut(s);
        s->peer->peer = NULL;
        s->peer = NULL;
    }
    object_drop(&s->object);
}

static bool wait_on(struct stream *s, int64_t deadline_ns)
{
    s->waiter = fiber_current();
    bool is_woken = fiber_wait_until(deadline_ns);
    s->waiter = NULL;
    return is_woken;
}

ptrdiff_t net_read(struct stream *s, void *memory, size_t size, int64_t deadline_ns)
{
    for (;;) {
        ptrdiff_t n = stream_read(&s->object, memory, size, false);
        if (n >= 0 || errno != EAGAIN)
            return n;
        if (!wait_on(s, deadline_ns))
            return -1;
    }
}

bool net_write(struct stream *s, const void *memory, size_t size, int64_t deadline_ns)
{
    for (size_t done = 0; done < size;) {
        ptrdiff_t n = stream_write(&s->object, (const char *)memory + done, size - done);
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0 && !wait_on(s, deadline_ns))
            return false;
        if (n > 0)
            done += (size_t)n;
    }
    return true;
}

struct listener *net_listener(const union address *at)
{
    for (struct listener *l = world->net->listeners; l; l = l->next) {
        if (!l->is_listening || l->at.any.sa_family != at->any.sa_family)
            continue;
        if (at->any.sa_family == AF_INET && l->at.in.sin_port == at->in.sin_port)
            return l;
        if (at->any.sa_family == AF_UNIX && strcmp(l->at.un.sun_path, at->un.sun_path) == 0)
            return l;
    }
    return NULL;
}

static union address address_of(uint32_t host, uint16_t port)
{
    union address a = {
        .in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host)}};
    return a;
}

struct stream *net_connect(uint32_t from, uint16_t port, const struct link *link)
{
    union address at = address_of(INADDR_LOOPBACK, port);
    fiber_sleep(2 * link->latency_ns);
    struct listener *l = net_listener(&at);
    if (!l || l->waiting_count == NET_WAITING_MOST)
        return NULL;
    struct stream *mine = stream_make(link), *theirs = stream_make(link);
    stream_join(mine, theirs);
    mine->length = theirs->length = sizeof(struct sockaddr_in);
    theirs->local = at;
    theirs->remote = address_of(from, ++world->net->port_last);
    mine->local = theirs->remote;
    mine->remote = at;
    l->waiting[l->waiting_count++] = theirs;
    object_changed(&l->object, EPOLLIN);
    return mine;
}
