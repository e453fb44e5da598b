/* SPDX-License-Identifier: ISC */
/*
 * message.c - a message in the queue and its deliveries
 */
#include "queue/message.h"

#include <stdlib.h>

/* Sorts recipients by domain so that each domain's are neighbours. */
struct sorted_rcpt {
    struct str domain;
    uint32_t index;
};

static int by_domain(const void *a, const void *b)
{
    const struct sorted_rcpt *x = a, *y = b;
    int order = str_compare(x->domain, y->domain);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* All recipients by domain, for free(); how many domains there are. */
static struct sorted_rcpt *sort_rcpts(const struct queue_envelope *e, size_t *domain_count)
{
    struct sorted_rcpt *sorted = calloc(e->rcpt_count + 1, sizeof *sorted);
    if (!sorted)
        abort();
    for (size_t i = 0; i < e->rcpt_count; i++)
        sorted[i] = (struct sorted_rcpt){envelope_rcpt_domain(&e->rcpt[i]), (uint32_t)i};
    qsort(sorted, e->rcpt_count, sizeof *sorted, by_domain);
    *domain_count = 0;
    for (size_t i = 0; i < e->rcpt_count; i++)
        *domain_count += i == 0 || !str_equal(sorted[i].domain, sorted[i - 1].domain);
    return sorted;
}

size_t message_room(const struct queue_envelope *e)
{
    size_t domains = e->rcpt_count;
    if (domains > 1)
        free(sort_rcpts(e, &domains));
    return arena_room(sizeof(struct queue_message)) +
           arena_room(domains * sizeof(struct queue_delivery)) +
           arena_room(e->rcpt_count * sizeof(uint32_t)) + envelope_room(e);
}

static void make_deliveries(struct queue_message *m)
{
    size_t n = m->envelope.rcpt_count, domains;
    struct sorted_rcpt *sorted = sort_rcpts(&m->envelope, &domains);
    uint32_t *index = arena_alloc(&m->arena, n * sizeof *index);
    m->delivery = arena_alloc(&m->arena, domains * sizeof *m->delivery);
    for (size_t i = 0; i < n; i++) {
        index[i] = sorted[i].index;
        if (i == 0 || !str_equal(sorted[i].domain, sorted[i - 1].domain)) {
            struct queue_delivery *d = &m->delivery[m->delivery_count++];
            *d = (struct queue_delivery){
                .message = m, .domain = sorted[i].domain, .rcpt = &index[i]};
            list_init(&d->link);
        }
        m->delivery[m->delivery_count - 1].rcpt_count++;
    }
    m->open_count = m->delivery_count;
    free(sorted);
}

/* A message in quarantine: an operator has the next word. */
static void hold_deliveries(struct queue_message *m)
{
    struct fault f = fault_make(451, FAULT_STATUS(4, 7, 1), STR_FMT, STR_ARG(m->envelope.hold));
    for (size_t i = 0; i < m->delivery_count; i++) {
        m->delivery[i].state = QUEUE_HELD;
        delivery_set_trouble(&m->delivery[i], &f, m->envelope.arrival_ms, STR_NONE, STR_NONE);
    }
}

struct queue_message *message_make(uint64_t id, struct arena *arena,
                                   const struct queue_envelope *envelope)
{
    struct queue_message *m = arena_alloc(arena, sizeof *m);
    m->id = id;
    m->arena = *arena;
    m->envelope = *envelope;
    list_init(&m->in_order);
    make_deliveries(m);
    if (m->envelope.hold.n > 0)
        hold_deliveries(m);
    return m;
}

void message_drop_body(struct queue_message *m)
{
    free(m->body);
    m->body = NULL;
    if (m->body_kind == QUEUE_BODY_MEMORY)
        m->body_kind = QUEUE_BODY_JOURNAL;
}

void message_free(struct queue_message *m)
{
    for (size_t i = 0; i < m->delivery_count; i++)
        free(m->delivery[i].trouble);
    free(m->body);
    struct arena arena = m->arena;
    arena_free(&arena);
}

void delivery_set_trouble(struct queue_delivery *d, const struct fault *fault, int64_t time_ms,
                          struct str remote, struct str dialogue)
{
    struct queue_trouble *t = malloc(sizeof *t + remote.n + dialogue.n);
    if (!t)
        abort();
    t->fault = *fault;
    t->time_ms = time_ms;
    if (remote.n)
        memcpy(t->memory, remote.p, remote.n);
    if (dialogue.n)
        memcpy(t->memory + remote.n, dialogue.p, dialogue.n);
    t->remote = str_make(t->memory, remote.n);
    t->dialogue = str_make(t->memory + remote.n, dialogue.n);
    free(d->trouble);
    d->trouble = t;
}

enum queue_state delivery_rest_state(const struct queue_delivery *d)
{
    switch (d->state) {
    case QUEUE_READY:
        return d->is_hold_wanted ? QUEUE_HELD : QUEUE_WAITING;
    case QUEUE_WAITING:
    case QUEUE_HELD:
    case QUEUE_ENDED:
        break;
    }
    return d->state;
}

struct queue_delivery *message_delivery(struct queue_message *m, struct str domain)
{
    for (size_t i = 0; i < m->delivery_count; i++)
        if (str_equal(m->delivery[i].domain, domain))
            return &m->delivery[i];
    return NULL;
}

bool delivery_is_expanded(const struct queue_delivery *d)
{
    return str_equal(d->domain, QUEUE_EXPANDED_DOMAIN);
}

void delivery_set_rcpts(struct queue_delivery *d, const uint32_t *rcpt, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < d->rcpt_count; i++)
        if (rcpt[i] < d->message->envelope.rcpt_count)
            d->rcpt[kept++] = rcpt[i];
    d->rcpt_count = kept;
}
