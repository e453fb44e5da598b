/* SPDX-License-Identifier: ISC */
/*
 * server.c - what all sessions of a role share
 */
#include "serve/server.h"

#include <stdio.h>

#include "net/loop.h"

/* The process of before is killed when it has not ended by half of that. */
enum { CHARGE_MS = 60000 };

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

static struct fault shutting_down(void)
{
    return fault_make(421, FAULT_STATUS(4, 3, 2), "shutting down, try again in a moment");
}

struct fault server_await_charge(struct server *s)
{
    int64_t deadline = loop_now_ms(loop_current()) + CHARGE_MS;
    while (!atomic_load(&s->is_in_charge)) {
        if (atomic_load(&s->is_draining) || task_is_cancelled())
            return shutting_down();
        if (task_wait(deadline).kind && !task_is_cancelled())
            return fault_make(451, FAULT_STATUS(4, 3, 2), "not ready yet, try again in a moment");
    }
    return FINE;
}

struct fault server_may_begin(struct server *s)
{
    struct fault f = server_await_charge(s);
    if (!f.kind && atomic_load(&s->is_draining))
        f = shutting_down();
    if (!f.kind && server_is_disk_low(s))
        f = fault_make(452, FAULT_STATUS(4, 3, 1), "insufficient system storage");
    return f;
}
