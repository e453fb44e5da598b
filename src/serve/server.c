/* SPDX-License-Identifier: ISC */
/*
 * server.c - what all sessions of a role share
 */
#include "serve/server.h"

#include <stdio.h>

struct str server_session_id(struct server *s, char text[SESSION_ID_MAX])
{
    uint64_t number = atomic_fetch_add(&s->next_session, 1);
    int n = snprintf(text, SESSION_ID_MAX, "s%012llx", (unsigned long long)number);
    return str_make(text, (size_t)n);
}

const struct conf_listener *service_conf(const struct service *s, const struct conf *conf)
{
    for (size_t i = 0; i < conf->listener_count; i++)
        if (str_equal(conf->listener[i].name, str_from(s->name)))
            return &conf->listener[i];
    return NULL;
}

bool server_is_disk_low(struct server *s)
{
    bell_ring(&s->disk_bell);
    return atomic_load(&s->is_disk_low);
}
