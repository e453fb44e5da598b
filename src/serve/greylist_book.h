/* SPDX-License-Identifier: ISC */
/*
 * greylist_book.h - what greylisting remembers, over restarts (SQLite)
 *
 * A triplet is 32 octets of a digest, so what strangers say costs a row of known size; rows are bounded, and the oldest
 * make room. Nothing here is worth a sync: what a power cut takes makes somebody come once more. A book that is damaged
 * is begun anew. From which network genuine mail of which domain came is in it, too: that speaks for what comes later
(serve/inspection).
 */
#ifndef SERVE_GREYLIST_BOOK_H
#define SERVE_GREYLIST_BOOK_H

#include "base/fault.h"
#include "check/policy_rules.h"

#define GREYLIST_BOOK_NAME "greylist.db" /* in the folder of the mta */

struct greylist_book;

/* Who comes. The sender is empty for notices. */
struct greylist_try {
    struct ip_address ip;
    struct str sender, recipient;
    int64_t now_ms; /* Unix ms */
    bool
        is_counted; /* a pass of the message counts for the network already, by another recipient */
};

/*
 * Opens the book in a file, which is made. With is_read_only nothing is written, and without a file the book is empty.
 * Blocks.
 */
struct fault greylist_book_open(const char *path, bool is_read_only, struct greylist_book **out);
void greylist_book_close(struct greylist_book *b);

/*
 * What becomes of a try by what is remembered, which is then remembered unless the book is read only. A book that cannot
 * be read or written lets everybody pass, with the fault. Blocks.
 */
struct fault greylist_book_try(struct greylist_book *b, const struct policy_rules *rules,
                               const struct greylist_try *t, struct greylist_verdict *out);

/*
 * Remembers that a message of that author's domain (lower-case A-labels) from the address's network was genuine. The two
 * have one row, which counts the days (UTC) on which such mail came, and is forgotten like the others: a network speaks for
 * no domain but those whose mail it has brought. What was noted today is not written again. Blocks.
 */
struct fault greylist_book_praise(struct greylist_book *b, const struct policy_rules *rules,
                                  const struct ip_address *ip, struct str author, int64_t now_ms);

/* Whether the two were praised today, as far as is known without asking the file. Any thread, at once. */
bool greylist_book_has_praised(struct greylist_book *b, const struct ip_address *ip,
                               struct str author, int64_t now_ms);

/* On how many days genuine mail of that domain came from the network; *days is 0 on a fault. Blocks. */
struct fault greylist_book_days(struct greylist_book *b, const struct policy_rules *rules,
                                const struct ip_address *ip, struct str author, int64_t now_ms,
                                int64_t *days);

#endif
