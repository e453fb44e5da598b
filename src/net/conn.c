/* SPDX-License-Identifier: ISC */
/*
 * conn.c - a byte stream: TCP or Unix socket, in the clear or under TLS
 *
 * Readiness is edge-triggered: the flags say "not known to be empty" and "not known to be full" and
 * are cleared only by the system's EAGAIN or a short transfer. A wait is for either flag.
 */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/loop.h"
#include "net/offload.h"
#include "net/task.h"
#include "net/tls.h"
#include "os/thread.h"

enum { BUFFER_SIZE = 64 * 1024, FREE_BUFFERS = 64, PARTS_A_CALL = 64, TLS_CHUNK = 16 * 1024 };

struct input_buffer {
    struct input_buffer *next; /* in the free list */
    size_t start, end;         /* unread bytes */
    char data[BUFFER_SIZE];
};

struct conn {
    struct loop_watch watch;
    struct task *waiter;
    struct input_buffer *in;
    SSL *ssl;
    int descriptor;
    bool may_read;
    bool may_write;
    bool has_hangup;
    bool is_failed; /* no further byte may be sent, nor close_notify */
    bool has_peer;
    struct endpoint *peer; /* asked for on first use */
};

static _Thread_local struct {
    struct input_buffer *first;
    size_t count;
} free_buffers;

static void free_all_buffers(void)
{
    for (struct input_buffer *b; (b = free_buffers.first);) {
        free_buffers.first = b->next;
        free(b);
    }
    free_buffers.count = 0;
}

static struct input_buffer *buffer_get(void)
{
    struct input_buffer *b = free_buffers.first;
    if (b) {
        free_buffers.first = b->next;
        free_buffers.count--;
    } else {
        b = malloc(sizeof *b);
        if (!b)
            abort();
    }
    b->start = b->end = 0;
    return b;
}

static void buffer_put(struct input_buffer *b)
{
    if (!b)
        return;
    if (free_buffers.count >= FREE_BUFFERS) {
        free(b);
        return;
    }
    if (free_buffers.count == 0)
        thread_at_end(free_all_buffers);
    b->next = free_buffers.first;
    free_buffers.first = b;
    free_buffers.count++;
}

static void drop_input(struct conn *c)
{
    buffer_put(c->in);
    c->in = NULL;
}

static void become_ready(struct loop_watch *watch, uint32_t events)
{
    struct conn *c = (struct conn *)((char *)watch - offsetof(struct conn, watch));
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->may_read = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        c->may_write = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->has_hangup = true;
    if (c->waiter)
        task_wake(c->waiter);
}

struct fault conn_open(int descriptor, struct conn **out)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->descriptor = descriptor;
    c->watch.ready = become_ready;
    c->may_read = true;
    c->may_write = true;
    *out = NULL;
    struct fault f = loop_watch(loop_current(), descriptor, &c->watch);
    if (f.kind) {
        close(descriptor);
        free(c);
        return f;
    }
    *out = c;
    return FINE;
}

static void release(struct conn *c)
{
    drop_input(c);
    SSL_free(c->ssl);
    close(c->descriptor);
    free(c->peer);
    free(c);
}

void conn_close(struct conn *c)
{
    if (!c)
        return;
    if (c->ssl && !c->is_failed && SSL_is_init_finished(c->ssl)) {
        SSL_shutdown(c->ssl);
        ERR_clear_error();
    }
    release(c);
}

void conn_abort(struct conn *c)
{
    if (!c)
        return;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    release(c);
}

static struct fault lost(struct conn *c, const char *what)
{
    c->is_failed = true;
    return fault_make(421, FAULT_STATUS(4, 4, 2), "connection lost: %s", what);
}

/* Suspends until the given flag is set. */
static struct fault wait_for(struct conn *c, const bool *flag, int64_t deadline_ms)
{
    while (!*flag) {
        c->waiter = task_current();
        struct fault f = task_wait(deadline_ms);
        c->waiter = NULL;
        if (f.kind && !*flag)
            return f;
    }
    return FINE;
}

/* What an SSL call asks for. */
enum tls_step { TLS_DONE, TLS_READ, TLS_WRITE, TLS_END, TLS_FAILED };

static enum tls_step tls_result(struct conn *c, int result)
{
    int error = SSL_get_error(c->ssl, result);
    if (result > 0)
        return TLS_DONE;
    switch (error) {
    case SSL_ERROR_WANT_READ:
        c->may_read = c->has_hangup;
        return c->has_hangup ? TLS_FAILED : TLS_READ;
    case SSL_ERROR_WANT_WRITE:
        c->may_write = false;
        return TLS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_END;
    default:
        return TLS_FAILED;
    }
}

static struct fault tls_fault(struct conn *c, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    struct fault f = fault_make(454, FAULT_STATUS(4, 7, 0), "TLS %s failed: %s", what,
                                reason ? reason : "connection closed");
    ERR_clear_error();
    c->is_failed = true;
    return f;
}

/* Waits for what the step wants. */
static struct fault tls_wait(struct conn *c, enum tls_step step, int64_t deadline_ms)
{
    return wait_for(c, step == TLS_READ ? &c->may_read : &c->may_write, deadline_ms);
}

static struct fault tls_read(struct conn *c, int64_t deadline_ms)
{
    for (;;) {
        if (!c->in)
            c->in = buffer_get();
        ERR_clear_error();
        int got = SSL_read(c->ssl, c->in->data, BUFFER_SIZE);
        enum tls_step step = tls_result(c, got);
        if (step == TLS_DONE) {
            c->in->end = (size_t)got;
            return FINE;
        }
        drop_input(c);
        if (step == TLS_END)
            return FINE;
        /* The end of the stream without close_notify could be an attacker's cut. */
        if (step == TLS_FAILED)
            return tls_fault(c, "read");
        struct fault f = tls_wait(c, step, deadline_ms);
        if (f.kind)
            return f;
    }
}

static struct fault plain_read(struct conn *c, int64_t deadline_ms)
{
    for (;;) {
        struct fault f = wait_for(c, &c->may_read, deadline_ms);
        if (f.kind)
            return f;
        if (!c->in)
            c->in = buffer_get();
        ssize_t got = recv(c->descriptor, c->in->data, BUFFER_SIZE, 0);
        if (got > 0) {
            c->in->end = (size_t)got;
            if (got < BUFFER_SIZE && !c->has_hangup)
                c->may_read = false;
            return FINE;
        }
        int error = errno;
        drop_input(c);
        if (got == 0)
            return FINE;
        if (error == EAGAIN)
            c->may_read = false;
        else if (error != EINTR)
            return lost(c, strerrordesc_np(error));
    }
}

struct fault conn_read(struct conn *c, int64_t deadline_ms, struct str *in)
{
    *in = STR_NONE;
    if (!c->in) {
        struct fault f = c->ssl ? tls_read(c, deadline_ms) : plain_read(c, deadline_ms);
        if (f.kind)
            return f;
    }
    if (c->in)
        *in = str_make(c->in->data + c->in->start, c->in->end - c->in->start);
    return FINE;
}

void conn_consume(struct conn *c, size_t n)
{
    if (n == 0)
        return;
    assert(n <= conn_unread(c));
    c->in->start += n;
    if (c->in->start == c->in->end)
        drop_input(c);
}

size_t conn_unread(const struct conn *c)
{
    return c->in ? c->in->end - c->in->start : 0;
}

bool conn_may_have_input(const struct conn *c)
{
    return c->in || c->may_read || (c->ssl && SSL_has_pending(c->ssl));
}

/* Under TLS there may be records that carry nothing for us, as session tickets. */
static bool tls_has_input(struct conn *c)
{
    char byte;
    ERR_clear_error();
    enum tls_step step = tls_result(c, SSL_peek(c->ssl, &byte, 1));
    ERR_clear_error();
    return step != TLS_READ && step != TLS_WRITE;
}

bool conn_has_input(struct conn *c)
{
    char byte;
    if (c->in)
        return true;
    if (c->ssl) /* what is pending there may be half a record */
        return (c->may_read || SSL_has_pending(c->ssl)) && tls_has_input(c);
    if (!c->may_read)
        return false;
    ssize_t got = recv(c->descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        c->may_read = false;
    return c->may_read;
}

struct fault conn_wait_input(struct conn *c, int64_t deadline_ms)
{
    if (c->ssl ? conn_has_input(c) : conn_may_have_input(c))
        return FINE;
    c->waiter = task_current();
    struct fault f = task_wait(deadline_ms);
    c->waiter = NULL;
    return f;
}

/* Gathers parts from *index and *offset on into at most PARTS_A_CALL vectors. */
static int gather(const struct str *parts, size_t count, size_t index, size_t offset,
                  struct iovec *vector)
{
    int used = 0;
    for (; index < count && used < PARTS_A_CALL; index++, offset = 0) {
        if (parts[index].n == offset)
            continue;
        vector[used].iov_base = (void *)(uintptr_t)(parts[index].p + offset);
        vector[used].iov_len = parts[index].n - offset;
        used++;
    }
    return used;
}

static void advance(const struct str *parts, size_t *index, size_t *offset, size_t sent)
{
    while (sent > 0) {
        size_t left = parts[*index].n - *offset;
        if (sent < left) {
            *offset += sent;
            return;
        }
        sent -= left;
        ++*index;
        *offset = 0;
    }
}

static struct fault plain_write(struct conn *c, const struct str *parts, size_t count,
                                int64_t deadline_ms)
{
    size_t index = 0, offset = 0;
    for (;;) {
        struct iovec vector[PARTS_A_CALL];
        int used = gather(parts, count, index, offset, vector);
        if (used == 0)
            return FINE;
        struct fault f = wait_for(c, &c->may_write, deadline_ms);
        if (f.kind) {
            c->is_failed = true;
            return f;
        }
        struct msghdr message = {.msg_iov = vector, .msg_iovlen = (size_t)used};
        ssize_t sent = sendmsg(c->descriptor, &message, MSG_NOSIGNAL);
        if (sent >= 0)
            advance(parts, &index, &offset, (size_t)sent);
        else if (errno == EAGAIN)
            c->may_write = false;
        else if (errno != EINTR)
            return lost(c, strerrordesc_np(errno));
    }
}

static struct fault tls_write_all(struct conn *c, struct str s, int64_t deadline_ms)
{
    while (s.n > 0) {
        ERR_clear_error();
        int chunk = s.n < TLS_CHUNK ? (int)s.n : TLS_CHUNK;
        int sent = SSL_write(c->ssl, s.p, chunk);
        enum tls_step step = tls_result(c, sent);
        if (step == TLS_DONE) {
            s = str_skip(s, (size_t)sent);
            continue;
        }
        if (step == TLS_FAILED || step == TLS_END)
            return tls_fault(c, "write");
        struct fault f = tls_wait(c, step, deadline_ms);
        if (f.kind) {
            c->is_failed = true;
            return f;
        }
    }
    return FINE;
}

/* Small parts are put together, so that a command and its neighbours share a record. */
static struct fault tls_write(struct conn *c, const struct str *parts, size_t count,
                              int64_t deadline_ms)
{
    struct input_buffer *joined = buffer_get();
    size_t used = 0;
    struct fault f = FINE;
    for (size_t i = 0; i < count && !f.kind; i++) {
        struct str rest = parts[i];
        while (rest.n > 0 && !f.kind) {
            struct str piece = str_head(rest, TLS_CHUNK - used);
            memcpy(joined->data + used, piece.p, piece.n);
            used += piece.n;
            rest = str_skip(rest, piece.n);
            if (used == TLS_CHUNK) {
                f = tls_write_all(c, str_make(joined->data, used), deadline_ms);
                used = 0;
            }
        }
    }
    if (!f.kind)
        f = tls_write_all(c, str_make(joined->data, used), deadline_ms);
    buffer_put(joined);
    return f;
}

struct fault conn_write(struct conn *c, const struct str *parts, size_t count, int64_t deadline_ms)
{
    if (c->is_failed)
        return fault_make(421, FAULT_STATUS(4, 4, 2), "connection lost");
    return c->ssl ? tls_write(c, parts, count, deadline_ms)
                  : plain_write(c, parts, count, deadline_ms);
}

struct handshake {
    SSL *ssl;
    int result;
};

static void step_handshake(void *arg)
{
    struct handshake *h = arg;
    ERR_clear_error();
    h->result = SSL_do_handshake(h->ssl);
}

/* The other thread finds nothing to read, and before this one knows that, something comes: the
 * loop tells that once only, so it counts although the result is older. */
static enum tls_step step_once(struct conn *c, bool is_slow)
{
    struct handshake h = {.ssl = c->ssl};
    if (!is_slow) {
        step_handshake(&h);
        return tls_result(c, h.result);
    }
    c->may_read = c->may_write = false;
    offload(step_handshake, &h);
    bool has_come = c->may_read, has_room = c->may_write;
    enum tls_step step = tls_result(c, h.result);
    if (step == TLS_FAILED && has_come && SSL_want_read(c->ssl))
        step = TLS_READ;
    c->may_read = has_come || step != TLS_READ;
    c->may_write = has_room || step != TLS_WRITE;
    return step;
}

static struct fault shake_hands(struct conn *c, struct tls_context *tls, int64_t deadline_ms)
{
    for (;;) {
        enum tls_step step = step_once(c, tls_context_is_slow(tls));
        if (step == TLS_DONE) {
            task_trim_stack();
            return FINE;
        }
        if (step == TLS_FAILED || step == TLS_END)
            return tls_fault(c, "handshake");
        struct fault f = tls_wait(c, step, deadline_ms);
        if (f.kind) {
            c->is_failed = true;
            return f;
        }
    }
}

static struct fault start_tls(struct conn *c, struct tls_context *tls)
{
    assert(!c->ssl && conn_unread(c) == 0);
    c->ssl = tls_context_new_session(tls);
    if (!c->ssl || SSL_set_fd(c->ssl, c->descriptor) != 1)
        return tls_fault(c, "start");
    return FINE;
}

struct fault conn_start_tls_server(struct conn *c, struct tls_context *tls, int64_t deadline_ms)
{
    struct fault f = start_tls(c, tls);
    if (f.kind)
        return f;
    SSL_set_accept_state(c->ssl);
    return shake_hands(c, tls, deadline_ms);
}

struct fault conn_start_tls_client(struct conn *c, struct tls_context *tls, struct tls_peer *peer,
                                   int64_t deadline_ms)
{
    struct fault f = start_tls(c, tls);
    if (f.kind)
        return f;
    if (!tls_peer_prepare(c->ssl, peer))
        return tls_fault(c, "start");
    SSL_set_connect_state(c->ssl);
    return shake_hands(c, tls, deadline_ms);
}

bool conn_is_tls(const struct conn *c)
{
    return c->ssl != NULL;
}

const char *conn_tls_version(const struct conn *c)
{
    return c->ssl ? SSL_get_version(c->ssl) : NULL;
}

const char *conn_tls_cipher(const struct conn *c)
{
    return c->ssl ? SSL_get_cipher_name(c->ssl) : NULL;
}

bool conn_tls_is_resumed(const struct conn *c)
{
    return c->ssl && SSL_session_reused(c->ssl);
}

enum tls_trust conn_tls_trust(const struct conn *c, const struct tls_peer *peer,
                              const char **reason)
{
    return tls_peer_trust(c->ssl, peer, reason);
}

bool conn_tls_exporter(const struct conn *c, unsigned char octets[32])
{
    static const char label[] = "EXPORTER-Channel-Binding";
    if (!c->ssl)
        return false;
    if (SSL_version(c->ssl) < TLS1_3_VERSION && !SSL_get_extms_support(c->ssl))
        return false;
    return SSL_export_keying_material(c->ssl, octets, 32, label, sizeof label - 1,
                                      (const unsigned char *)"", 0, 1) == 1;
}

const struct endpoint *conn_peer(const struct conn *c)
{
    struct conn *self = (struct conn *)(uintptr_t)c;
    if (!self->peer) {
        self->peer = calloc(1, sizeof *self->peer);
        if (!self->peer)
            abort();
        self->peer->length = sizeof self->peer->address;
        getpeername(c->descriptor, (struct sockaddr *)&self->peer->address, &self->peer->length);
    }
    return self->peer;
}

void conn_set_peer(struct conn *c, const struct endpoint *peer)
{
    conn_peer(c);
    *c->peer = *peer;
}

struct endpoint conn_local(const struct conn *c)
{
    struct endpoint e = {.length = sizeof e.address};
    getsockname(c->descriptor, (struct sockaddr *)&e.address, &e.length);
    return e;
}
