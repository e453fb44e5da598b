/* SPDX-License-Identifier: ISC */
/*
 * edit.c - changing the directory, and listing what is in it
 */
#include "directory/edit.h"

#include "base/hostname.h"
#include "directory/database.h"
#include "os/random.h"

enum { NAME_ARENA_BYTES = 64 * 1024, NAME_MAX_BYTES = 320 };

static struct fault refuse(const char *format, struct str name)
{
    char text[FAULT_TEXT_MAX];
    name = str_head(name, 160);
    memcpy(text, name.n ? name.p : "", name.n);
    text[name.n] = '\0';
    return fault_make(550, FAULT_STATUS(5, 1, 3), "%s %s", text, format);
}

struct fault directory_domain_add(struct directory *d, struct str domain)
{
    if (!hostname_is_mail_domain(domain))
        return refuse("is not a domain name in ASCII that mail can have", domain);
    struct arena a = arena_make(NAME_ARENA_BYTES);
    int changed = 0;
    DATABASE_LOCK(d);
    struct fault f = database_run(d, DATABASE_DOMAIN_ADD, database_fold(&a, domain), STR_NONE,
                                  STR_NONE, &changed);
    arena_free(&a);
    return f.kind || changed > 0 ? f : refuse("exists already", domain);
}

struct fault directory_domain_remove(struct directory *d, struct str domain)
{
    struct arena a = arena_make(NAME_ARENA_BYTES);
    struct str name = database_fold(&a, str_head(domain, NAME_MAX_BYTES));
    struct fault f;
    int64_t use = 0;
    int changed = 0;
    DATABASE_LOCK(d);
    sqlite3_stmt *s = database_start(d, DATABASE_DOMAIN_USE, name, STR_NONE, STR_NONE);
    while (database_row(d, s, &f))
        use = sqlite3_column_int64(s, 0);
    if (!f.kind && use > 0)
        f = refuse("still has accounts or aliases", domain);
    if (!f.kind) {
        f = database_run(d, DATABASE_DOMAIN_REMOVE, name, STR_NONE, STR_NONE, &changed);
        if (!f.kind && changed == 0)
            f = refuse("is not in the directory", domain);
    }
    arena_free(&a);
    return f;
}

/* A domain that must exist. */
static struct fault need_domain(struct directory *d, struct str domain)
{
    struct fault f;
    bool found = false;
    sqlite3_stmt *s = database_start(d, DATABASE_DOMAIN, domain, STR_NONE, STR_NONE);
    while (database_row(d, s, &f))
        found = true;
    return f.kind || found
               ? f
               : refuse("is not in the directory; eilbote domain add makes it ours", domain);
}

/* As the directory has it; empty when it is longer than any address. */
static struct str canonical(struct arena *a, struct str address)
{
    return address.n > NAME_MAX_BYTES ? STR("") : directory_canonical(a, address);
}

/* The parts of an address that the directory can hold, as it has them, in the arena. */
static struct fault split_name(struct arena *a, struct str address, struct str *local,
                               struct str *domain)
{
    struct str name = canonical(a, address);
    return directory_split(name, local, domain)
               ? FINE
               : refuse("is not an address like alice@example.org", address);
}

/* The same of an alias, which may be a whole domain's. */
static struct fault split_alias(struct arena *a, struct str alias, struct str *local,
                                struct str *domain)
{
    struct str name = canonical(a, alias);
    return directory_split_alias(name, local, domain)
               ? FINE
               : refuse("is neither an address nor @domain", alias);
}

/* A target keeps the case of its local part, which is somebody else's to read; its domain is the one of the DNS. */
static struct fault take_target(struct arena *a, struct str target, struct str *out)
{
    struct str local, domain;
    if (!directory_split(canonical(a, target), &local, &domain))
        return refuse("is not an address like alice@example.org", target);
    *out = target;
    if (str_has_8bit(str_skip(target, str_last_index(target, '@'))))
        *out = arena_printf(a, STR_FMT "@" STR_FMT, STR_ARG(str_head(target, local.n)),
                            STR_ARG(domain));
    return FINE;
}

static struct fault make_verifier(struct str password, struct directory_verifier *out)
{
    uint8_t salt[VERIFIER_SALT_BYTES];
    random_bytes(salt, sizeof salt);
    if (verifier_make(password, salt, VERIFIER_ITERATIONS, out))
        return FINE;
    return fault_make(550, FAULT_STATUS(5, 7, 0),
                      "a password has 1 to %d bytes of UTF-8 and no control characters",
                      VERIFIER_PASSWORD_MAX);
}

struct fault directory_account_add(struct directory *d, struct str address, struct str password,
                                   int64_t quota_bytes)
{
    struct directory_account account;
    struct str local, domain;
    bool found;
    struct arena a = arena_make(NAME_ARENA_BYTES);
    struct fault f = split_name(&a, address, &local, &domain);
    if (!f.kind)
        f = directory_account(d, address, &a, &account, &found);
    if (!f.kind && found)
        f = refuse("exists already", address);
    if (!f.kind)
        f = make_verifier(password, &account.verifier);
    if (!f.kind) {
        account.quota_bytes = quota_bytes;
        account.is_enabled = true;
        DATABASE_LOCK(d);
        f = need_domain(d, domain);
        if (!f.kind)
            f = database_save_account(d, domain, local, &account);
    }
    arena_free(&a);
    return f;
}

struct fault directory_account_remove(struct directory *d, struct str address)
{
    struct str local, domain;
    int changed = 0;
    struct arena a = arena_make(NAME_ARENA_BYTES);
    struct fault f = split_name(&a, address, &local, &domain);
    DATABASE_LOCK(d);
    if (!f.kind)
        f = database_run(d, DATABASE_ACCOUNT_REMOVE, domain, local, STR_NONE, &changed);
    arena_free(&a);
    return f.kind || changed > 0 ? f : refuse("is not in the directory", address);
}

/* Reads an account, lets change alter it, and saves it. */
static struct fault change_account(struct directory *d, struct str address,
                                   struct fault (*change)(struct directory_account *, const void *),
                                   const void *arg)
{
    struct directory_account account;
    struct str local, domain;
    bool found;
    struct arena a = arena_make(NAME_ARENA_BYTES);
    struct fault f = directory_account(d, str_head(address, NAME_MAX_BYTES), &a, &account, &found);
    if (!f.kind && !found)
        f = refuse("is not in the directory", address);
    if (!f.kind)
        f = change(&account, arg);
    if (!f.kind) {
        directory_split(account.address, &local, &domain);
        DATABASE_LOCK(d);
        f = database_save_account(d, domain, local, &account);
    }
    arena_free(&a);
    return f;
}

static struct fault change_password(struct directory_account *account, const void *password)
{
    return make_verifier(*(const struct str *)password, &account->verifier);
}

static struct fault change_enabled(struct directory_account *account, const void *is_enabled)
{
    account->is_enabled = *(const bool *)is_enabled;
    return FINE;
}

static struct fault change_quota(struct directory_account *account, const void *quota_bytes)
{
    account->quota_bytes = *(const int64_t *)quota_bytes;
    return FINE;
}

struct fault directory_account_set_password(struct directory *d, struct str address,
                                            struct str password)
{
    return change_account(d, address, change_password, &password);
}

struct fault directory_account_enable(struct directory *d, struct str address, bool is_enabled)
{
    return change_account(d, address, change_enabled, &is_enabled);
}

struct fault directory_account_set_quota(struct directory *d, struct str address,
                                         int64_t quota_bytes)
{
    return change_account(d, address, change_quota, &quota_bytes);
}

bool directory_split_alias(struct str alias, struct str *local, struct str *domain)
{
    if (alias.n == 0 || alias.p[0] != '@')
        return directory_split(alias, local, domain);
    *local = STR("");
    *domain = str_skip(alias, 1);
    return hostname_is_valid(*domain);
}

struct fault directory_alias_add(struct directory *d, struct str alias, struct str target)
{
    struct str local, domain;
    int changed = 0;
    struct arena a = arena_make(NAME_ARENA_BYTES);
    struct fault f = split_alias(&a, alias, &local, &domain);
    if (!f.kind)
        f = take_target(&a, target, &target);
    DATABASE_LOCK(d);
    if (!f.kind)
        f = need_domain(d, domain);
    if (!f.kind)
        f = database_run(d, DATABASE_ALIAS_ADD, domain, local, target, &changed);
    if (!f.kind && changed == 0)
        f = refuse("is a target of the alias already", target);
    arena_free(&a);
    return f;
}

struct fault directory_alias_remove(struct directory *d, struct str alias, struct str target)
{
    struct str local, domain;
    int changed = 0;
    struct arena a = arena_make(NAME_ARENA_BYTES);
    struct fault f = split_alias(&a, alias, &local, &domain);
    if (!f.kind && target.n > 0)
        f = take_target(&a, target, &target);
    DATABASE_LOCK(d);
    if (!f.kind)
        f = target.n > 0
                ? database_run(d, DATABASE_ALIAS_TARGET_REMOVE, domain, local, target, &changed)
                : database_run(d, DATABASE_ALIAS_REMOVE, domain, local, STR_NONE, &changed);
    if (!f.kind && changed == 0)
        f = target.n > 0 ? refuse("is not a target of the alias", target)
                         : refuse("is not in the directory", alias);
    arena_free(&a);
    return f;
}

struct fault directory_list_domains(struct directory *d, void (*each)(struct str domain, void *arg),
                                    void *arg)
{
    struct fault f;
    DATABASE_LOCK(d);
    sqlite3_stmt *s = database_start(d, DATABASE_DOMAINS, STR_NONE, STR_NONE, STR_NONE);
    while (database_row(d, s, &f))
        each(database_text(s, 0), arg);
    return f;
}

struct fault
directory_list_accounts(struct directory *d,
                        void (*each)(const struct directory_account *account, void *arg), void *arg)
{
    struct fault f;
    DATABASE_LOCK(d);
    sqlite3_stmt *s = database_start(d, DATABASE_ACCOUNTS, STR_NONE, STR_NONE, STR_NONE);
    while (database_row(d, s, &f)) {
        struct arena a = arena_make(NAME_ARENA_BYTES);
        struct directory_account account = {0};
        database_read_account(s, 2, &account);
        account.address = arena_printf(&a, STR_FMT "@" STR_FMT, STR_ARG(database_text(s, 1)),
                                       STR_ARG(database_text(s, 0)));
        each(&account, arg);
        arena_free(&a);
    }
    return f;
}

struct fault directory_list_aliases(struct directory *d,
                                    void (*each)(const struct directory_alias *alias, void *arg),
                                    void *arg)
{
    struct fault f;
    DATABASE_LOCK(d);
    sqlite3_stmt *s = database_start(d, DATABASE_ALIASES, STR_NONE, STR_NONE, STR_NONE);
    while (database_row(d, s, &f)) {
        struct arena a = arena_make(NAME_ARENA_BYTES);
        struct directory_alias alias = {arena_printf(&a, STR_FMT "@" STR_FMT,
                                                     STR_ARG(database_text(s, 1)),
                                                     STR_ARG(database_text(s, 0))),
                                        database_text(s, 2)};
        each(&alias, arg);
        arena_free(&a);
    }
    return f;
}
