/* SPDX-License-Identifier: ISC */
/*
 * directory.c - what addresses and logins mean
 */
#include "directory/directory.h"

#include "base/hostname.h"
#include "base/utf8.h"
#include "directory/database.h"

enum { LOGIN_ARENA_BYTES = 16 * 1024, LOCAL_PART_MAX = 64 };

struct fault directory_version(struct directory *d, int64_t *version)
{
    DATABASE_LOCK(d);
    struct fault f;
    /* data_version tells of others' changes, the count of changes of our own. */
    int64_t others = 0;
    sqlite3_stmt *s = database_start(d, DATABASE_VERSION, STR_NONE, STR_NONE, STR_NONE);
    while (database_row(d, s, &f))
        others = sqlite3_column_int64(s, 0);
    *version = others * (INT64_C(1) << 32) + sqlite3_total_changes(d->db);
    return f;
}

static bool is_local_part(struct str s)
{
    if (s.n == 0 || s.n > LOCAL_PART_MAX || !utf8_is_valid(s) || s.p[0] == '.' ||
        s.p[s.n - 1] == '.' || str_find(s, STR("..")) < s.n)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7F ||
            str_has(STR("()<>[]:;@\\,\""), s.p[i]))
            return false;
    return true;
}

bool directory_split(struct str address, struct str *local, struct str *domain)
{
    size_t at = str_last_index(address, '@');
    *local = str_head(address, at);
    *domain = str_skip(address, at + 1);
    return is_local_part(*local) && hostname_is_valid(*domain);
}

struct str directory_canonical(struct arena *a, struct str address)
{
    struct str domain = str_skip(address, str_last_index(address, '@') + 1);
    struct str name = database_fold_domain(a, domain);
    size_t head = address.n - domain.n;
    char *copy = arena_alloc(a, head + name.n + 1);
    for (size_t i = 0; i < head; i++)
        copy[i] = str_lower_byte(address.p[i]);
    memcpy(copy + head, name.p, name.n);
    copy[head + name.n] = '\0';
    return str_make(copy, head + name.n);
}

static struct fault find_domain(struct directory *d, struct str domain, bool *found)
{
    struct fault f;
    *found = false;
    sqlite3_stmt *s = database_start(d, DATABASE_DOMAIN, domain, STR_NONE, STR_NONE);
    while (database_row(d, s, &f))
        *found = true;
    return f;
}

struct fault directory_has_domain(struct directory *d, struct str domain, bool *has)
{
    struct arena a = arena_make(LOGIN_ARENA_BYTES);
    DATABASE_LOCK(d);
    struct fault f =
        find_domain(d, database_fold_domain(&a, str_head(domain, LOGIN_ARENA_BYTES / 2)), has);
    arena_free(&a);
    return f;
}

/* The alias of exactly that name. */
static struct fault find_alias(struct directory *d, struct str local, struct str domain,
                               struct arena *a, struct directory_result *out)
{
    struct fault f;
    size_t size = 0;
    sqlite3_stmt *s = database_start(d, DATABASE_ALIAS, domain, local, STR_NONE);
    while (database_row(d, s, &f)) {
        if (out->target_count == size) {
            struct str *old = out->target;
            size = size ? size * 2 : 4;
            out->target = arena_alloc(a, size * sizeof *out->target);
            if (old)
                memcpy(out->target, old, out->target_count * sizeof *old);
        }
        out->target[out->target_count++] = arena_copy(a, database_text(s, 0));
        out->kind = DIRECTORY_ALIAS;
    }
    return f;
}

static struct fault find_account(struct directory *d, struct str local, struct str domain,
                                 struct directory_account *out, bool *found)
{
    struct fault f;
    *found = false;
    sqlite3_stmt *s = database_start(d, DATABASE_ACCOUNT, domain, local, STR_NONE);
    while (database_row(d, s, &f)) {
        *found = true;
        database_read_account(s, 0, out);
    }
    return f;
}

static struct fault find_name(struct directory *d, struct str local, struct str domain,
                              struct arena *a, struct directory_result *out)
{
    struct directory_account account;
    bool found = false;
    struct fault f = find_alias(d, local, domain, a, out);
    if (f.kind || out->kind == DIRECTORY_ALIAS)
        return f;
    f = find_account(d, local, domain, &account, &found);
    if (!f.kind && found) {
        out->kind = DIRECTORY_MAILBOX;
        out->account = arena_printf(a, STR_FMT "@" STR_FMT, STR_ARG(local), STR_ARG(domain));
        out->quota_bytes = account.quota_bytes;
    }
    return f;
}

struct fault database_resolve(struct directory *d, struct str local, struct str domain,
                              struct arena *a, struct directory_result *out)
{
    bool is_ours = false;
    *out = (struct directory_result){.kind = DIRECTORY_NOT_OURS};
    domain = database_fold_domain(a, domain);
    struct str name = database_fold(a, local);
    struct fault f = find_domain(d, domain, &is_ours);
    if (f.kind || !is_ours)
        return f;
    out->kind = DIRECTORY_UNKNOWN;
    f = find_name(d, name, domain, a, out);
    if (f.kind || out->kind != DIRECTORY_UNKNOWN)
        return f;
    size_t plus = str_index(name, '+');
    if (plus > 0 && plus < name.n) {
        out->detail = arena_copy(a, str_skip(local, plus + 1));
        f = find_name(d, str_head(name, plus), domain, a, out);
        if (f.kind || out->kind != DIRECTORY_UNKNOWN)
            return f;
        out->detail = STR_NONE;
    }
    return find_alias(d, STR(""), domain, a, out);
}

struct fault directory_resolve(struct directory *d, struct str local, struct str domain,
                               struct arena *a, struct directory_result *out)
{
    DATABASE_LOCK(d);
    return database_resolve(d, local, domain, a, out);
}

struct fault directory_account(struct directory *d, struct str login, struct arena *a,
                               struct directory_account *out, bool *found)
{
    struct str local, domain;
    *out = (struct directory_account){0};
    *found = false;
    login = directory_canonical(a, login);
    if (!directory_split(login, &local, &domain))
        return FINE;
    out->address = login;
    DATABASE_LOCK(d);
    return find_account(d, local, domain, out, found);
}

struct fault directory_verifier(struct directory *d, struct str login,
                                struct directory_verifier *out, bool *is_real)
{
    struct arena a = arena_make(LOGIN_ARENA_BYTES);
    struct directory_account account;
    struct str name = directory_canonical(&a, str_head(login, 1024));
    struct fault f = directory_account(d, name, &a, &account, is_real);
    if (!f.kind) {
        DATABASE_LOCK(d);
        /* Made for real accounts too, so that both cost the same. */
        sqlite3_stmt *s = database_start(d, DATABASE_SECRET, STR_NONE, STR_NONE, STR_NONE);
        while (database_row(d, s, &f))
            verifier_fake(database_text(s, 0), name, out);
        *is_real = *is_real && account.is_enabled;
        if (*is_real)
            *out = account.verifier;
    }
    arena_free(&a);
    return f;
}

struct fault directory_check_password(struct directory *d, struct str login, struct str password,
                                      bool *is_right)
{
    struct directory_verifier v = {0};
    bool is_real = false;
    *is_right = false;
    struct fault f = directory_verifier(d, login, &v, &is_real);
    if (f.kind)
        return f;
    bool fits = verifier_fits(&v, password);
    *is_right = fits && is_real;
    return FINE;
}

struct fault directory_may_send_as(struct directory *d, struct str account, struct str local,
                                   struct str domain, bool *may)
{
    struct arena a = arena_make(SIZE_MAX);
    struct directory_result r;
    struct fault f = directory_resolve(d, local, domain, &a, &r);
    *may = !f.kind && r.kind == DIRECTORY_MAILBOX && str_equal_nocase(r.account, account);
    for (size_t i = 0; !f.kind && i < r.target_count; i++)
        *may = *may || str_equal_nocase(r.target[i], account);
    arena_free(&a);
    return f;
}
