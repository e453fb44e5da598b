/* SPDX-License-Identifier: ISC */
/*
 * keys.c - which keys sign the mail of our domains (DKIM): their public side
 */
#include "directory/keys.h"

#include "base/hostname.h"
#include "directory/database.h"

enum { NAME_ARENA_BYTES = 64 * 1024 };

static const char *const state_names[] = {"next", "active", "retiring"};

const char *directory_key_state_name(enum directory_key_state state)
{
    return state_names[state];
}

bool directory_key_state_find(struct str name, enum directory_key_state *out)
{
    for (size_t i = 0; i < sizeof state_names / sizeof *state_names; i++)
        if (str_equal(name, str_from(state_names[i]))) {
            *out = (enum directory_key_state)i;
            return true;
        }
    return false;
}

bool directory_key_is_valid(const struct directory_key *key)
{
    bool is_algorithm =
        str_equal(key->algorithm, STR("rsa")) || str_equal(key->algorithm, STR("ed25519"));
    return is_algorithm && hostname_is_valid(key->domain) && hostname_is_valid(key->selector) &&
           key->since_s >= 0 && key->record.n <= DIRECTORY_KEY_RECORD_MAX &&
           str_starts(key->record, STR("v=DKIM1;")) && str_is_printable(key->record) &&
           !str_has(key->record, '"') && !str_has(key->record, '\\');
}

static struct fault refuse(struct str domain, struct str selector, const char *what)
{
    return fault_make(550, FAULT_STATUS(5, 1, 3), STR_FMT "%s" STR_FMT " %s",
                      STR_ARG(str_head(selector, 80)), selector.n > 0 ? " of " : "",
                      STR_ARG(str_head(domain, 160)), what);
}

struct fault directory_key_add(struct directory *d, const struct directory_key *key)
{
    if (!directory_key_is_valid(key))
        return refuse(key->domain, key->selector, "is no key that the directory can hold");
    struct arena a = arena_make(NAME_ARENA_BYTES);
    int changed = 0;
    bool found = false;
    struct str domain = database_fold(&a, key->domain);
    DATABASE_LOCK(d);
    struct fault f;
    sqlite3_stmt *s = database_start(d, DATABASE_DOMAIN, domain, STR_NONE, STR_NONE);
    while (database_row(d, s, &f))
        found = true;
    if (!f.kind && !found)
        f = refuse(key->domain, STR_NONE, "is not in the directory");
    if (!f.kind)
        f = database_save_key(d, domain, database_fold(&a, key->selector), key, &changed);
    if (!f.kind && changed == 0)
        f = refuse(key->domain, key->selector, "exists already");
    arena_free(&a);
    return f;
}

struct fault directory_key_remove(struct directory *d, struct str domain, struct str selector)
{
    int changed = 0;
    DATABASE_LOCK(d);
    struct fault f = database_run(d, DATABASE_KEY_REMOVE, domain, selector, STR_NONE, &changed);
    return f.kind || changed > 0 ? f : refuse(domain, selector, "is not in the directory");
}

/* Moves the domain's keys from one state to the next one; how many there were. */
static struct fault move(struct directory *d, struct str domain, enum directory_key_state from,
                         int64_t now_s, int *moved)
{
    struct fault f;
    sqlite3_stmt *s = database_start(d, DATABASE_KEY_MOVE, domain, str_from(state_names[from]),
                                     str_from(state_names[from + 1]));
    if (!s)
        return database_fault(d);
    sqlite3_bind_int64(s, 4, now_s);
    while (database_row(d, s, &f))
        continue;
    *moved = sqlite3_changes(d->db);
    return f;
}

struct fault directory_keys_activate(struct directory *d, struct str domain, int64_t now_s)
{
    int retired = 0, activated = 0;
    DATABASE_LOCK(d);
    struct fault f = database_run(d, DATABASE_BEGIN, STR_NONE, STR_NONE, STR_NONE, NULL);
    if (f.kind)
        return f;
    f = move(d, domain, DIRECTORY_KEY_ACTIVE, now_s, &retired);
    if (!f.kind)
        f = move(d, domain, DIRECTORY_KEY_NEXT, now_s, &activated);
    if (!f.kind && activated == 0)
        f = refuse(domain, STR_NONE, "has no next keys; eilbote dkim rotate makes them");
    if (!f.kind)
        f = database_run(d, DATABASE_COMMIT, STR_NONE, STR_NONE, STR_NONE, NULL);
    if (f.kind)
        database_run(d, DATABASE_ROLLBACK, STR_NONE, STR_NONE, STR_NONE, NULL);
    return f;
}

struct fault directory_list_keys(struct directory *d, struct str domain,
                                 void (*each)(const struct directory_key *key, void *arg),
                                 void *arg)
{
    struct fault f;
    DATABASE_LOCK(d);
    /* A directory of an older version that nobody has written to yet. */
    if (!database_has_keys(d, &f) || f.kind)
        return f;
    sqlite3_stmt *s = domain.n > 0 ? database_start(d, DATABASE_KEYS_OF, domain, STR_NONE, STR_NONE)
                                   : database_start(d, DATABASE_KEYS, STR_NONE, STR_NONE, STR_NONE);
    while (database_row(d, s, &f)) {
        struct directory_key key = {.domain = database_text(s, 0),
                                    .selector = database_text(s, 1),
                                    .algorithm = database_text(s, 2),
                                    .since_s = sqlite3_column_int64(s, 4),
                                    .record = database_text(s, 5)};
        if (directory_key_state_find(database_text(s, 3), &key.state))
            each(&key, arg);
    }
    return f;
}
