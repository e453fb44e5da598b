/* SPDX-License-Identifier: ISC */
/*
 * dns.c - libunbound's calls, answered from the plan
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <unbound.h>

#include "world.h"
#include "zone.h"

enum { ANSWER_LEAST_MS = 1, ANSWER_MOST_MS = 80, GIVE_UP_S = 30 };

struct question {
    struct question *next;
    struct ub_ctx *context;
    uint64_t process; /* of the server that asked */
    void *arg;
    ub_callback_type callback;
    char name[256];
    int type;
    bool is_answered;
    struct zone_answer answer;
};

struct ub_ctx {
    int descriptor;
    struct question *questions;
};

struct ub_ctx *ub_ctx_create(void)
{
    struct ub_ctx *c = calloc(1, sizeof *c);
    if (c)
        c->descriptor = eventfd(0, EFD_NONBLOCK);
    return c;
}

void ub_ctx_delete(struct ub_ctx *c)
{
    /* Those that are still under way find nobody. */
    for (struct question *q = c->questions; q; q = q->next)
        q->process = 0;
    close(c->descriptor);
    free(c);
}

int ub_ctx_resolvconf(struct ub_ctx *c, const char *path)
{
    (void)c;
    (void)path;
    return 0;
}

int ub_ctx_set_fwd(struct ub_ctx *c, const char *address)
{
    (void)c;
    (void)address;
    return 0;
}

int ub_ctx_set_option(struct ub_ctx *c, const char *option, const char *value)
{
    (void)c;
    (void)option;
    (void)value;
    return 0;
}

int ub_ctx_add_ta_file(struct ub_ctx *c, const char *path)
{
    (void)c;
    (void)path;
    return 0;
}

int ub_ctx_async(struct ub_ctx *c, int is_threaded)
{
    (void)c;
    (void)is_threaded;
    return 0;
}

int ub_fd(struct ub_ctx *c)
{
    return c->descriptor;
}

static void answer(void *arg, uint64_t number)
{
    (void)number;
    struct question *q = arg;
    if (q->process != world->process) {
        world_free(q, sizeof *q);
        return;
    }
    q->is_answered = true;
    uint64_t one = 1;
    if (write(q->context->descriptor, &one, sizeof one) != sizeof one)
        sim_broken("an answer cannot be told");
}

int ub_resolve_async(struct ub_ctx *c, const char *name, int type, int class, void *arg,
                     ub_callback_type callback, int *id)
{
    (void)class;
    (void)id;
    struct question *q = world_alloc(sizeof *q);
    *q = (struct question){.context = c,
                           .process = world->process,
                           .arg = arg,
                           .callback = callback,
                           .type = type,
                           .next = c->questions};
    strncpy(q->name, name, sizeof q->name - 1);
    c->questions = q;
    zone_resolve(name, type, &q->answer);
    int64_t ms = q->answer.count == ZONE_SILENCE ? GIVE_UP_S * 1000
                                                 : sim_between(ANSWER_LEAST_MS, ANSWER_MOST_MS);
    sim_after(ms * SIM_MS + q->answer.late_ns, answer, q, 0);
    return 0;
}

static struct ub_result *result_of(const struct question *q)
{
    const struct zone_answer *a = &q->answer;
    int count = a->count;
    struct ub_result *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    r->qname = strdup(q->name);
    r->qtype = q->type;
    r->qclass = 1;
    r->ttl = 60;
    r->rcode = count == ZONE_NO_NAME ? 3 : count < 0 ? 2 : 0;
    r->nxdomain = count == ZONE_NO_NAME;
    r->secure = a->is_secure && count >= ZONE_NO_NAME;
    r->bogus = a->is_bogus;
    r->havedata = count > 0;
    size_t n = count > 0 ? (size_t)count : 0;
    r->data = calloc(n + 1, sizeof *r->data);
    r->len = calloc(n + 1, sizeof *r->len);
    for (size_t i = 0; i < n; i++) {
        r->data[i] = malloc(a->record[i].size + 1);
        memcpy(r->data[i], a->record[i].data, a->record[i].size);
        r->len[i] = (int)a->record[i].size;
    }
    return r;
}

void ub_resolve_free(struct ub_result *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->data[i]; i++)
        free(r->data[i]);
    free(r->data);
    free(r->len);
    free(r->qname);
    free(r);
}

int ub_process(struct ub_ctx *c)
{
    uint64_t count;
    if (read(c->descriptor, &count, sizeof count) != sizeof count)
        return 0;
    for (struct question **at = &c->questions; *at;) {
        struct question *q = *at;
        if (!q->is_answered) {
            at = &q->next;
            continue;
        }
        *at = q->next;
        q->callback(q->arg, 0, result_of(q));
        world_free(q, sizeof *q);
        at = &c->questions;
    }
    return 0;
}

const char *ub_strerror(int error)
{
    (void)error;
    return "simulated";
}

int ub_ctx_set_stub(struct ub_ctx *c, const char *zone, const char *address, int is_prime)
{
    (void)c;
    (void)zone;
    (void)address;
    (void)is_prime;
    return 0;
}

int ub_ctx_zone_remove(struct ub_ctx *c, const char *zone)
{
    (void)c;
    (void)zone;
    return 0;
}
