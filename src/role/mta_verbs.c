/* SPDX-License-Identifier: ISC */
/*
 * mta_verbs.c - what an operator may ask the mta: the queue, its sites, the state of things
 *
 * Messages are walked by id in pages, each pinned in memory while it is looked at, so that a queue
 * of any length is listed in constant memory.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/loop.h"
#include "role/mta_internal.h"
#include "role/queue_filter.h"

enum { PAGE = 500 };

static json_t *json_trouble(const struct queue_trouble *t)
{
    char status[32];
    snprintf(status, sizeof status, "%u.%u.%u", t->fault.status.class, t->fault.status.subject,
             t->fault.status.detail);
    return json_pack("{s:i, s:b, s:s, s:o, s:I, s:o, s:o}", "reply", (int)t->fault.reply, "answer",
                     t->fault.is_answer, "status", status, "text",
                     control_text(fault_text(&t->fault)), "time_ms", (json_int_t)t->time_ms,
                     "remote", control_text(t->remote), "dialogue", control_text(t->dialogue));
}

static json_t *json_delivery(const struct queue_delivery *d)
{
    json_t *recipients = json_array();
    for (size_t i = 0; i < d->rcpt_count; i++)
        json_array_append_new(recipients,
                              control_text(d->message->envelope.rcpt[d->rcpt[i]].address));
    json_t *o = json_pack("{s:o, s:s, s:b, s:i, s:I, s:o}", "domain", control_text(d->domain),
                          "state", queue_filter_state_name(d), "with_sender",
                          d->state == QUEUE_READY, "attempts", (int)d->attempts, "next_attempt_ms",
                          (json_int_t)d->next_attempt_ms, "recipients", recipients);
    if (d->trouble)
        json_object_set_new(o, "trouble", json_trouble(d->trouble));
    return o;
}

static json_t *json_message(const struct queue_message *m, const struct queue_filter *f,
                            int64_t now_ms)
{
    char id[QUEUE_ID_TEXT_MAX];
    json_t *deliveries = json_array();
    for (size_t i = 0; i < m->delivery_count; i++)
        if (queue_filter_fits(f, &m->delivery[i], now_ms))
            json_array_append_new(deliveries, json_delivery(&m->delivery[i]));
    if (json_array_size(deliveries) == 0) {
        json_decref(deliveries);
        return NULL;
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:s, s:o}", "id",
                     control_text(queue_id_text(m->id, id)), "sender",
                     control_text(m->envelope.sender), "session", control_text(m->envelope.session),
                     "account", control_text(m->envelope.account), "size", (json_int_t)m->body_size,
                     "arrival_ms", (json_int_t)m->envelope.arrival_ms, "rests",
                     m->is_cold ? "queue.db" : "journal", "deliveries", deliveries);
}

/* Walking. */
typedef struct fault (*visit_message)(struct control *c, struct mta *m,
                                      struct queue_message *message, const struct queue_filter *f,
                                      void *arg);

static struct fault visit_one(struct control *c, struct mta *m, uint64_t id,
                              const struct queue_filter *f, visit_message visit, void *arg)
{
    struct queue_message *message;
    struct fault fault = queue_pin(m->steward.server.queue, id, &message);
    if (fault.kind || !message)
        return fault;
    fault = visit(c, m, message, f, arg);
    queue_unpin(m->steward.server.queue, message);
    return fault;
}

static struct fault walk_ids(struct control *c, struct mta *m, const struct queue_filter *f,
                             visit_message visit, void *arg)
{
    for (size_t i = 0; i < json_array_size(f->ids); i++) {
        struct str text = str_from(json_string_value(json_array_get(f->ids, i)));
        uint64_t id;
        if (!queue_id_parse(text, &id))
            return fault_make(501, FAULT_STATUS(5, 5, 4), "\"" STR_FMT "\" is no message id",
                              STR_ARG(text));
        struct fault fault = visit_one(c, m, id, f, visit, arg);
        if (fault.kind)
            return fault;
    }
    return FINE;
}

static struct fault walk(struct control *c, struct mta *m, const struct queue_filter *f,
                         visit_message visit, void *arg)
{
    if (json_array_size(f->ids) > 0)
        return walk_ids(c, m, f, visit, arg);
    uint64_t *ids = calloc(PAGE, sizeof *ids), above = 0;
    if (!ids)
        abort();
    struct fault fault = FINE;
    for (size_t count = PAGE; count == PAGE && !fault.kind;) {
        fault = queue_ids(m->steward.server.queue, above, ids, PAGE, &count);
        for (size_t i = 0; i < count && !fault.kind; i++) {
            above = ids[i];
            fault = visit_one(c, m, ids[i], f, visit, arg);
        }
    }
    free(ids);
    return fault;
}

static int64_t now_ms(const struct mta *m)
{
    return loop_real_ms(m->steward.crew.member[0].loop);
}

/* Looking. */
static struct fault say_message(struct control *c, struct mta *m, struct queue_message *message,
                                const struct queue_filter *f, void *arg)
{
    (void)arg;
    json_t *o = json_message(message, f, now_ms(m));
    return o ? control_say(c, o) : FINE;
}

static struct fault verb_list(struct control *c, void *role, const json_t *request)
{
    struct queue_filter f;
    struct fault fault = queue_filter_read(request, &f);
    return fault.kind ? fault : walk(c, role, &f, say_message, NULL);
}

static json_t *json_site(const struct sender_site_report *r)
{
    json_t *o =
        json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:I}", "site", control_text(r->site),
                  "connections", (json_int_t)r->connections, "connections_most",
                  (json_int_t)r->connections_most, "waiting", (json_int_t)r->waiting,
                  "all_connections", (json_int_t)r->all_connections, "all_connections_most",
                  (json_int_t)r->all_connections_most, "silent", (int)r->is_silent, "down",
                  (int)r->is_down, "down_for_ms", (json_int_t)r->down_for_ms);
    if (r->fault.kind)
        json_object_set_new(o, "fault", control_text(fault_text(&r->fault)));
    return o;
}

/* Everything that `queue why` needs for its sentences. */
static struct fault say_why(struct control *c, struct mta *m, struct queue_message *message,
                            const struct queue_filter *f, void *arg)
{
    (void)arg;
    json_t *o = json_message(message, f, now_ms(m));
    if (!o)
        return FINE;
    struct live *live = live_keep(&m->steward.live);
    json_t *sites = json_object();
    for (size_t i = 0; i < message->delivery_count; i++) {
        struct sender_site_report r;
        sender_report(m->sender, message->delivery[i].domain, &r);
        char *domain = strndup(message->delivery[i].domain.p ? message->delivery[i].domain.p : "",
                               message->delivery[i].domain.n);
        json_object_set_new(sites, domain, json_site(&r));
        free(domain);
    }
    json_object_set_new(o, "sites", sites);
    json_object_set_new(o, "now_ms", json_integer(now_ms(m)));
    json_object_set_new(
        o, "expires_ms",
        json_integer(message->envelope.arrival_ms + live->conf->queue.bounce_after_ms));
    live_drop(&m->steward.live, live);
    return control_say(c, o);
}

static struct fault verb_why(struct control *c, void *role, const json_t *request)
{
    struct queue_filter f;
    struct fault fault = queue_filter_read(request, &f);
    return fault.kind ? fault : walk(c, role, &f, say_why, NULL);
}

/* The first bytes of a message, for `queue show`. */
static struct fault say_content(struct control *c, struct mta *m, struct queue_message *message,
                                const struct queue_filter *f, void *arg)
{
    enum { SHOWN_MOST = 64 << 10 };
    (void)arg;
    json_t *o = json_message(message, f, now_ms(m));
    if (!o)
        return FINE;
    struct buf body = buf_make(SHOWN_MOST + 1);
    struct fault fault = queue_read_body(m->steward.server.queue, message, 0, SHOWN_MOST, &body);
    if (!fault.kind)
        json_object_set_new(o, "content", control_text(buf_str(&body)));
    buf_free(&body);
    if (fault.kind) {
        json_decref(o);
        return fault;
    }
    return control_say(c, o);
}

static struct fault verb_show(struct control *c, void *role, const json_t *request)
{
    struct queue_filter f;
    struct fault fault = queue_filter_read(request, &f);
    return fault.kind ? fault : walk(c, role, &f, say_content, NULL);
}

/* Doing. */
struct deed {
    bool (*act)(struct mta *m, struct queue_delivery *d);
    int64_t changed, refused;
};

static struct fault act_on(struct control *c, struct mta *m, struct queue_message *message,
                           const struct queue_filter *f, void *arg)
{
    (void)c;
    struct deed *deed = arg;
    for (size_t i = 0; i < message->delivery_count; i++) {
        if (!queue_filter_fits(f, &message->delivery[i], now_ms(m)))
            continue;
        if (deed->act(m, &message->delivery[i]))
            deed->changed++;
        else
            deed->refused++;
    }
    return FINE;
}

static struct fault do_deed(struct control *c, struct mta *m, const json_t *request,
                            bool (*act)(struct mta *m, struct queue_delivery *d))
{
    struct queue_filter f;
    struct deed deed = {.act = act};
    struct fault fault = queue_filter_read_choice(request, &f);
    if (fault.kind)
        return fault;
    fault = walk(c, m, &f, act_on, &deed);
    /* What the operator is told has happened must not come back after a crash. */
    queue_sync(m->steward.server.queue);
    if (fault.kind)
        return fault;
    return control_say(c, json_pack("{s:I, s:I}", "changed", (json_int_t)deed.changed, "refused",
                                    (json_int_t)deed.refused));
}

static bool act_hold(struct mta *m, struct queue_delivery *d)
{
    return queue_hold(m->steward.server.queue, d);
}

static bool act_release(struct mta *m, struct queue_delivery *d)
{
    return queue_release(m->steward.server.queue, d);
}

static bool act_retry(struct mta *m, struct queue_delivery *d)
{
    return queue_retry(m->steward.server.queue, d);
}

static bool act_drop(struct mta *m, struct queue_delivery *d)
{
    return queue_drop(m->steward.server.queue, d);
}

static bool act_bounce(struct mta *m, struct queue_delivery *d)
{
    if (!queue_take(m->steward.server.queue, d))
        return false;
    struct fault f = fault_make(554, FAULT_STATUS(5, 0, 0), "returned by the operator");
    sender_bounce(m->sender, d, &f);
    return true;
}

static struct fault verb_hold(struct control *c, void *role, const json_t *request)
{
    return do_deed(c, role, request, act_hold);
}

static struct fault verb_release(struct control *c, void *role, const json_t *request)
{
    return do_deed(c, role, request, act_release);
}

/* An operator who says retry has reason to think that things have changed. */
static struct fault verb_retry(struct control *c, void *role, const json_t *request)
{
    struct mta *m = role;
    sender_refresh(m->sender);
    return do_deed(c, m, request, act_retry);
}

static struct fault verb_drop(struct control *c, void *role, const json_t *request)
{
    return do_deed(c, role, request, act_drop);
}

static struct fault verb_bounce(struct control *c, void *role, const json_t *request)
{
    return do_deed(c, role, request, act_bounce);
}

/* The role's state, for `top`. */
static void add_site(void *arg, const struct sender_site_report *r)
{
    json_array_append_new(arg, json_site(r));
}

static struct fault verb_status(struct control *c, void *role, const json_t *request)
{
    (void)request;
    struct mta *m = role;
    struct queue_statistics s;
    queue_statistics(m->steward.server.queue, &s);
    size_t sessions = 0;
    for (size_t i = 0; i < m->steward.crew.count; i++)
        sessions += acceptor_count(m->steward.crew.member[i].acceptor);
    json_t *sites = json_array();
    sender_each_site(m->sender, add_site, sites);
    json_t *o = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "now_ms", (json_int_t)now_ms(m),
        "messages", (json_int_t)s.messages, "hot", (json_int_t)s.hot, "delivering",
        (json_int_t)s.ready, "accepted", (json_int_t)s.accepted, "finished", (json_int_t)s.finished,
        "body_bytes", (json_int_t)s.body_bytes, "sessions", (json_int_t)sessions, "in_flight_bytes",
        (json_int_t)atomic_load(&m->steward.server.in_flight_bytes));
    json_object_set_new(
        o, "journal",
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "records", (json_int_t)s.journal.records, "syncs",
                  (json_int_t)s.journal.syncs, "segments", (json_int_t)s.journal.segments,
                  "failures", (json_int_t)s.journal.failures, "bytes",
                  (json_int_t)s.journal.bytes_written));
    json_object_set_new(o, "sites", sites);
    json_object_set_new(o, "disk_low", json_boolean(server_is_disk_low(&m->steward.server)));
    return control_say(c, o);
}

static struct fault verb_checkpoint(struct control *c, void *role, const json_t *request)
{
    (void)c;
    (void)request;
    struct mta *m = role;
    return queue_checkpoint(m->steward.server.queue);
}

/* clang-format off */
const struct control_verb mta_verbs[] = {
    {"queue.ls", verb_list},
    {"queue.why", verb_why},
    {"queue.show", verb_show},
    {"queue.hold", verb_hold},
    {"queue.release", verb_release},
    {"queue.retry", verb_retry},
    {"queue.drop", verb_drop},
    {"queue.bounce", verb_bounce},
    {"status", verb_status},
    {"checkpoint", verb_checkpoint},
    {NULL, NULL},
};
/* clang-format on */
