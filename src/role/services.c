/* SPDX-License-Identifier: ISC */
/*
 * services.c - the listeners that a role serves, and how they follow the configuration
 */
#include "role/services.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "serve/visitor.h"

struct served {
    struct list link;
    struct service service;
    uint64_t id; /* of the socket */
    const struct steward_session *session;
    bool is_open;
    bool is_fresh;  /* of the set that is being made */
    bool is_wanted; /* by that set */
};

static const struct steward_session *session_for(const struct steward *s, const struct conf *conf,
                                                 const char *name)
{
    enum conf_role role = CONF_ROLE_NONE;
    for (size_t i = 0; i < conf->listener_count; i++)
        if (str_equal(conf->listener[i].name, str_from(name)))
            role = (enum conf_role)conf->listener[i].role;
    const struct steward_session *session = s->kind->sessions;
    while (session->role != CONF_ROLE_NONE && session->role != role)
        session++;
    assert(session->role != CONF_ROLE_NONE); /* the supervisor has chosen by the same text */
    return session;
}

static struct served *find(struct steward *s, const struct role_socket *socket,
                           const struct steward_session *session)
{
    LIST_EACH(link, &s->services)
    {
        struct served *v = LIST_ENTRY(link, struct served, link);
        if (v->is_open && v->id == socket->id && v->session == session &&
            strcmp(v->service.name, socket->name) == 0)
            return v;
    }
    return NULL;
}

static struct served *make(struct steward *s, const struct role_socket *socket,
                           const struct steward_session *session)
{
    struct served *v = calloc(1, sizeof *v);
    if (!v)
        abort();
    v->id = socket->id;
    v->session = session;
    v->is_fresh = true;
    v->service.server = &s->server;
    snprintf(v->service.name, sizeof v->service.name, "%s", socket->name);
    v->service.listener.descriptor = socket->descriptor;
    v->service.listener.task_name = session->task_name;
    v->service.listener.serve = session->serve;
    v->service.listener.is_full = visitor_is_full;
    v->service.listener.turn_away = session->turn_away;
    v->service.listener.arg = &v->service;
    list_push_back(&s->services, &v->link);
    return v;
}

/* One socket of the order, whose descriptor is used up. */
static struct fault want(struct steward *s, const struct role_socket *socket,
                         const struct steward_session *session)
{
    struct served *v = find(s, socket, session);
    if (v) {
        close(socket->descriptor);
        v->is_wanted = true;
        return FINE;
    }
    v = make(s, socket, session);
    v->is_wanted = true;
    struct fault f = crew_listen(&s->crew, &v->service.listener);
    v->is_open = !f.kind;
    if (f.kind)
        close(socket->descriptor);
    return f;
}

static void shut(struct steward *s, struct served *v)
{
    if (!v->is_open)
        return;
    crew_unlisten(&s->crew, &v->service.listener);
    close(v->service.listener.descriptor);
    v->is_open = false;
}

static void sweep(struct steward *s)
{
    LIST_EACH(link, &s->services)
    {
        struct served *v = LIST_ENTRY(link, struct served, link);
        if (v->is_open || atomic_load(&v->service.listener.stream_count) > 0)
            continue;
        list_remove(&v->link);
        free(v);
    }
}

struct fault services_set(struct steward *s, const struct order *o, const struct conf *conf)
{
    struct fault f = FINE;
    for (size_t i = 0; i < o->socket_count; i++) {
        if (f.kind)
            close(o->socket[i].descriptor);
        else
            f = want(s, &o->socket[i], session_for(s, conf, o->socket[i].name));
    }
    LIST_EACH(link, &s->services)
    {
        struct served *v = LIST_ENTRY(link, struct served, link);
        if (f.kind ? v->is_fresh : !v->is_wanted)
            shut(s, v);
        v->is_wanted = v->is_fresh = false;
    }
    sweep(s);
    return f;
}

void services_close(struct steward *s)
{
    LIST_EACH(link, &s->services)
    shut(s, LIST_ENTRY(link, struct served, link));
}

void services_free(struct steward *s)
{
    services_close(s);
    sweep(s);
}
