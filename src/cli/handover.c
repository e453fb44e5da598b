/* SPDX-License-Identifier: ISC */
/*
 * handover.c - handing a message to the running server over its local socket
 */
#include "cli/handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/compose.h"
#include "mail/address.h"
#include "mail/dotline.h"
#include "mail/header.h"
#include "mail/mailbox_list.h"
#include "net/endpoint.h"
#include "os/owner.h"

enum { ARENA_LIMIT = 64 << 20, READ_SIZE = 4096 };

bool handover_init(struct handover *h, const struct invocation *i)
{
    *h = (struct handover){
        .i = i, .arena = arena_make(ARENA_LIMIT), .message = buf_make(COMPOSE_LIMIT)};
    h->conf = cli_conf(i);
    h->rcpt = arena_alloc(&h->arena, HANDOVER_RCPT_MAX * sizeof *h->rcpt);
    return h->conf != NULL;
}

void handover_free(struct handover *h)
{
    conf_free(h->conf);
    buf_free(&h->message);
    arena_free(&h->arena);
}

struct fault handover_address(struct handover *h, struct str text, struct str *out)
{
    struct address a;
    if (!str_has(text, '@') && text.n > 0 && text.n < 256)
        text =
            arena_printf(&h->arena, STR_FMT "@" STR_FMT, STR_ARG(text), STR_ARG(h->conf->hostname));
    if (!address_parse(&h->arena, text, ADDRESS_ALLOW_UTF8, &a))
        return fault_make(501, FAULT_STATUS(5, 1, 3), "\"" STR_FMT "\" is no address",
                          STR_ARG(str_head(text, 100)));
    *out = address_text(&h->arena, &a);
    return FINE;
}

struct fault handover_default_sender(struct handover *h, struct str *out)
{
    struct buf login = buf_make(256);
    struct fault f = owner_login(&login) ? handover_address(h, buf_str(&login), out)
                                         : fault_make(501, FAULT_STATUS(5, 1, 7),
                                                      "this user has no name; say who sends");
    buf_free(&login);
    return f;
}

static struct fault add_rcpt(struct handover *h, struct str text)
{
    struct str address;
    struct fault f = handover_address(h, text, &address);
    if (f.kind)
        return f;
    for (size_t k = 0; k < h->rcpt_count; k++)
        if (str_equal(h->rcpt[k].path, address))
            return FINE;
    if (h->rcpt_count == HANDOVER_RCPT_MAX)
        return fault_make(552, FAULT_STATUS(5, 5, 3), "more than %d recipients", HANDOVER_RCPT_MAX);
    h->rcpt[h->rcpt_count++] = (struct smtp_client_rcpt){.path = address, .notify = h->notify};
    return FINE;
}

struct fault handover_add_rcpts(struct handover *h, struct str list)
{
    struct fault f = FINE;
    struct buf one = buf_make(list.n + 1);
    while (!f.kind && mailbox_list_next(&list, &one)) {
        f = add_rcpt(h, buf_str(&one));
        one.used = 0;
    }
    buf_free(&one);
    return f;
}

struct fault handover_add_header_rcpts(struct handover *h)
{
    struct fault f = FINE;
    struct header_field field;
    struct header_iterator i = header_iterate(buf_str(&h->message));
    while (!f.kind && header_next(&i, &field))
        if (str_equal_nocase(field.name, STR("To")) || str_equal_nocase(field.name, STR("Cc")) ||
            str_equal_nocase(field.name, STR("Bcc")))
            f = handover_add_rcpts(h, field.value);
    return f;
}

struct fault handover_connect(const struct handover *h, int *descriptor)
{
    struct arena a = arena_make(1 << 16);
    const char *path = NULL;
    for (size_t k = 0; k < h->conf->listener_count && !path; k++)
        if (h->conf->listener[k].role == CONF_ROLE_LOCAL)
            path = arena_c_string(&a, h->conf->listener[k].path);
    struct endpoint at;
    struct fault f = FINE;
    int s = -1;
    if (!path)
        f = fault_make(551, FAULT_STATUS(5, 3, 5), "%s has no listener with role = local",
                       h->conf->path.p);
    else if (!endpoint_from_path(path, &at))
        f = fault_make(551, FAULT_STATUS(5, 3, 5), "the path %s is too long", path);
    else if ((s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 ||
             connect(s, (const struct sockaddr *)&at.address, at.length) != 0)
        f = ask_trouble(h->conf, path, errno);
    if (f.kind && s >= 0)
        close(s);
    *descriptor = f.kind ? -1 : s;
    arena_free(&a);
    return f;
}

struct talk {
    struct handover *h;
    int socket;
    struct smtp_client client;
    struct buf in;
    struct smtp_client_mail mail;
};

static struct fault broken(void)
{
    return fault_make(451, FAULT_STATUS(4, 4, 2), "the server broke off: %s",
                      errno ? strerrordesc_np(errno) : "end of stream");
}

static struct fault write_all(int s, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = send(s, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n > 0)
            bytes = str_skip(bytes, (size_t)n);
        else if (errno != EINTR)
            return broken();
    }
    return FINE;
}

static struct fault flush(struct talk *t)
{
    struct str out = smtp_client_output(&t->client);
    struct fault f = write_all(t->socket, out);
    if (!f.kind)
        smtp_client_sent(&t->client, out.n);
    return f;
}

static struct fault next_event(struct talk *t, struct smtp_client_event *e)
{
    for (;;) {
        size_t used = smtp_client_feed(&t->client, buf_str(&t->in), e);
        buf_consume(&t->in, used);
        struct fault f = flush(t);
        if (f.kind || e->kind != SMTP_CLIENT_MORE)
            return f;
        if (used > 0)
            continue;
        if (!buf_reserve(&t->in, READ_SIZE))
            return broken();
        errno = 0;
        ssize_t n = recv(t->socket, t->in.data + t->in.used, READ_SIZE, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return broken();
        t->in.used += (size_t)n;
    }
}

static struct fault write_body(struct talk *t)
{
    struct dotline_stuffer stuffer = {0};
    struct str content = buf_str(&t->h->message), out;
    struct fault f = flush(t);
    while (!f.kind && dotline_stuff(&stuffer, &content, &out))
        f = write_all(t->socket, out);
    if (!f.kind)
        f = write_all(t->socket, dotline_stuff_end(&stuffer));
    smtp_client_body_sent(&t->client, &t->mail);
    return f;
}

static void refuse_rcpt(struct talk *t, const struct smtp_client_event *e)
{
    struct handover *h = t->h;
    if (!e->fault.kind)
        return;
    cli_fail(h->i, "<" STR_FMT "> is refused: %u %u.%u.%u %s", STR_ARG(h->rcpt[e->index].path),
             e->fault.reply, e->fault.status.class, e->fault.status.subject, e->fault.status.detail,
             e->fault.text);
    if (e->fault.kind > h->refusal.kind)
        h->refusal = e->fault;
}

/* Talks until the message has ended. */
static struct fault talk(struct talk *t)
{
    struct smtp_client_event e;
    for (;;) {
        struct fault f = next_event(t, &e);
        if (f.kind)
            return f;
        switch (e.kind) {
        case SMTP_CLIENT_READY:
            smtp_client_begin(&t->client, &t->mail);
            break;
        case SMTP_CLIENT_RCPT:
            refuse_rcpt(t, &e);
            break;
        case SMTP_CLIENT_BODY:
            f = write_body(t);
            if (f.kind)
                return f;
            break;
        case SMTP_CLIENT_DONE:
            if (e.fault.kind || t->mail.accepted_count == 0)
                return e.fault.kind ? e.fault : t->h->refusal;
            t->h->accepted = e.fault;
            smtp_client_quit(&t->client);
            return flush(t);
        case SMTP_CLIENT_REFUSED:
        case SMTP_CLIENT_BROKEN:
        case SMTP_CLIENT_TLS:
        case SMTP_CLIENT_CHALLENGE:
        case SMTP_CLIENT_AUTH:
            return e.fault;
        case SMTP_CLIENT_MORE:
            break;
        }
        f = flush(t);
        if (f.kind)
            return f;
    }
}

static bool needs_utf8(const struct handover *h)
{
    bool is_needed = str_has_8bit(h->sender);
    for (size_t k = 0; k < h->rcpt_count; k++)
        is_needed = is_needed || str_has_8bit(h->rcpt[k].path);
    return is_needed;
}

struct fault handover_send(struct handover *h)
{
    struct talk t = {.h = h, .in = buf_make(1 << 16)};
    struct smtp_client_options options = {.hello_name = h->conf->hostname};
    struct fault f = compose_fit_lines(&h->message);
    if (!f.kind)
        f = handover_connect(h, &t.socket);
    if (f.kind)
        return f;
    t.mail = (struct smtp_client_mail){.sender = h->sender,
                                       .ret = h->ret,
                                       .envid = h->envid,
                                       .rcpt = h->rcpt,
                                       .rcpt_count = h->rcpt_count,
                                       .size_bytes = h->message.used,
                                       .is_8bit = str_has_8bit(buf_str(&h->message)),
                                       .is_utf8 = needs_utf8(h),
                                       .is_accepted = calloc(h->rcpt_count + 1, 1)};
    smtp_client_init(&t.client, &options);
    f = talk(&t);
    smtp_client_free(&t.client);
    buf_free(&t.in);
    free(t.mail.is_accepted);
    close(t.socket);
    return f;
}
