/* SPDX-License-Identifier: ISC */
/*
 * expand.h - aliases followed to their ends
 */
#ifndef DIRECTORY_EXPAND_H
#define DIRECTORY_EXPAND_H

#include "directory/directory.h"

enum { EXPAND_MAX = 10000 };

struct directory_recipient {
    struct str address;
    struct str account; /* of a mailbox of ours; empty for an address elsewhere */
    struct str detail;
    int64_t quota_bytes; /* of a mailbox; 0: none */
};

struct directory_recipients {
    struct directory_recipient *item;
    size_t count;
};

/*
 * The mailboxes and outside addresses an address of ours stands for, each once, allocated in a.
 * Aliases are followed; one that names itself means its own mailbox, other circles end there.
 * Faults: 550 5.1.1 unknown user, 550 5.1.2 domain not ours, 554 5.4.6 nothing but circles, 550
 * 5.2.4 more than EXPAND_MAX addresses; targets that do not exist are left out when others do.
 */
struct fault directory_expand(struct directory *d, struct str local, struct str domain,
                              struct arena *a, struct directory_recipients *out);

#endif
