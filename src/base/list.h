/* SPDX-License-Identifier: ISC */
/*
 * list.h - intrusive doubly linked list
 *
 * The link lives inside the element; a list owns nothing. A link that is in no list points to
 * itself, so removing twice is harmless and membership can be asked.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

/* The element that contains this link. */
#define LIST_ENTRY(link, type, field) ((type *)(void *)((char *)(link)-offsetof(type, field)))

/* Loops over the links of a list; the current link may be removed in the body. */
#define LIST_EACH(link, head)                                                                      \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head);              \
         link = link##_next, link##_next = link->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *link)
{
    link->prev = at->prev;
    link->next = at;
    at->prev->next = link;
    at->prev = link;
}

static inline void list_push_back(struct list *l, struct list *link)
{
    list_insert_before(l, link);
}

static inline void list_push_front(struct list *l, struct list *link)
{
    list_insert_before(l->next, link);
}

static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Takes the first link out, or gives NULL when the list is empty. */
static inline struct list *list_pop_front(struct list *l)
{
    if (list_is_empty(l))
        return NULL;
    struct list *first = l->next;
    list_remove(first);
    return first;
}

/* Moves all elements of from to the end of l. */
static inline void list_append_all(struct list *l, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = l->prev;
    l->prev->next = from->next;
    from->prev->next = l;
    l->prev = from->prev;
    list_init(from);
}

#endif
