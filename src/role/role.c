/* SPDX-License-Identifier: ISC */
/*
 * role.c - a role's end of the channel to the supervisor, and of requests from other threads
 */
#include "role/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/list.h"
#include "conf/conf.h"
#include "os/channel.h"
#include "os/process.h"

enum { SOURCE_MOST = 2 * CONF_SOURCE_LIMIT };

/* Somebody waits for a reload. */
struct wish {
    struct list link;
    uint64_t number;
    struct task *task;
    bool is_answered;
    struct fault fault;
};

static void take_set(struct role *r, const int *descriptors, size_t count)
{
    struct order *o = r->order;
    buf_free(&r->source);
    if (count != o->socket_count + 1u || !channel_read_text(descriptors[0], &r->source))
        abort(); /* the supervisor is this same program */
    close(descriptors[0]);
    for (size_t i = 0; i < o->socket_count; i++)
        o->socket[i].descriptor = descriptors[i + 1];
}

static enum channel_result receive(struct role *r)
{
    int descriptors[ROLE_SOCKETS_MOST + 1];
    size_t count = ROLE_SOCKETS_MOST + 1;
    enum channel_result result =
        channel_receive(r->channel, r->order, sizeof *r->order, descriptors, &count);
    if (result == CHANNEL_PACKET && r->order->kind == ORDER_SET)
        take_set(r, descriptors, count);
    return result;
}

struct fault role_open(struct role *r, const char *conf_path, int channel)
{
    *r = (struct role){.conf_path = conf_path, .channel = channel, .source = buf_make(SOURCE_MOST)};
    r->order = calloc(1, sizeof *r->order);
    if (!r->order)
        abort();
    mutex_init(&r->mutex);
    list_init(&r->wishes);
    list_init(&r->upgrades);
    channel_wait(channel);
    if (receive(r) == CHANNEL_PACKET && r->order->kind == ORDER_SET)
        return FINE;
    role_close(r);
    return fault_make(551, FAULT_STATUS(5, 3, 5), "a role is started by eilbote serve");
}

void role_close(struct role *r)
{
    close(r->channel);
    buf_free(&r->source);
    free(r->order);
    mutex_destroy(&r->mutex);
}

static void deliver(struct loop_message *message)
{
    struct role *r = (struct role *)((char *)message - offsetof(struct role, message));
    atomic_store(&r->is_posted, false);
    task_wake(r->task);
}

void role_ask(struct role *r, enum role_request request)
{
    atomic_store(request == ROLE_STOP   ? &r->wants_stop
                 : request == ROLE_MEND ? &r->wants_mending
                                        : &r->wants_reload,
                 true);
    mutex_lock(&r->mutex);
    if (r->loop && !atomic_exchange(&r->is_posted, true))
        loop_post(r->loop, &r->message);
    mutex_unlock(&r->mutex);
}

static void become_readable(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    struct role *r = (struct role *)((char *)watch - offsetof(struct role, watch));
    task_wake(r->task);
}

struct fault role_listen(struct role *r)
{
    r->message.run = deliver;
    r->watch.ready = become_readable;
    r->task = task_current();
    mutex_lock(&r->mutex);
    r->loop = loop_current();
    mutex_unlock(&r->mutex);
    return loop_watch(loop_current(), r->channel, &r->watch);
}

void role_unlisten(struct role *r)
{
    loop_unwatch(loop_current(), r->channel);
    mutex_lock(&r->mutex);
    r->loop = NULL;
    mutex_unlock(&r->mutex);
    /* A request that was posted before wakes this task: not after its end. */
    while (atomic_load(&r->is_posted))
        task_yield();
}

void role_report(struct role *r, enum report_kind kind, uint64_t number, const struct fault *f)
{
    struct report report = {.kind = kind, .number = number};
    if (f && f->kind) {
        report.reply = f->reply;
        memcpy(report.text, f->text, sizeof report.text);
    }
    struct fault sent = channel_send(r->channel, &report, sizeof report, NULL, 0);
    if (sent.kind)
        process_complain("eilbote: a role cannot report: %s", sent.text);
}

/* A set whose sockets this process cannot take: no descriptor is free. */
static bool refuse_cut_set(struct role *r)
{
    if (r->order->kind != ORDER_SET)
        return false;
    struct fault f = fault_make(451, FAULT_STATUS(4, 3, 0), "too many open files");
    role_report(r, REPORT_FAILED, r->order->number, &f);
    r->order->reply = f.reply;
    memcpy(r->order->text, f.text, sizeof f.text);
    return true;
}

static void grant(struct role *r)
{
    for (struct list *link = r->wishes.next; link != &r->wishes; link = link->next) {
        struct wish *w = LIST_ENTRY(link, struct wish, link);
        if (w->is_answered || w->number > r->order->number)
            continue;
        w->is_answered = true;
        if (r->order->reply > 0)
            w->fault = fault_make(r->order->reply, (struct fault_status){0}, "%s", r->order->text);
        task_wake(w->task);
    }
}

/* Tells who waits for an upgrade. */
static void end_upgrades(struct role *r, const struct fault *f)
{
    for (struct list *link = r->upgrades.next; link != &r->upgrades; link = link->next) {
        struct wish *w = LIST_ENTRY(link, struct wish, link);
        w->is_answered = true;
        w->fault = *f;
        task_wake(w->task);
    }
}

static enum role_request stop(struct role *r)
{
    const struct fault fine = FINE;
    end_upgrades(r, &fine);
    return ROLE_STOP;
}

static enum role_request stay(struct role *r)
{
    struct fault f = fault_make(r->order->reply, (struct fault_status){0}, "%s", r->order->text);
    end_upgrades(r, &f);
    return ROLE_STAY;
}

enum role_request role_wait(struct role *r)
{
    for (;;) {
        if (atomic_load(&r->wants_stop))
            return stop(r);
        if (atomic_exchange(&r->wants_reload, false))
            role_report(r, REPORT_WISH, 0, NULL);
        if (atomic_exchange(&r->wants_mending, false))
            role_report(r, REPORT_STUCK, 0, NULL);
        switch (receive(r)) {
        case CHANNEL_NOTHING:
            task_wait_answer();
            break;
        case CHANNEL_CUT:
            if (refuse_cut_set(r))
                return ROLE_REFUSED;
            break;
        case CHANNEL_END: /* nobody is there to tell us to stop */
            return stop(r);
        case CHANNEL_PACKET:
            if (r->order->kind == ORDER_STAY)
                return stay(r);
            if (r->order->kind == ORDER_ALONE)
                return ROLE_ALONE;
            if (r->order->kind != ORDER_RESULT)
                return r->order->kind == ORDER_SET ? ROLE_SET : ROLE_REFUSED;
            grant(r);
            break;
        }
    }
}

struct fault role_reload(struct role *r)
{
    struct wish w = {.number = ++r->last_wish, .task = task_current()};
    list_push_back(&r->wishes, &w.link);
    role_report(r, REPORT_WISH, w.number, NULL);
    while (!w.is_answered && !task_is_cancelled())
        task_wait(TASK_NO_DEADLINE);
    list_remove(&w.link);
    if (!w.is_answered)
        return fault_make(451, FAULT_STATUS(4, 3, 2), "the server is stopping");
    return w.fault;
}

struct fault role_upgrade(struct role *r)
{
    struct wish w = {.task = task_current()};
    list_push_back(&r->upgrades, &w.link);
    role_report(r, REPORT_UPGRADE, 0, NULL);
    while (!w.is_answered && !task_is_cancelled())
        task_wait(TASK_NO_DEADLINE);
    list_remove(&w.link);
    return w.fault;
}
