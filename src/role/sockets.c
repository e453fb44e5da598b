/* SPDX-License-Identifier: ISC */
/*
 * sockets.c - the listening sockets that the configuration asks for, as the supervisor holds them
 */
#include "role/sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/value.h"
#include "net/listen.h"
#include "os/owner.h"
#include "os/process.h"

_Static_assert((int)VALUE_LISTENER_MAX < (int)ROLE_SOCKET_NAME_MAX, "names of listeners are whole");

bool sockets_belong_to_mta(enum conf_role role)
{
    return role == CONF_ROLE_MX || role == CONF_ROLE_SUBMISSION || role == CONF_ROLE_SUBMISSIONS ||
           role == CONF_ROLE_LOCAL;
}

static bool is_same_place(const struct endpoint *a, const struct endpoint *b)
{
    char x[ENDPOINT_TEXT_MAX], y[ENDPOINT_TEXT_MAX];
    return str_equal(endpoint_text(a, x), endpoint_text(b, y));
}

/* The socket that systemd bound to this endpoint, or -1. */
static int take_systemd_socket(const struct endpoint *at, int first, int count)
{
    for (int i = 0; i < count; i++) {
        struct endpoint bound = {.length = sizeof bound.address};
        if (getsockname(first + i, (struct sockaddr *)&bound.address, &bound.length) == 0 &&
            is_same_place(at, &bound))
            return first + i;
    }
    return -1;
}

struct opening {
    struct sockets *out;
    const struct conf *conf;
    const struct sockets *old, *spare;
    uint64_t *last_id;
    int systemd_first, systemd_count;
};

static const struct held_socket *find_place(const struct sockets *s, const struct endpoint *at)
{
    for (size_t i = 0; i < s->count; i++)
        if (is_same_place(&s->item[i].at, at))
            return &s->item[i];
    return NULL;
}

static bool has_id(const struct sockets *s, uint64_t id)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->item[i].socket.id == id)
            return true;
    return false;
}

/* Those that hold the port at other addresses; systemd's belong to another user. */
static size_t choose_neighbours(const struct sockets *s, const struct endpoint *at, int *out)
{
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct held_socket *h = &s->item[i];
        if (!h->is_lent && h->at.address.ss_family == at->address.ss_family &&
            endpoint_port(&h->at) == endpoint_port(at))
            out[count++] = h->socket.descriptor;
    }
    return count;
}

/* A listener that moves between one address and all of them finds its own old socket there. */
static struct fault open_new(struct opening *o, const struct endpoint *at, int *descriptor)
{
    int others[2 * ROLE_SOCKETS_MOST];
    size_t count = 0;
    if (!endpoint_is_unix(at)) {
        count = choose_neighbours(o->old, at, others);
        count += choose_neighbours(o->spare, at, others + count);
    }
    return listen_open_beside(at, others, count, descriptor);
}

/* Finds or opens the socket for a place. */
static struct fault take(struct opening *o, const struct endpoint *at, struct held_socket *out)
{
    const struct held_socket *held = find_place(o->old, at);
    if (!held)
        held = find_place(o->spare, at);
    out->at = *at;
    if (held) {
        out->socket.id = held->socket.id;
        out->socket.descriptor = held->socket.descriptor;
        out->is_lent = held->is_lent;
        return FINE;
    }
    out->socket.id = ++*o->last_id;
    out->socket.descriptor = take_systemd_socket(at, o->systemd_first, o->systemd_count);
    out->is_lent = out->socket.descriptor >= 0;
    return out->is_lent ? FINE : open_new(o, at, &out->socket.descriptor);
}

static struct fault add(struct opening *o, const struct conf_listener *l, const struct endpoint *at)
{
    if (o->out->count == ROLE_SOCKETS_MOST)
        return fault_make(551, FAULT_STATUS(5, 3, 5), "more than %d listening sockets",
                          ROLE_SOCKETS_MOST);
    struct held_socket *s = &o->out->item[o->out->count];
    if (l->name.n >= sizeof s->socket.name)
        return fault_make(551, FAULT_STATUS(5, 3, 5),
                          "listener \"" STR_FMT "\": the name is too long", STR_ARG(l->name));
    *s = (struct held_socket){.role = (enum conf_role)l->role};
    snprintf(s->socket.name, sizeof s->socket.name, STR_FMT, STR_ARG(l->name));
    struct fault f = take(o, at, s);
    if (f.kind)
        return fault_make(551, FAULT_STATUS(5, 3, 5), "%s:%d: listener \"%s\": %.150s",
                          o->conf->path.p, l->line, s->socket.name, f.text);
    o->out->count++;
    return FINE;
}

/* A Unix socket is for the roles' common group: the mta hands mail to the mda over it. The one for
 * local submission is for everybody. */
static struct fault add_path(struct opening *o, const struct conf_listener *l)
{
    struct arena a = arena_make(1 << 16);
    char *path = arena_c_string(&a, l->path);
    struct endpoint at;
    struct owner mta;
    struct fault f = FINE;
    if (!endpoint_from_path(path, &at))
        f = fault_make(551, FAULT_STATUS(5, 3, 5), "the path %s is too long", path);
    if (!f.kind)
        f = add(o, l, &at);
    unsigned permissions = l->role == CONF_ROLE_LOCAL ? 0666 : 0660;
    if (!f.kind && owner_find(o->conf->mta_user, &mta) && owner_is_root())
        f = owner_give(path, &mta, permissions);
    else if (!f.kind)
        f = owner_give(path, NULL, permissions);
    arena_free(&a);
    return f;
}

static struct fault add_listener(struct opening *o, const struct conf_listener *l)
{
    if (l->path.n > 0)
        return add_path(o, l);
    struct fault f = FINE;
    for (size_t i = 0; i < l->address.count && !f.kind; i++) {
        struct endpoint at = endpoint_from_ip(&l->address.item[i], l->port);
        f = add(o, l, &at);
    }
    return f;
}

struct fault sockets_open(const struct conf *conf, const struct sockets *old,
                          const struct sockets *spare, uint64_t *last_id, struct sockets *out)
{
    struct opening o = {.out = out, .conf = conf, .old = old, .spare = spare, .last_id = last_id};
    out->count = 0;
    o.systemd_count = process_systemd_sockets(&o.systemd_first);
    struct fault f = FINE;
    for (size_t i = 0; i < conf->listener_count && !f.kind; i++)
        f = add_listener(&o, &conf->listener[i]);
    if (f.kind) {
        sockets_subtract(out, old);
        sockets_subtract(out, spare);
        sockets_close(out, true);
        out->count = 0;
    }
    return f;
}

bool sockets_add(struct sockets *s, const struct sockets *more)
{
    size_t count = s->count;
    for (size_t i = 0; i < more->count; i++) {
        if (has_id(s, more->item[i].socket.id))
            continue;
        if (s->count == ROLE_SOCKETS_MOST) {
            s->count = count;
            return false;
        }
        s->item[s->count++] = more->item[i];
    }
    return true;
}

void sockets_subtract(struct sockets *s, const struct sockets *others)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        if (!has_id(others, s->item[i].socket.id))
            s->item[kept++] = s->item[i];
    s->count = kept;
}

void sockets_close(struct sockets *s, bool is_over)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct held_socket *h = &s->item[i];
        if (h->is_lent) {
            s->item[kept++] = *h;
            continue;
        }
        close(h->socket.descriptor);
        if (is_over && endpoint_is_unix(&h->at))
            listen_remove(&h->at);
    }
    s->count = kept;
}

size_t sockets_choose(const struct sockets *all, bool is_mta, struct role_socket *out)
{
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++)
        if (sockets_belong_to_mta(all->item[i].role) == is_mta)
            out[count++] = all->item[i].socket;
    return count;
}
