/* SPDX-License-Identifier: ISC */
/*
 * directory.h - domains, accounts and aliases: directory.db
 *
 * One SQLite file that all roles read and the command line writes. Every call blocks for a moment
 * and is meant for an offload thread; one handle may be used by several threads. Names are looked
 * up without regard to ASCII case; domains are A-labels. Faults are 451 4.3.0 with SQLite's word
 * unless said otherwise.
 */
#ifndef DIRECTORY_DIRECTORY_H
#define DIRECTORY_DIRECTORY_H

#include "base/arena.h"
#include "base/fault.h"
#include "directory/verifier.h"

struct directory;

enum directory_access {
    DIRECTORY_READ,  /* must exist; needs no right to write */
    DIRECTORY_WRITE, /* must exist */
    DIRECTORY_CREATE /* made when missing */
};

/*
 * Opens the file; *out is for directory_close, NULL on a fault. What a writer that was killed has
 * left half done is taken back first; that alone needs the right to write also for a reader. Changes
 * are durable when they return.
 */
struct fault directory_open(const char *path, enum directory_access access, struct directory **out);
void directory_close(struct directory *d);

/*
 * A writer was killed while the directory is open, and who may not write cannot read any more: tell(arg)
 * is called for every question that fails so, on its thread. Whoever opens the directory and may write
 * makes it well. Before the first question.
 */
void directory_on_stuck(struct directory *d, void (*tell)(void *arg), void *arg);

/* A number that changes whenever anybody changed the directory, for callers that keep answers. */
struct fault directory_version(struct directory *d, int64_t *version);

enum directory_kind {
    DIRECTORY_NOT_OURS, /* the domain is not in the directory */
    DIRECTORY_UNKNOWN,  /* the domain is, the user is not */
    DIRECTORY_MAILBOX,
    DIRECTORY_ALIAS
};

struct directory_result {
    enum directory_kind kind;
    struct str account;  /* of a mailbox: "local@domain" in lower case */
    struct str detail;   /* what stood behind '+', when that is how it was found */
    int64_t quota_bytes; /* of a mailbox; 0: none */
    struct str *target;  /* of an alias */
    size_t target_count;
};

/*
 * What an address means: an alias of that name, else the account; both again without "+detail";
 * else the domain's catch-all. Results are allocated in a. An alias whose target is itself means
 * its own mailbox; see directory_expand.
 */
struct fault directory_resolve(struct directory *d, struct str local, struct str domain,
                               struct arena *a, struct directory_result *out);

struct directory_account {
    struct str address; /* "local@domain" in lower case */
    struct directory_verifier verifier;
    int64_t quota_bytes; /* 0: none */
    bool is_enabled;
};

/* The account with that login name (its address). *found tells whether there is one. */
struct fault directory_account(struct directory *d, struct str login, struct arena *a,
                               struct directory_account *out, bool *found);

/*
 * The verifier to answer SCRAM with: the account's, or for a login that does not exist or is
 * disabled one that is always the same for that name and fits no password; *is_real tells which.
 */
struct fault directory_verifier(struct directory *d, struct str login,
                                struct directory_verifier *out, bool *is_real);

/* Checks a password in the same time whether or not the login exists. */
struct fault directory_check_password(struct directory *d, struct str login, struct str password,
                                      bool *is_right);

/*
 * Whether the account (its address) may use local@domain as sender: its own address, with any
 * "+detail", or an alias (or catch-all) that names it as a target.
 */
struct fault directory_may_send_as(struct directory *d, struct str account, struct str local,
                                   struct str domain, bool *may);

/* Whether the domain (any case) is ours. */
struct fault directory_has_domain(struct directory *d, struct str domain, bool *has);

/* An address or a login as the directory has it, in the arena: in lower case as far as ASCII goes, U-labels of
 * the domain (RFC 5890) as A-labels. What is no address comes back in lower case. */
struct str directory_canonical(struct arena *a, struct str address);

/* "local@domain" cut at the last '@'. False unless both are what the directory can hold: a local
 * part of at most 64 bytes of UTF-8 without blanks and specials, a domain in ASCII. */
bool directory_split(struct str address, struct str *local, struct str *domain);

#endif
