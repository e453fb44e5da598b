/* SPDX-License-Identifier: ISC */
/*
 * channel.c - packets between processes of this program, with descriptors in them
 */
#include "os/channel.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 14 };

/* Room for the control message of that many descriptors. */
union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(CHANNEL_DESCRIPTORS_MOST * sizeof(int))];
};

void channel_pair(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        abort();
}

struct fault channel_send(int channel, const void *packet, size_t size, const int *descriptors,
                          size_t count)
{
    union control control = {0};
    struct iovec part = {(void *)(uintptr_t)packet, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    assert(count <= CHANNEL_DESCRIPTORS_MOST);
    if (count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent == (ssize_t)size)
        return FINE;
    return fault_make(451, FAULT_STATUS(4, 3, 0), "no word gets through: %s",
                      strerrordesc_np(errno));
}

static void close_all(const int *descriptors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(descriptors[i]);
}

/* Those of one control message. Its room is padded, so that one more may fit in than was asked for:
 * false when there are more than most. */
static bool take_descriptors(struct msghdr *message, size_t most, int *descriptors, size_t *count)
{
    int came[CHANNEL_DESCRIPTORS_MOST + 1];
    struct cmsghdr *h = CMSG_FIRSTHDR(message);
    if (!h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
        return true;
    size_t bytes = h->cmsg_len - CMSG_LEN(0);
    assert(bytes <= sizeof came);
    memcpy(came, CMSG_DATA(h), bytes);
    *count = bytes / sizeof(int);
    if (*count > most) {
        close_all(came, *count);
        *count = 0;
        return false;
    }
    memcpy(descriptors, came, bytes);
    return true;
}

enum channel_result channel_receive(int channel, void *packet, size_t size, int *descriptors,
                                    size_t *count)
{
    union control control = {0};
    struct iovec part = {packet, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    size_t most = *count;
    assert(most <= CHANNEL_DESCRIPTORS_MOST);
    if (most > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(most * sizeof(int));
    }
    *count = 0;
    ssize_t got;
    do
        got = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return CHANNEL_NOTHING;
    bool is_cut = got > 0 && (!take_descriptors(&message, most, descriptors, count) ||
                              (message.msg_flags & MSG_CTRUNC));
    bool is_end = got != (ssize_t)size || (message.msg_flags & MSG_TRUNC);
    if (!is_cut && !is_end)
        return CHANNEL_PACKET;
    close_all(descriptors, *count);
    *count = 0;
    return is_end ? CHANNEL_END : CHANNEL_CUT;
}

void channel_wait(int channel)
{
    struct pollfd wait = {.fd = channel, .events = POLLIN};
    while (poll(&wait, 1, -1) < 0 && errno == EINTR)
        ;
}

int channel_hold_text(struct str text)
{
    int descriptor = memfd_create("text", MFD_CLOEXEC);
    for (size_t written = 0; descriptor >= 0 && written < text.n;) {
        ssize_t n = write(descriptor, text.p + written, text.n - written);
        if (n > 0)
            written += (size_t)n;
        else if (errno != EINTR)
            abort();
    }
    if (descriptor < 0)
        abort();
    return descriptor;
}

bool channel_read_text(int descriptor, struct buf *out)
{
    for (off_t at = 0;;) {
        if (!buf_reserve(out, READ_SIZE))
            return false;
        ssize_t n = pread(descriptor, out->data + out->used, READ_SIZE, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        out->used += (size_t)n;
        at += n;
    }
}
