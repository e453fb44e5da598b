/* SPDX-License-Identifier: ISC */
/*
 * database.h - the SQLite file behind the directory: its schema and its statements
 *
 * For the files of this room only. Whoever uses a statement holds the handle's lock.
 */
#ifndef DIRECTORY_DATABASE_H
#define DIRECTORY_DATABASE_H

#include "base/arena.h"
#include "directory/directory.h"
#include "directory/keys.h"
#include "os/thread.h"

#include <sqlite3.h>

enum database_query {
    DATABASE_BEGIN,
    DATABASE_COMMIT,
    DATABASE_ROLLBACK,
    DATABASE_VERSION,
    DATABASE_SECRET,
    DATABASE_DOMAIN,              /* name */
    DATABASE_DOMAINS,             /* -> name */
    DATABASE_DOMAIN_ADD,          /* name */
    DATABASE_DOMAIN_REMOVE,       /* name */
    DATABASE_DOMAIN_USE,          /* name -> accounts and aliases in it */
    DATABASE_ACCOUNT,             /* domain, local -> salt, iterations, keys, quota, enabled */
    DATABASE_ACCOUNTS,            /* -> domain, local, the same */
    DATABASE_ACCOUNT_SAVE,        /* domain, local, the same */
    DATABASE_ACCOUNT_REMOVE,      /* domain, local */
    DATABASE_ALIAS,               /* domain, local -> target */
    DATABASE_ALIASES,             /* -> domain, local, target */
    DATABASE_ALIAS_ADD,           /* domain, local, target */
    DATABASE_ALIAS_REMOVE,        /* domain, local */
    DATABASE_ALIAS_TARGET_REMOVE, /* domain, local, target */
    DATABASE_KEYS,                /* -> domain, selector, algorithm, state, since, record */
    DATABASE_KEYS_OF,             /* domain -> the same */
    DATABASE_KEY_ADD,             /* the same */
    DATABASE_KEY_REMOVE,          /* domain, selector */
    DATABASE_KEYS_REMOVE,         /* domain */
    DATABASE_KEY_MOVE,            /* domain, state, the new one, since */
    DATABASE_CLEAR_ALIASES,
    DATABASE_CLEAR_ACCOUNTS,
    DATABASE_CLEAR_DOMAINS,
    DATABASE_QUERY_COUNT
};

struct directory {
    sqlite3 *db;
    struct mutex lock;
    sqlite3_stmt *statement[DATABASE_QUERY_COUNT];
    void (*tell_stuck)(void *arg); /* or NULL */
    void *stuck_arg;
};

/* Takes the lock until the end of the block. */
#define DATABASE_LOCK(d)                                                                           \
    __attribute__((cleanup(database_unlock), unused)) struct directory *locked_handle =            \
        database_lock(d)
struct directory *database_lock(struct directory *d);
void database_unlock(struct directory **d);

/* The statement with its texts bound (missing ones are NULL slices); no results read yet. Gives
 * NULL when it cannot be prepared; database_fault says why. */
sqlite3_stmt *database_start(struct directory *d, enum database_query query, struct str first,
                             struct str second, struct str third);

/* Steps: true with a row, false at the end or on an error; then *f has the fault. */
bool database_row(struct directory *d, sqlite3_stmt *s, struct fault *f);

/* Runs a query that gives no rows; *changed (may be NULL) is the number of rows it changed. */
struct fault database_run(struct directory *d, enum database_query query, struct str first,
                          struct str second, struct str third, int *changed);

/* A column as text or bytes; borrowed until the next step. */
struct str database_text(sqlite3_stmt *s, int column);

struct fault database_fault(struct directory *d);

/* Reads the six columns of an account that begin at this one. */
void database_read_account(sqlite3_stmt *s, int column, struct directory_account *out);

/* Adds or replaces an account. */
struct fault database_save_account(struct directory *d, struct str domain, struct str local,
                                   const struct directory_account *account);

/* False for a file of a version that had no keys (and on a fault). */
bool database_has_keys(struct directory *d, struct fault *f);

/* Adds a key; *changed is 0 when the selector is there already. */
struct fault database_save_key(struct directory *d, struct str domain, struct str selector,
                               const struct directory_key *key, int *changed);

/* What directory_resolve does, for a caller that holds the lock. */
struct fault database_resolve(struct directory *d, struct str local, struct str domain,
                              struct arena *a, struct directory_result *out);

/* A lower-case copy. */
struct str database_fold(struct arena *a, struct str s);

/* The same of a domain, which is kept as its A-labels. */
struct str database_fold_domain(struct arena *a, struct str domain);

#endif
