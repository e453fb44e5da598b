/* SPDX-License-Identifier: ISC */
/*
 * role.c - asking a role for something from another thread
 */
#include "role/role.h"

#include <unistd.h>

static void deliver(struct loop_message *message)
{
    struct role *r = (struct role *)((char *)message - offsetof(struct role, message));
    atomic_store(&r->is_posted, false);
    if (r->task)
        task_wake(r->task);
}

void role_ask(struct role *r, enum role_request request)
{
    atomic_store(request == ROLE_STOP ? &r->wants_stop : &r->wants_reload, true);
    struct loop *loop = atomic_load(&r->loop);
    if (loop && !atomic_exchange(&r->is_posted, true))
        loop_post(loop, &r->message);
}

void role_listen(struct role *r)
{
    r->message.run = deliver;
    r->task = task_current();
    atomic_store(&r->loop, loop_current());
}

bool role_wait(struct role *r)
{
    for (;;) {
        if (atomic_load(&r->wants_stop))
            return true;
        if (atomic_exchange(&r->wants_reload, false))
            return false;
        task_wait_answer();
    }
}

void role_close_sockets(const struct role *r)
{
    for (size_t i = 0; i < r->socket_count; i++)
        close(r->sockets[i].descriptor);
}
