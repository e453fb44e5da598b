/* SPDX-License-Identifier: ISC */
/*
 * stand_descriptors.c - channels, texts and listening sockets without a system, for the reload's target
 *
 * The numbers begin far above the system's, which go on to it. The linker sends the calls here
 * (--wrap), but for the sanitizers, which see the real ones.
 */
#include "stand_descriptors.h"

#include <errno.h>
#include <sys/un.h>

#include "descriptors.h"
#include "fuzz.h"

enum { FIRST = 1 << 20, OPEN_MOST = 512, CARRIED_MOST = 128, QUEUE_OCTETS_MOST = 200000 };

/* A packet on its way, with what its descriptors stand for. */
struct packet {
    struct packet *next;
    size_t size, count;
    struct object *carried[CARRIED_MOST];
    char octets[];
};

struct object {
    size_t holders;
    struct object *peer; /* of an end, unless it is gone */
    struct packet *first, *last;
    size_t queued; /* octets */
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
};

static struct object *table[OPEN_MOST];
static size_t descriptor_count, object_count;

size_t descriptors_held(void)
{
    return descriptor_count + object_count;
}

static struct object *make(void)
{
    struct object *o = calloc(1, sizeof *o);
    must(o != NULL);
    object_count++;
    return o;
}

static int give_number(struct object *o)
{
    size_t i = 0;
    while (i < OPEN_MOST && table[i])
        i++;
    must(i < OPEN_MOST);
    table[i] = o;
    o->holders++;
    descriptor_count++;
    return FIRST + (int)i;
}

static struct object *find(int descriptor)
{
    must(descriptor >= FIRST && descriptor < FIRST + OPEN_MOST && table[descriptor - FIRST]);
    return table[descriptor - FIRST];
}

static struct packet *take(struct object *o)
{
    struct packet *p = o->first;
    if (!p)
        return NULL;
    o->first = p->next;
    if (!o->first)
        o->last = NULL;
    o->queued -= p->size;
    return p;
}

static void let_go(struct object *o)
{
    if (--o->holders > 0)
        return;
    for (struct packet *p; (p = take(o)) != NULL; free(p))
        for (size_t i = 0; i < p->count; i++)
            let_go(p->carried[i]);
    if (o->peer)
        o->peer->peer = NULL;
    free(o);
    object_count--;
}

int __wrap_close(int descriptor)
{
    if (descriptor < FIRST)
        return __real_close(descriptor);
    struct object *o = find(descriptor);
    table[descriptor - FIRST] = NULL;
    descriptor_count--;
    let_go(o);
    return 0;
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
    (void)name, (void)flags;
    return give_number(make());
}

ssize_t __wrap_write(int descriptor, const void *memory, size_t size)
{
    return descriptor < FIRST ? __real_write(descriptor, memory, size) : (ssize_t)size;
}

int __wrap_socketpair(int domain, int type, int protocol, int ends[2])
{
    struct object *one = make(), *other = make();
    (void)domain, (void)type, (void)protocol;
    one->peer = other;
    other->peer = one;
    ends[0] = give_number(one);
    ends[1] = give_number(other);
    return 0;
}

static ssize_t fail(int error)
{
    errno = error;
    return -1;
}

static void carry(struct packet *p, const struct msghdr *message)
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (!header)
        return;
    p->count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    must(p->count <= CARRIED_MOST);
    for (size_t i = 0; i < p->count; i++) {
        int descriptor;
        memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof descriptor);
        p->carried[i] = find(descriptor);
        p->carried[i]->holders++;
    }
}

ssize_t __wrap_sendmsg(int descriptor, const struct msghdr *message, int flags)
{
    struct object *to = find(descriptor)->peer;
    size_t size = message->msg_iov->iov_len;
    (void)flags;
    must(message->msg_iovlen == 1);
    if (!to)
        return fail(EPIPE);
    if (to->queued + size > QUEUE_OCTETS_MOST)
        return fail(EAGAIN);
    struct packet *p = malloc(sizeof *p + size);
    must(p != NULL);
    p->next = NULL;
    p->size = size;
    p->count = 0;
    memcpy(p->octets, message->msg_iov->iov_base, size);
    carry(p, message);
    if (to->last)
        to->last->next = p;
    else
        to->first = p;
    to->last = p;
    to->queued += size;
    return (ssize_t)size;
}

/* As many as there is room for; the rest is gone, and that is told. */
static void hand_over(struct packet *p, struct msghdr *message)
{
    size_t room = message->msg_controllen, fit = 0;
    if (room > CMSG_LEN(0))
        fit = (room - CMSG_LEN(0)) / sizeof(int);
    if (fit < p->count)
        message->msg_flags |= MSG_CTRUNC;
    size_t count = fit < p->count ? fit : p->count;
    struct cmsghdr *header = count > 0 ? CMSG_FIRSTHDR(message) : NULL;
    for (size_t i = 0; i < p->count; i++) {
        if (i < count) {
            int descriptor = give_number(p->carried[i]);
            memcpy(CMSG_DATA(header) + i * sizeof(int), &descriptor, sizeof descriptor);
        }
        let_go(p->carried[i]);
    }
    message->msg_controllen = 0;
    if (!header)
        return;
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    message->msg_controllen = CMSG_SPACE(count * sizeof(int));
}

ssize_t __wrap_recvmsg(int descriptor, struct msghdr *message, int flags)
{
    struct object *from = find(descriptor);
    struct packet *p = take(from);
    (void)flags;
    message->msg_flags = 0;
    if (!p && from->peer)
        return fail(EAGAIN);
    if (!p)
        return 0;
    size_t room = message->msg_iov->iov_len, size = p->size < room ? p->size : room;
    memcpy(message->msg_iov->iov_base, p->octets, size);
    if (size < p->size)
        message->msg_flags |= MSG_TRUNC;
    hand_over(p, message);
    free(p);
    return (ssize_t)size;
}

static const char *path_of(const struct endpoint *at)
{
    must(at->address.ss_family == AF_UNIX);
    return ((const struct sockaddr_un *)&at->address)->sun_path;
}

/* One socket listens at a path; there is no directory "none". */
struct fault __wrap_listen_open_beside(const struct endpoint *at, const int *others, size_t count,
                                       int *descriptor)
{
    const char *path = path_of(at);
    bool is_free = !strstr(path, "/none/");
    (void)others, (void)count;
    for (size_t i = 0; i < OPEN_MOST; i++)
        is_free = is_free && !(table[i] && strcmp(table[i]->path, path) == 0);
    if (!is_free)
        return fault_make(451, FAULT_STATUS(4, 3, 5), "cannot listen on %s", path);
    struct object *o = make();
    memcpy(o->path, path, strlen(path) + 1);
    *descriptor = give_number(o);
    return FINE;
}

void __wrap_listen_remove(const struct endpoint *at)
{
    must(path_of(at)[0] != '\0');
}

struct fault __wrap_owner_give(const char *path, const struct owner *owner, unsigned permissions)
{
    must(path[0] && (permissions == 0660 || permissions == 0666));
    (void)owner;
    return FINE;
}

bool __wrap_owner_find(struct str name, struct owner *out)
{
    *out = (struct owner){0, 0};
    return name.n > 0;
}
