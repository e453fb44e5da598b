/* SPDX-License-Identifier: ISC */
/*
 * complete.c - records go back to their submitters
 *
 * One batch is handed to each loop as one chain of messages, so that it is woken once.
 */
#include "journal/internal.h"

#include <assert.h>

void append_queue_push(struct append_queue *q, struct journal_append *a)
{
    a->next = NULL;
    if (q->last)
        q->last->next = a;
    else
        q->first = a;
    q->last = a;
    q->count++;
}

void append_queue_move(struct append_queue *to, struct append_queue *from)
{
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    to->count += from->count;
    *from = (struct append_queue){NULL, NULL, 0};
}

/* The messages for one loop. */
struct chain {
    struct loop *loop;
    struct loop_message *first;
    struct loop_message *last;
};

/* More loops than this are woken more than once a batch. */
enum { CHAIN_COUNT = 32 };

/* The chain of that loop; when all are taken, the first one is sent off to make room. */
static struct chain *find_chain(struct chain *chains, size_t *count, struct loop *loop)
{
    for (size_t i = 0; i < *count; i++)
        if (chains[i].loop == loop)
            return &chains[i];
    struct chain *c = &chains[0];
    if (*count < CHAIN_COUNT)
        c = &chains[(*count)++];
    else
        loop_post_chain(c->loop, c->first, c->last);
    *c = (struct chain){loop, NULL, NULL};
    return c;
}

void journal_complete(struct append_queue *q, const struct fault *result)
{
    struct chain chains[CHAIN_COUNT];
    size_t count = 0;
    struct journal_append *a = q->first;
    *q = (struct append_queue){NULL, NULL, 0};
    while (a) {
        struct journal_append *next = a->next; /* a may be gone after its message ran */
        if (result)
            a->result = *result;
        if (!a->loop) {
            a->message.run(&a->message);
        } else {
            struct chain *c = find_chain(chains, &count, a->loop);
            a->message.next = NULL;
            if (c->last)
                c->last->next = &a->message;
            else
                c->first = &a->message;
            c->last = &a->message;
        }
        a = next;
    }
    for (size_t i = 0; i < count; i++)
        loop_post_chain(chains[i].loop, chains[i].first, chains[i].last);
}
