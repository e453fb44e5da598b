/* SPDX-License-Identifier: ISC */
/*
 * sockets.c - the listening sockets that the configuration asks for
 */
#include "role/sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"
#include "net/listen.h"
#include "os/owner.h"
#include "os/process.h"

bool sockets_belong_to_mta(enum conf_role role)
{
    return role == CONF_ROLE_MX || role == CONF_ROLE_SUBMISSION || role == CONF_ROLE_SUBMISSIONS ||
           role == CONF_ROLE_LOCAL;
}

static bool is_same_endpoint(const struct endpoint *a, const struct endpoint *b)
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
            is_same_endpoint(at, &bound))
            return first + i;
    }
    return -1;
}

struct opening {
    struct sockets *out;
    int systemd_first, systemd_count;
};

static struct fault add(struct opening *o, const struct conf_listener *l, const struct endpoint *at)
{
    if (o->out->count == ROLE_SOCKETS_MOST)
        return fault_make(551, FAULT_STATUS(5, 3, 5), "more than %d listening sockets",
                          ROLE_SOCKETS_MOST);
    struct role_socket *s = &o->out->item[o->out->count];
    if (l->name.n >= sizeof s->name)
        return fault_make(551, FAULT_STATUS(5, 3, 5),
                          "listener \"" STR_FMT "\": the name is too long", STR_ARG(l->name));
    snprintf(s->name, sizeof s->name, STR_FMT, STR_ARG(l->name));
    s->descriptor = take_systemd_socket(at, o->systemd_first, o->systemd_count);
    struct fault f = s->descriptor >= 0 ? FINE : listen_open(at, &s->descriptor);
    if (f.kind)
        return fault_make(551, FAULT_STATUS(5, 3, 5), "listener \"%s\": %.180s", s->name, f.text);
    o->out->count++;
    return FINE;
}

/* A Unix socket is for the roles' common group: the mta hands mail to the mda over it. The one for
 * local submission is for everybody. */
static struct fault add_path(struct opening *o, const struct conf *conf,
                             const struct conf_listener *l)
{
    struct arena a = arena_make(1 << 16);
    char *path = arena_c_string(&a, l->path);
    struct endpoint at;
    struct owner mta;
    struct fault f = endpoint_from_path(path, &at)
                         ? add(o, l, &at)
                         : fault_make(551, FAULT_STATUS(5, 3, 5), "the path %s is too long", path);
    unsigned permissions = l->role == CONF_ROLE_LOCAL ? 0666 : 0660;
    if (!f.kind && owner_find(conf->mta_user, &mta) && owner_is_root())
        f = owner_give(path, &mta, permissions);
    else if (!f.kind)
        f = owner_give(path, NULL, permissions);
    arena_free(&a);
    return f;
}

static struct fault add_listener(struct opening *o, const struct conf *conf,
                                 const struct conf_listener *l)
{
    if (l->path.n > 0)
        return add_path(o, conf, l);
    struct fault f = FINE;
    for (size_t i = 0; i < l->address.count && !f.kind; i++) {
        struct endpoint at = endpoint_from_ip(&l->address.item[i], l->port);
        f = add(o, l, &at);
    }
    return f;
}

struct fault sockets_open(const struct conf *conf, struct sockets *out)
{
    struct opening o = {.out = out};
    out->count = 0;
    o.systemd_count = process_systemd_sockets(&o.systemd_first);
    struct fault f = FINE;
    for (size_t i = 0; i < conf->listener_count && !f.kind; i++)
        f = add_listener(&o, conf, &conf->listener[i]);
    for (; f.kind && out->count > 0; out->count--)
        close(out->item[out->count - 1].descriptor);
    return f;
}

void sockets_choose(const struct sockets *all, const struct conf *conf, bool is_mta,
                    struct sockets *out)
{
    out->count = 0;
    for (size_t i = 0; i < all->count; i++)
        for (size_t k = 0; k < conf->listener_count; k++)
            if (str_equal(conf->listener[k].name, str_from(all->item[i].name)) &&
                sockets_belong_to_mta((enum conf_role)conf->listener[k].role) == is_mta)
                out->item[out->count++] = all->item[i];
}

void sockets_print(const struct sockets *s, struct buf *out)
{
    for (size_t i = 0; i < s->count; i++)
        buf_printf(out, "%s%s:%d", i ? "," : "", s->item[i].name, s->item[i].descriptor);
}

bool sockets_parse(struct str text, struct sockets *out)
{
    out->count = 0;
    while (text.n > 0) {
        struct str item, name;
        uint64_t descriptor;
        str_cut(text, ',', &item, &text);
        size_t colon = str_last_index(item, ':');
        name = str_head(item, colon);
        if (out->count == ROLE_SOCKETS_MOST || name.n >= ROLE_SOCKET_NAME_MAX ||
            !num_parse(str_skip(item, colon + 1), INT32_MAX, &descriptor))
            return false;
        struct role_socket *s = &out->item[out->count++];
        snprintf(s->name, sizeof s->name, STR_FMT, STR_ARG(name));
        s->descriptor = (int)descriptor;
    }
    return true;
}
