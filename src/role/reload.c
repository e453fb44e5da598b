/* SPDX-License-Identifier: ISC */
/*
 * reload.c - the supervisor's part of a reload: which set is in force, and who works with it
 */
#include "role/reload.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/channel.h"
#include "os/process.h"

static struct sockets *make_sockets(void)
{
    struct sockets *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    return s;
}

/* Reads the file and opens what it asks for; *conf and *sockets are the caller's. */
static struct fault load(struct reload *r, struct buf *source, struct conf **conf,
                         struct sockets **sockets)
{
    *sockets = NULL;
    *source = buf_make(CONF_SOURCE_LIMIT);
    struct fault f = conf_read(r->conf_path, source);
    if (!f.kind)
        f = conf_parse(r->conf_path, buf_str(source), conf);
    if (f.kind) {
        buf_free(source);
        return f;
    }
    *sockets = make_sockets();
    f = sockets_open(*conf, r->current, r->retired, &r->last_id, *sockets);
    if (f.kind) {
        buf_free(source);
        conf_free(*conf);
        free(*sockets);
    }
    return f;
}

struct fault reload_start(struct reload *r, const char *conf_path, const struct sockets *inherited,
                          struct conf **conf)
{
    *r = (struct reload){.conf_path = conf_path,
                         .current = make_sockets(),
                         .retired = make_sockets(),
                         .order = calloc(1, sizeof *r->order)};
    if (!r->order)
        abort();
    for (size_t i = 0; i < ROLES; i++)
        r->role[i] = (struct reload_role){.kind = &role_kinds[i], .channel = -1};
    struct sockets *sockets;
    *r->current = *inherited;
    r->last_id = inherited->count;
    struct fault f = load(r, &r->source, conf, &sockets);
    if (f.kind) {
        reload_stop(r);
        return f;
    }
    sockets_subtract(r->current, sockets);
    sockets_close(r->current, true);
    free(r->current);
    r->current = sockets;
    r->number = r->last_number = 1;
    return FINE;
}

void reload_close_ports(struct reload *r)
{
    r->is_over = true;
    sockets_close(r->current, false);
    sockets_close(r->retired, false);
}

void reload_stop(struct reload *r)
{
    for (size_t i = 0; i < ROLES; i++)
        if (r->role[i].channel >= 0)
            close(r->role[i].channel);
    reload_close_ports(r);
    buf_free(&r->source);
    buf_free(&r->source_before);
    free(r->before);
    free(r->current);
    free(r->retired);
    free(r->order);
}

static struct fault send_set(struct reload *r, struct reload_role *role)
{
    int descriptors[ROLE_SOCKETS_MOST + 1];
    struct order *o = r->order;
    *o = (struct order){.kind = ORDER_SET,
                        .number = r->number,
                        .reply = r->fault.reply,
                        .has_predecessor = role->has_predecessor};
    memcpy(o->text, r->fault.text, sizeof o->text);
    o->socket_count = (uint32_t)sockets_choose(r->current, role->kind->is_mta, o->socket);
    descriptors[0] = channel_hold_text(buf_str(&r->source));
    for (size_t i = 0; i < o->socket_count; i++)
        descriptors[i + 1] = o->socket[i].descriptor;
    struct fault f =
        channel_send(role->channel, o, sizeof *o, descriptors, (size_t)o->socket_count + 1);
    close(descriptors[0]);
    return f;
}

static void send_word(struct reload *r, struct reload_role *role, enum order_kind kind,
                      uint64_t number, const struct fault *about)
{
    *r->order = (struct order){.kind = kind, .number = number, .reply = about->reply};
    memcpy(r->order->text, about->text, sizeof about->text);
    struct fault f = channel_send(role->channel, r->order, sizeof *r->order, NULL, 0);
    if (f.kind)
        process_complain("eilbote: the %s cannot be told of the reload: %s", role->kind->name,
                         f.text);
}

void reload_tell_stay(struct reload *r, const struct fault *f)
{
    for (size_t i = 0; i < ROLES; i++)
        if (r->role[i].channel >= 0)
            send_word(r, &r->role[i], ORDER_STAY, 0, f);
}

struct fault reload_tell_alone(struct reload *r, struct reload_role *role)
{
    role->has_predecessor = false;
    if (role->channel < 0)
        return FINE;
    *r->order = (struct order){.kind = ORDER_ALONE};
    return channel_send(role->channel, r->order, sizeof *r->order, NULL, 0);
}

/* Everybody who might still serve a retired socket has said that it does not. */
static void close_retired(struct reload *r)
{
    for (size_t i = 0; i < ROLES; i++)
        if (r->role[i].works_with != r->number)
            return;
    sockets_close(r->retired, true);
}

static void begin(struct reload *r);
static bool undo(struct reload *r);

static void finish_when_all_have_reported(struct reload *r)
{
    for (size_t i = 0; i < ROLES; i++)
        if (r->role[i].owes_report)
            return;
    if (!r->is_going_on || r->is_over || (r->is_refused && undo(r)))
        return;
    r->is_going_on = false;
    close_retired(r);
    for (size_t i = 0; i < ROLES; i++) {
        struct reload_role *role = &r->role[i];
        if (role->channel >= 0 && role->wish_taken > role->wish_told)
            send_word(r, role, ORDER_RESULT, role->wish_taken, &r->fault);
        role->wish_told = role->wish_taken;
    }
    if (reload_is_ready(r))
        process_notify_systemd("READY=1");
    if (r->is_wanted)
        begin(r);
}

static void fail(struct reload *r, const struct fault *f)
{
    if (!r->fault.kind)
        r->fault = *f;
}

/* The new set is in force; what only the one before wanted retires. False: too much has retired. */
static bool put_in_force(struct reload *r, struct sockets *sockets)
{
    if (!sockets_add(r->retired, r->current))
        return false;
    sockets_subtract(r->retired, sockets);
    free(r->before);
    r->before = r->current;
    r->current = sockets;
    return true;
}

static struct fault renew(struct reload *r)
{
    struct buf source;
    struct conf *conf;
    struct sockets *sockets;
    struct fault f = load(r, &source, &conf, &sockets);
    if (f.kind)
        return f;
    conf_free(conf);
    if (!put_in_force(r, sockets)) {
        sockets_subtract(sockets, r->current);
        sockets_subtract(sockets, r->retired);
        sockets_close(sockets, true);
        free(sockets);
        buf_free(&source);
        return fault_make(451, FAULT_STATUS(4, 3, 2),
                          "the roles still work with too many sockets of earlier reloads");
    }
    buf_free(&r->source_before);
    r->source_before = r->source;
    r->source = source;
    r->number_before = r->number;
    r->number = ++r->last_number;
    return FINE;
}

static void give_set(struct reload *r, struct reload_role *role)
{
    if (role->channel < 0)
        return;
    struct fault f = send_set(r, role);
    role->owes_report = !f.kind;
    if (f.kind) {
        process_complain("eilbote: the %s cannot be given the configuration: %s", role->kind->name,
                         f.text);
        fail(r, &f);
    }
}

/*
 * One role has refused what the other took: the set before comes back for both, so that the roles
 * agree and one that is started again starts with what has worked. Who refused has never left it.
 */
static bool undo(struct reload *r)
{
    struct sockets *before = r->before;
    struct buf source = r->source;
    uint64_t number = r->number_before;
    r->is_refused = false;
    r->before = NULL;
    if (r->is_undone || !put_in_force(r, before)) {
        r->before = before;
        return false;
    }
    r->is_undone = true;
    r->source = r->source_before;
    r->source_before = source;
    r->number = ++r->last_number;
    for (size_t i = 0; i < ROLES; i++) {
        if (r->role[i].works_with == number)
            r->role[i].works_with = r->number;
        else
            give_set(r, &r->role[i]);
    }
    finish_when_all_have_reported(r);
    return true;
}

static void begin(struct reload *r)
{
    r->is_going_on = true;
    r->is_wanted = r->is_refused = r->is_undone = false;
    r->fault = FINE;
    for (size_t i = 0; i < ROLES; i++)
        r->role[i].wish_taken = r->role[i].wish;
    if (reload_is_ready(r))
        process_notify_systemd("RELOADING=1");
    struct fault f = renew(r);
    if (f.kind) {
        process_complain("eilbote: reload refused: %s", f.text);
        fail(r, &f);
        for (size_t i = 0; i < ROLES; i++)
            if (r->role[i].channel >= 0)
                send_word(r, &r->role[i], ORDER_REFUSED, r->last_number, &f);
    } else {
        for (size_t i = 0; i < ROLES; i++)
            give_set(r, &r->role[i]);
    }
    finish_when_all_have_reported(r);
}

void reload_want(struct reload *r)
{
    if (r->is_going_on)
        r->is_wanted = true;
    else if (!r->is_over)
        begin(r);
}

struct fault reload_attach(struct reload *r, struct reload_role *role, int channel)
{
    assert(role->channel < 0);
    role->channel = channel;
    role->is_beside = false;
    role->works_with = role->wish = role->wish_taken = role->wish_told = 0;
    struct fault f = send_set(r, role);
    if (f.kind) {
        close(channel);
        role->channel = -1;
    }
    return f;
}

void reload_detach(struct reload *r, struct reload_role *role)
{
    if (role->channel >= 0)
        close(role->channel);
    role->channel = -1;
    role->works_with = 0;
    if (!role->owes_report)
        return;
    role->owes_report = false;
    struct fault f =
        fault_make(451, FAULT_STATUS(4, 3, 2),
                   "the %s ended during the reload; it is started again with the new configuration",
                   role->kind->name);
    fail(r, &f);
    finish_when_all_have_reported(r);
}

/* A report about an earlier set changes nothing of the reload that goes on. */
static void settle(struct reload *r, struct reload_role *role, const struct report *report)
{
    if (report->number != r->number)
        return;
    if (report->kind == REPORT_FAILED) {
        struct fault f = fault_make(551, FAULT_STATUS(5, 3, 5), "the %s refused: %.200s",
                                    role->kind->name, report->text);
        process_complain("eilbote: reload: %s", f.text);
        fail(r, &f);
        r->is_refused = true;
    } else {
        role->works_with = report->number;
    }
    if (!role->owes_report) {
        close_retired(r);
        return;
    }
    role->owes_report = false;
    finish_when_all_have_reported(r);
}

static void take(struct reload *r, struct reload_role *role, const struct report *report)
{
    switch (report->kind) {
    case REPORT_READY:
        role->has_been_ready = true;
        settle(r, role, report);
        return;
    case REPORT_BESIDE:
        role->is_beside = true;
        settle(r, role, report);
        return;
    case REPORT_DONE:
    case REPORT_FAILED:
        settle(r, role, report);
        return;
    case REPORT_WISH:
        if (report->number > role->wish)
            role->wish = report->number;
        reload_want(r);
        return;
    case REPORT_UPGRADE:
        r->wants_upgrade = true;
        return;
    case REPORT_STUCK:
        r->wants_mending = true;
        return;
    default:
        process_complain("eilbote: the %s says what no role says", role->kind->name);
    }
}

void reload_read(struct reload *r, struct reload_role *role)
{
    struct report report;
    size_t none = 0;
    enum channel_result result = CHANNEL_PACKET;
    while (role->channel >= 0 && result == CHANNEL_PACKET) {
        result = channel_receive(role->channel, &report, sizeof report, NULL, &none);
        report.text[sizeof report.text - 1] = '\0';
        if (result == CHANNEL_PACKET)
            take(r, role, &report);
        else if (result != CHANNEL_NOTHING)
            reload_detach(r, role);
    }
}

bool reload_is_ready(const struct reload *r)
{
    for (size_t i = 0; i < ROLES; i++)
        if (!r->role[i].has_been_ready)
            return false;
    return true;
}
