/* SPDX-License-Identifier: ISC */
/*
 * dial.c - connecting to other hosts
 */
#include "net/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/task.h"

struct attempt {
    struct loop_watch watch;
    struct task *task;
    bool is_settled;
};

static void settle(struct loop_watch *watch, uint32_t events)
{
    struct attempt *a = (struct attempt *)((char *)watch - offsetof(struct attempt, watch));
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        return;
    a->is_settled = true;
    task_wake(a->task);
}

static struct fault failed(const struct endpoint *to, int error)
{
    char text[ENDPOINT_TEXT_MAX];
    struct str name = endpoint_text(to, text);
    struct fault f = fault_make(451, FAULT_STATUS(4, 4, 1), "cannot connect to " STR_FMT ": %s",
                                STR_ARG(name), strerrordesc_np(error));
    f.is_private = to->address.ss_family == AF_UNIX;
    return f;
}

/* Waits until the connection stands or fails; the socket's error, or the wait's fault. */
static struct fault await(int descriptor, const struct endpoint *to, int64_t deadline_ms)
{
    struct attempt a = {.watch.ready = settle, .task = task_current()};
    struct fault f = loop_watch(loop_current(), descriptor, &a.watch);
    while (!f.kind && !a.is_settled)
        f = task_wait(deadline_ms);
    loop_unwatch(loop_current(), descriptor);
    if (!a.is_settled)
        return task_is_cancelled() ? f : failed(to, ETIMEDOUT);
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    return error ? failed(to, error) : FINE;
}

struct fault dial(const struct endpoint *to, const struct endpoint *source, int64_t deadline_ms,
                  struct conn **out)
{
    *out = NULL;
    int family = to->address.ss_family;
    int descriptor = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return failed(to, errno);
    int on = 1;
    if (family != AF_UNIX)
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct fault f = FINE;
    if (source && bind(descriptor, (const struct sockaddr *)&source->address, source->length) != 0)
        f = failed(source, errno);
    else if (connect(descriptor, (const struct sockaddr *)&to->address, to->length) != 0)
        f = errno == EINPROGRESS ? await(descriptor, to, deadline_ms) : failed(to, errno);
    if (f.kind) {
        close(descriptor);
        return f;
    }
    return conn_open(descriptor, out);
}
