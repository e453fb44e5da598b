/* SPDX-License-Identifier: ISC */
/*
 * socket_calls.c - the C library's calls about sockets
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk.h"
#include "net.h"

enum { REFUSED_MS = 1, CONNECT_PATIENCE_S = 130 };

static int fail(int error)
{
    errno = error;
    return -1;
}

static struct stream *stream_of(int descriptor)
{
    struct object *o = system_object(descriptor);
    if (o && o->kind != OBJECT_STREAM)
        errno = ENOTSOCK;
    return o && o->kind == OBJECT_STREAM ? (struct stream *)(void *)o : NULL;
}

/* A socket that has not been used yet is a listener; it becomes a stream by connect. */
int socket(int family, int type, int protocol)
{
    (void)protocol;
    system_call();
    if (family != AF_INET && family != AF_UNIX)
        return fail(EAFNOSUPPORT);
    struct listener *l = world_alloc(sizeof *l);
    l->object = (struct object){
        .kind = OBJECT_LISTENER, .references = 1, .flags = type & SOCK_NONBLOCK ? O_NONBLOCK : 0};
    l->at.any.sa_family = (sa_family_t)family;
    return system_open(&l->object);
}

static struct listener *listener_of(int descriptor)
{
    struct object *o = system_object(descriptor);
    if (o && o->kind != OBJECT_LISTENER)
        errno = EISCONN;
    return o && o->kind == OBJECT_LISTENER ? (struct listener *)(void *)o : NULL;
}

int bind(int descriptor, const struct sockaddr *address, socklen_t length)
{
    char last[DISK_NAME_MAX];
    struct listener *l = listener_of(descriptor);
    if (!l)
        return -1;
    memcpy(&l->at, address, length);
    l->length = length;
    if (address->sa_family != AF_UNIX)
        return 0;
    struct inode *parent;
    if (disk_find(world->disk->root, l->at.un.sun_path, &parent, last))
        return fail(EADDRINUSE);
    if (!parent)
        return -1;
    disk_create(parent, last, INODE_SOCKET, 0755);
    return 0;
}

int listen(int descriptor, int backlog)
{
    (void)backlog;
    struct listener *l = listener_of(descriptor);
    if (!l)
        return -1;
    if (net_listener(&l->at))
        return fail(EADDRINUSE);
    l->waiting = world_alloc(NET_WAITING_MOST * sizeof *l->waiting);
    l->is_listening = true;
    l->next = world->net->listeners;
    world->net->listeners = l;
    return 0;
}

void listener_end(struct object *o)
{
    struct listener *l = (struct listener *)(void *)o;
    for (size_t i = 0; i < l->waiting_count; i++)
        net_reset(l->waiting[i]);
    for (struct listener **at = &world->net->listeners; *at; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    if (l->waiting)
        world_free(l->waiting, NET_WAITING_MOST * sizeof *l->waiting);
    world_free(l, sizeof *l);
}

uint32_t listener_ready(const struct object *o)
{
    const struct listener *l = (const struct listener *)(const void *)o;
    return l->waiting_count > 0 ? EPOLLIN : 0;
}

static int name_of(const union address *a, socklen_t size, struct sockaddr *out, socklen_t *length)
{
    if (*length > size)
        *length = size;
    memcpy(out, a, *length);
    *length = size;
    return 0;
}

/* What names the other end of a stream: those on Unix sockets have no name. */
static socklen_t remote_size(const struct stream *s)
{
    return s->remote.any.sa_family == AF_UNIX ? sizeof(sa_family_t) : s->length;
}

int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags)
{
    (void)flags;
    struct listener *l = listener_of(descriptor);
    system_call();
    if (!l || l->waiting_count == 0)
        return l ? fail(EAGAIN) : -1;
    if (world->net->descriptor_count >= world->net->descriptor_limit)
        return fail(EMFILE);
    struct stream *s = l->waiting[0];
    memmove(l->waiting, l->waiting + 1, --l->waiting_count * sizeof *l->waiting);
    if (address)
        name_of(&s->remote, remote_size(s), address, length);
    return system_open(&s->object);
}

/* The descriptor of a socket becomes that of a stream. */
static struct stream *become_stream(int descriptor, const struct link *link)
{
    struct listener *l = listener_of(descriptor);
    struct stream *s = stream_make(link);
    s->local = l->at;
    s->length = l->length;
    world->net->descriptor[descriptor - SYSTEM_FIRST] = &s->object;
    object_drop(&l->object);
    return s;
}

struct call {
    struct host *host;
    struct stream *stream;
};

static void serve_host(void *arg)
{
    struct call c = *(struct call *)arg;
    world_free(arg, sizeof c);
    c.host->serve(c.stream, c.host->arg);
}

static void fail_connect(struct stream *s, int error)
{
    s->state = STREAM_FAILED;
    s->error = error;
    object_changed(&s->object, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP);
}

static struct host *host_at(const union address *to)
{
    for (struct host *h = world->net->hosts; h; h = h->next)
        if (h->address == ntohl(to->in.sin_addr.s_addr))
            return h;
    return NULL;
}

/* The first packet has come to the other side and its answer back. */
static void be_answered(void *arg, uint64_t number)
{
    enum { PEER_STACK_BYTES = 32 * 1024, WITH_TLS = 128 * 1024 };
    struct stream *s = arg;
    if (s->number != number)
        return;
    struct host *h = host_at(&s->remote);
    if (!h || h->state == HOST_UNREACHABLE) {
        fail_connect(s, EHOSTUNREACH);
    } else if (h->state == HOST_REFUSES) {
        fail_connect(s, ECONNREFUSED);
    } else if (h->state == HOST_SILENT) {
        if (world->now_ns - s->last_arrival_ns > CONNECT_PATIENCE_S * SIM_SECOND)
            fail_connect(s, ETIMEDOUT);
        else
            sim_after(CONNECT_PATIENCE_S * SIM_SECOND, be_answered, s, number);
    } else {
        struct stream *theirs = stream_make(&s->link);
        theirs->remote = s->local;
        theirs->local = s->remote;
        theirs->length = s->length;
        stream_join(s, theirs);
        struct call *c = world_alloc(sizeof *c);
        *c = (struct call){h, theirs};
        fiber_start("host", false, h->has_tls ? WITH_TLS : PEER_STACK_BYTES, serve_host, c);
        object_changed(&s->object, EPOLLOUT);
    }
}

static int connect_host(int descriptor, const union address *to, socklen_t length)
{
    struct host *h = host_at(to);
    struct link link = h ? h->link : (struct link){.latency_ns = SIM_MS};
    struct stream *s = become_stream(descriptor, &link);
    s->remote = *to;
    s->length = length;
    s->local.in = (struct sockaddr_in){.sin_family = AF_INET,
                                       .sin_port = htons(++world->net->port_last),
                                       .sin_addr.s_addr = htonl(0xc0000201)};
    s->last_arrival_ns = world->now_ns;
    s->crowd = h ? h->crowd : NULL;
    if (s->crowd && ++s->crowd->open > s->crowd->most)
        s->crowd->most = s->crowd->open;
    sim_after(2 * link.latency_ns, be_answered, s, s->number);
    return fail(EINPROGRESS);
}

static int connect_unix(int descriptor, const union address *to, socklen_t length)
{
    static const struct link link = {.latency_ns = 2000, .jitter_ns = 5000};
    struct inode *name = disk_find(world->disk->root, to->un.sun_path, NULL, NULL);
    struct listener *l = net_listener(to);
    if (!name)
        return -1;
    if (!l)
        return fail(ECONNREFUSED);
    if (l->waiting_count == NET_WAITING_MOST)
        return fail(EAGAIN);
    struct stream *mine = become_stream(descriptor, &link), *theirs = stream_make(&link);
    mine->remote = theirs->local = *to;
    mine->length = theirs->length = length;
    theirs->remote.any.sa_family = AF_UNIX;
    stream_join(mine, theirs);
    l->waiting[l->waiting_count++] = theirs;
    object_changed(&l->object, EPOLLIN);
    return 0;
}

int connect(int descriptor, const struct sockaddr *address, socklen_t length)
{
    union address to = {0};
    system_call();
    if (!listener_of(descriptor))
        return -1;
    memcpy(&to, address, length);
    return address->sa_family == AF_UNIX ? connect_unix(descriptor, &to, length)
                                         : connect_host(descriptor, &to, length);
}

int getsockopt(int descriptor, int level, int name, void *restrict value,
               socklen_t *restrict length)
{
    struct stream *s = stream_of(descriptor);
    if (!s || level != SOL_SOCKET || name != SO_ERROR)
        return s ? fail(ENOPROTOOPT) : -1;
    int error = s->state == STREAM_FAILED ? s->error : 0;
    memcpy(value, &error, sizeof error);
    *length = sizeof error;
    return 0;
}

int setsockopt(int descriptor, int level, int name, const void *value, socklen_t length)
{
    (void)value;
    (void)length;
    struct object *o = system_object(descriptor);
    if (o && o->kind == OBJECT_STREAM && level == SOL_SOCKET && name == SO_LINGER)
        ((struct stream *)(void *)o)->has_sent_end = false; /* the close resets */
    return o ? 0 : -1;
}

int getsockname(int descriptor, struct sockaddr *restrict out, socklen_t *restrict length)
{
    struct object *o = system_object(descriptor);
    if (!o)
        return -1;
    if (o->kind == OBJECT_LISTENER) {
        struct listener *l = (struct listener *)(void *)o;
        return name_of(&l->at, l->length, out, length);
    }
    struct stream *s = stream_of(descriptor);
    return s ? name_of(&s->local, s->length, out, length) : -1;
}

int getpeername(int descriptor, struct sockaddr *restrict out, socklen_t *restrict length)
{
    struct stream *s = stream_of(descriptor);
    return s ? name_of(&s->remote, remote_size(s), out, length) : -1;
}

ssize_t recv(int descriptor, void *memory, size_t size, int flags)
{
    struct stream *s = stream_of(descriptor);
    system_call();
    return s ? stream_read(&s->object, memory, size, flags & MSG_PEEK) : -1;
}

ssize_t send(int descriptor, const void *memory, size_t size, int flags)
{
    (void)flags;
    struct stream *s = stream_of(descriptor);
    system_call();
    return s ? stream_write(&s->object, memory, size) : -1;
}

ssize_t channel_send_on(struct object *o, const struct msghdr *message);
ssize_t channel_receive_on(struct object *o, struct msghdr *message);

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags)
{
    (void)flags;
    struct object *o = system_object(descriptor);
    ssize_t done = 0;
    system_call();
    if (o && o->kind == OBJECT_CHANNEL)
        return channel_send_on(o, message);
    struct stream *s = stream_of(descriptor);
    for (size_t i = 0; s && i < message->msg_iovlen; i++) {
        const struct iovec *part = &message->msg_iov[i];
        if (part->iov_len == 0)
            continue;
        ssize_t n = stream_write(&s->object, part->iov_base, part->iov_len);
        if (n < 0)
            return done > 0 ? done : -1;
        done += n;
        if ((size_t)n < part->iov_len)
            break;
    }
    return s ? done : -1;
}

ssize_t recvmsg(int descriptor, struct msghdr *message, int flags)
{
    (void)flags;
    struct object *o = system_object(descriptor);
    system_call();
    return o && o->kind == OBJECT_CHANNEL ? channel_receive_on(o, message) : fail(ENOTSOCK);
}

int shutdown(int descriptor, int how)
{
    struct stream *s = stream_of(descriptor);
    system_call();
    if (!s)
        return -1;
    if (how != SHUT_RD)
        net_end_writing(s);
    return 0;
}

/* Packets with descriptors in them, between supervisor and roles. */
enum { PACKETS_MOST = 16, RIGHTS_MOST = 130 };

struct packet {
    char *bytes;
    size_t size;
    struct object *rights[RIGHTS_MOST];
    size_t right_count;
};

struct channel {
    struct object object;
    struct channel *other;
    struct packet packet[PACKETS_MOST];
    size_t count;
    bool is_over;
};

int socketpair(int family, int type, int protocol, int ends[2])
{
    (void)family;
    (void)type;
    (void)protocol;
    struct channel *c[2];
    for (int i = 0; i < 2; i++) {
        c[i] = world_alloc(sizeof *c[i]);
        c[i]->object = (struct object){.kind = OBJECT_CHANNEL, .references = 1};
    }
    c[0]->other = c[1];
    c[1]->other = c[0];
    ends[0] = system_open(&c[0]->object);
    ends[1] = system_open(&c[1]->object);
    return 0;
}

void channel_end(struct object *o)
{
    struct channel *c = (struct channel *)(void *)o;
    for (size_t i = 0; i < c->count; i++) {
        for (size_t k = 0; k < c->packet[i].right_count; k++)
            object_drop(c->packet[i].rights[k]);
        world_free(c->packet[i].bytes, c->packet[i].size);
    }
    if (c->other) {
        c->other->other = NULL;
        c->other->is_over = true;
        object_changed(&c->other->object, EPOLLIN | EPOLLHUP | EPOLLRDHUP);
    }
    world_free(c, sizeof *c);
}

uint32_t channel_ready(const struct object *o)
{
    const struct channel *c = (const struct channel *)(const void *)o;
    return (c->count > 0 || c->is_over ? EPOLLIN : 0u) | EPOLLOUT | (c->is_over ? EPOLLHUP : 0u);
}

ssize_t channel_send_on(struct object *o, const struct msghdr *message)
{
    struct channel *to = ((struct channel *)(void *)o)->other;
    if (!to)
        return fail(EPIPE);
    if (to->count == PACKETS_MOST)
        return fail(EAGAIN);
    struct packet *p = &to->packet[to->count++];
    p->size = message->msg_iov[0].iov_len;
    p->bytes = world_alloc(p->size);
    memcpy(p->bytes, message->msg_iov[0].iov_base, p->size);
    p->right_count = 0;
    const struct cmsghdr *h = message->msg_controllen ? CMSG_FIRSTHDR(message) : NULL;
    if (h) {
        int descriptors[RIGHTS_MOST];
        p->right_count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors, CMSG_DATA(h), p->right_count * sizeof(int));
        for (size_t i = 0; i < p->right_count; i++) {
            p->rights[i] = system_object(descriptors[i]);
            p->rights[i]->references++;
        }
    }
    object_changed(&to->object, EPOLLIN);
    return (ssize_t)p->size;
}

static void give_rights(const struct packet *p, struct msghdr *message)
{
    int descriptors[RIGHTS_MOST];
    for (size_t i = 0; i < p->right_count; i++)
        descriptors[i] = system_open(p->rights[i]);
    struct cmsghdr *h = message->msg_control;
    if (p->right_count == 0) {
        message->msg_controllen = 0;
        return;
    }
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(p->right_count * sizeof(int));
    memcpy(CMSG_DATA(h), descriptors, p->right_count * sizeof(int));
    message->msg_controllen = CMSG_SPACE(p->right_count * sizeof(int));
}

ssize_t channel_receive_on(struct object *o, struct msghdr *message)
{
    struct channel *c = (struct channel *)(void *)o;
    if (c->count == 0)
        return c->is_over ? 0 : fail(EAGAIN);
    struct packet p = c->packet[0];
    memmove(c->packet, c->packet + 1, --c->count * sizeof *c->packet);
    message->msg_flags = 0;
    memcpy(message->msg_iov[0].iov_base, p.bytes, p.size);
    give_rights(&p, message);
    world_free(p.bytes, p.size);
    return (ssize_t)p.size;
}
