/* SPDX-License-Identifier: ISC */
/*
 * inquiry.h - the questions of the checks, answered by the resolver (check/ask.h)
 */
#ifndef NET_INQUIRY_H
#define NET_INQUIRY_H

#include "check/ask.h"
#include "net/resolver.h"

/* Room that the answers to one question may take in the asker's arena. */
enum { INQUIRY_ANSWER_BYTES = 256 << 10 };

/* TXT and TLSA records of a name; where there are more, or RESOLVER_RECORDS_MAX addresses, the question has failed. */
enum { INQUIRY_TEXTS_MAX = 100 };

/* What all questions of one message have in common. */
struct inquiry {
    struct resolver *resolver;
    int64_t deadline_ms; /* of all questions together; what is asked later fails */
    bool is_cancelled;   /* a question failed because the task is to end */
};

/*
 * An asker for the tasks of a message: it borrows the inquiry, its answers live in the arena, which has room for
 * INQUIRY_ANSWER_BYTES a question. Asking suspends the task.
 */
struct asker inquiry_asker(struct inquiry *i, struct arena *arena, unsigned questions);

#endif
