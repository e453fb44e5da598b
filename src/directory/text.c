/* SPDX-License-Identifier: ISC */
/*
 * text.c - the directory as one text file
 */
#include "directory/text.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/hostname.h"
#include "base/map.h"
#include "base/num.h"
#include "directory/database.h"
#include "directory/edit.h"
#include "os/random.h"

enum { APPLY_ARENA_BYTES = 1024 * 1024 * 1024, KEY_TEXT_MAX = 64 };

struct writer {
    struct buf *out;
    struct str alias; /* of the line that is open */
    struct arena arena;
    bool is_good;
};

static void write_domain(struct str domain, void *arg)
{
    struct writer *w = arg;
    w->is_good = w->is_good && buf_printf(w->out, "domain " STR_FMT "\n", STR_ARG(domain));
}

static bool write_key(struct buf *out, const uint8_t *key, size_t size)
{
    return buf_append_byte(out, ':') && encode_base64(out, str_make((const char *)key, size));
}

bool directory_verifier_print(const struct directory_verifier *v, struct buf *out)
{
    return buf_printf(out, "%u", v->iterations) && write_key(out, v->salt, sizeof v->salt) &&
           write_key(out, v->stored_key, sizeof v->stored_key) &&
           write_key(out, v->server_key, sizeof v->server_key);
}

static void write_account(const struct directory_account *account, void *arg)
{
    struct writer *w = arg;
    w->is_good = w->is_good &&
                 buf_printf(w->out, "account " STR_FMT " quota=%lld enabled=%s scram-sha-256=",
                            STR_ARG(account->address), (long long)account->quota_bytes,
                            account->is_enabled ? "yes" : "no") &&
                 directory_verifier_print(&account->verifier, w->out) &&
                 buf_append_byte(w->out, '\n');
}

static void write_alias(const struct directory_alias *alias, void *arg)
{
    struct writer *w = arg;
    if (!str_equal(w->alias, alias->address)) {
        w->is_good = w->is_good && (w->alias.n == 0 || buf_append_byte(w->out, '\n')) &&
                     buf_printf(w->out, "alias " STR_FMT, STR_ARG(alias->address));
        arena_free(&w->arena);
        w->alias = arena_copy(&w->arena, alias->address);
    }
    w->is_good = w->is_good && buf_printf(w->out, " " STR_FMT, STR_ARG(alias->target));
}

static void write_signing_key(const struct directory_key *key, void *arg)
{
    struct writer *w = arg;
    w->is_good =
        w->is_good &&
        buf_printf(w->out, "dkim " STR_FMT " " STR_FMT " " STR_FMT " %s %lld " STR_FMT "\n",
                   STR_ARG(key->domain), STR_ARG(key->selector), STR_ARG(key->algorithm),
                   directory_key_state_name(key->state), (long long)key->since_s,
                   STR_ARG(key->record));
}

struct fault directory_export(struct directory *d, struct buf *out)
{
    struct writer w = {.out = out, .arena = arena_make(64 * 1024)};
    w.is_good = buf_append(out, STR("# Eilbote directory, format 1\n"
                                    "# Private keys of dkim lines are not here but in the folder "
                                    "\"keys\" of the state directory.\n"));
    struct fault f = directory_list_domains(d, write_domain, &w);
    if (!f.kind)
        f = directory_list_keys(d, STR_NONE, write_signing_key, &w);
    if (!f.kind)
        f = directory_list_accounts(d, write_account, &w);
    if (!f.kind)
        f = directory_list_aliases(d, write_alias, &w);
    if (w.alias.n > 0)
        w.is_good = w.is_good && buf_append_byte(out, '\n');
    arena_free(&w.arena);
    if (!f.kind && !w.is_good)
        f = fault_make(452, FAULT_STATUS(4, 3, 1), "the directory is too large to export");
    return f;
}

/* An account as it is before the text is applied. */
struct former {
    struct map_node node;
    struct directory_verifier verifier;
};

/* A key as it is before; it stays when the text has its domain and says nothing of the domain's keys. */
struct former_key {
    struct former_key *next;
    struct directory_key key;
};

/* A domain whose keys the text says. */
struct keyed_domain {
    struct map_node node;
};

struct reader {
    struct directory *d;
    struct arena arena;
    struct map formers;
    struct former_key *former_keys;
    struct map keyed_domains;
    const char *name;
    unsigned line;
};

static struct fault complain(const struct reader *r, struct str what, const char *format)
{
    char text[FAULT_TEXT_MAX];
    snprintf(text, sizeof text, STR_FMT, STR_ARG(str_head(what, 100)));
    return fault_make(550, FAULT_STATUS(5, 5, 2), "%s:%u: \"%s\" %s", r->name, r->line, text,
                      format);
}

static struct fault keep_formers(struct reader *r)
{
    struct fault f;
    sqlite3_stmt *s = database_start(r->d, DATABASE_ACCOUNTS, STR_NONE, STR_NONE, STR_NONE);
    while (database_row(r->d, s, &f)) {
        struct former *former = arena_alloc(&r->arena, sizeof *former);
        struct directory_account account;
        database_read_account(s, 2, &account);
        former->verifier = account.verifier;
        map_insert(&r->formers, &former->node,
                   arena_printf(&r->arena, STR_FMT "@" STR_FMT, STR_ARG(database_text(s, 1)),
                                STR_ARG(database_text(s, 0))));
    }
    return f;
}

static struct fault keep_former_keys(struct reader *r)
{
    struct fault f;
    sqlite3_stmt *s = database_start(r->d, DATABASE_KEYS, STR_NONE, STR_NONE, STR_NONE);
    while (database_row(r->d, s, &f)) {
        struct former_key *former = arena_alloc(&r->arena, sizeof *former);
        former->key = (struct directory_key){
            .domain = arena_copy(&r->arena, database_text(s, 0)),
            .selector = arena_copy(&r->arena, database_text(s, 1)),
            .algorithm = arena_copy(&r->arena, database_text(s, 2)),
            .since_s = sqlite3_column_int64(s, 4),
            .record = arena_copy(&r->arena, database_text(s, 5)),
        };
        if (!directory_key_state_find(database_text(s, 3), &former->key.state))
            continue;
        former->next = r->former_keys;
        r->former_keys = former;
    }
    return f;
}

/* Puts back the keys of domains that are still there and have no lines about keys. */
static struct fault return_former_keys(struct reader *r)
{
    struct fault f = FINE;
    for (const struct former_key *k = r->former_keys; k && !f.kind; k = k->next) {
        bool found = false;
        int changed;
        sqlite3_stmt *s = database_start(r->d, DATABASE_DOMAIN, k->key.domain, STR_NONE, STR_NONE);
        while (database_row(r->d, s, &f))
            found = true;
        if (!f.kind && found && !map_find(&r->keyed_domains, k->key.domain))
            f = database_save_key(r->d, k->key.domain, k->key.selector, &k->key, &changed);
    }
    return f;
}

static bool read_key(struct str text, uint8_t *key, size_t size)
{
    struct buf bytes = buf_make(KEY_TEXT_MAX);
    bool is_good = decode_base64(&bytes, text) && bytes.used == size;
    if (is_good)
        memcpy(key, bytes.data, size);
    buf_free(&bytes);
    return is_good;
}

static bool read_verifier(struct str text, struct directory_verifier *v)
{
    struct str iterations, salt, stored;
    uint64_t count;
    if (!str_cut(text, ':', &iterations, &text) || !str_cut(text, ':', &salt, &text) ||
        !str_cut(text, ':', &stored, &text))
        return false;
    if (!num_parse(iterations, 10 * 1000 * 1000, &count) || count < 4096)
        return false;
    v->iterations = (uint32_t)count;
    return read_key(salt, v->salt, sizeof v->salt) &&
           read_key(stored, v->stored_key, sizeof v->stored_key) &&
           read_key(text, v->server_key, sizeof v->server_key);
}

/* One name=value of an account line. */
static bool read_property(struct str word, struct directory_account *account, bool *has_verifier)
{
    struct str name, value;
    uint64_t quota;
    if (!str_cut(word, '=', &name, &value))
        return false;
    if (str_equal(name, STR("quota"))) {
        bool is_good = num_parse_size(value, INT64_MAX, &quota);
        account->quota_bytes = is_good ? (int64_t)quota : 0;
        return is_good;
    }
    if (str_equal(name, STR("enabled"))) {
        account->is_enabled = str_equal(value, STR("yes"));
        return account->is_enabled || str_equal(value, STR("no"));
    }
    *has_verifier = true;
    return str_equal(name, STR("scram-sha-256")) && read_verifier(value, &account->verifier);
}

static struct fault need_domain(struct reader *r, struct str domain)
{
    struct fault f;
    bool found = false;
    sqlite3_stmt *s = database_start(r->d, DATABASE_DOMAIN, domain, STR_NONE, STR_NONE);
    while (database_row(r->d, s, &f))
        found = true;
    return f.kind || found ? f : complain(r, domain, "has no domain line before this one");
}

static struct fault read_account(struct reader *r, struct str rest)
{
    struct directory_account account = {.is_enabled = true};
    struct str local, domain, word;
    bool has_verifier = false, found = false;
    struct str address = database_fold(&r->arena, str_word(&rest));
    if (!directory_split(address, &local, &domain))
        return complain(r, address, "is not an address");
    while ((word = str_word(&rest)).n > 0)
        if (!read_property(word, &account, &has_verifier))
            return complain(r, word,
                            "is none of quota=SIZE, enabled=yes|no, "
                            "scram-sha-256=ITERATIONS:SALT:STORED:SERVER");
    struct map_node *node = map_find(&r->formers, address);
    if (!has_verifier && !node)
        return complain(r, address, "is new and has no scram-sha-256");
    if (!has_verifier)
        account.verifier = MAP_ENTRY(node, struct former, node)->verifier;
    struct fault f = need_domain(r, domain);
    if (f.kind)
        return f;
    sqlite3_stmt *s = database_start(r->d, DATABASE_ACCOUNT, domain, local, STR_NONE);
    while (database_row(r->d, s, &f))
        found = true;
    if (f.kind || found)
        return f.kind ? f : complain(r, address, "has an account line already");
    return database_save_account(r->d, domain, local, &account);
}

static struct fault read_alias(struct reader *r, struct str rest)
{
    struct str local, domain, target, target_local, target_domain;
    struct str alias = database_fold(&r->arena, str_word(&rest));
    int changed;
    if (!directory_split_alias(alias, &local, &domain))
        return complain(r, alias, "is neither an address nor @domain");
    struct fault f = need_domain(r, domain);
    if (f.kind)
        return f;
    if (str_trim(rest).n == 0)
        return complain(r, alias, "has no target");
    while ((target = str_word(&rest)).n > 0) {
        if (!directory_split(target, &target_local, &target_domain))
            return complain(r, target, "is not an address");
        f = database_run(r->d, DATABASE_ALIAS_ADD, domain, local, target, &changed);
        if (f.kind || changed == 0)
            return f.kind ? f : complain(r, target, "is a target of this alias already");
    }
    return FINE;
}

static struct fault read_signing_key(struct reader *r, struct str rest)
{
    struct directory_key key;
    uint64_t since;
    int changed;
    key.domain = database_fold(&r->arena, str_word(&rest));
    key.selector = database_fold(&r->arena, str_word(&rest));
    key.algorithm = str_word(&rest);
    struct str state = str_word(&rest), time = str_word(&rest);
    key.record = str_trim(rest);
    if (!directory_key_state_find(state, &key.state) || !num_parse(time, INT64_MAX, &since))
        return complain(r, state, "and what follows is not next|active|retiring UNIX-TIME RECORD");
    key.since_s = (int64_t)since;
    struct fault f = need_domain(r, key.domain);
    if (f.kind)
        return f;
    if (!directory_key_is_valid(&key))
        return complain(r, key.selector,
                        "and what follows is no SELECTOR rsa|ed25519 STATE TIME "
                        "v=DKIM1; ...");
    f = database_save_key(r->d, key.domain, key.selector, &key, &changed);
    if (f.kind || changed == 0)
        return f.kind ? f : complain(r, key.selector, "has a dkim line already");
    if (!map_find(&r->keyed_domains, key.domain)) {
        struct keyed_domain *keyed = arena_alloc(&r->arena, sizeof *keyed);
        map_insert(&r->keyed_domains, &keyed->node, key.domain);
    }
    return FINE;
}

static struct fault read_domain(struct reader *r, struct str rest)
{
    struct str name = database_fold(&r->arena, str_word(&rest));
    int changed;
    if (!hostname_is_mail_domain(name))
        return complain(r, name, "is not a domain name in ASCII that mail can have");
    if (str_trim(rest).n > 0)
        return complain(r, str_trim(rest), "is too much on this line");
    struct fault f = database_run(r->d, DATABASE_DOMAIN_ADD, name, STR_NONE, STR_NONE, &changed);
    return f.kind || changed > 0 ? f : complain(r, name, "has a domain line already");
}

static struct fault read_line(struct reader *r, struct str line)
{
    struct str rest = line, word = str_word(&rest);
    if (word.n == 0 || word.p[0] == '#')
        return FINE;
    if (str_equal(word, STR("domain")))
        return read_domain(r, rest);
    if (str_equal(word, STR("account")))
        return read_account(r, rest);
    if (str_equal(word, STR("alias")))
        return read_alias(r, rest);
    if (str_equal(word, STR("dkim")))
        return read_signing_key(r, rest);
    return complain(r, word, "is none of domain, account, alias, dkim");
}

static struct fault replace_all(struct reader *r, struct str text)
{
    static const enum database_query clear[] = {DATABASE_CLEAR_ALIASES, DATABASE_CLEAR_ACCOUNTS,
                                                DATABASE_CLEAR_DOMAINS};
    struct fault f = keep_formers(r);
    if (!f.kind)
        f = keep_former_keys(r);
    for (size_t i = 0; i < 3 && !f.kind; i++)
        f = database_run(r->d, clear[i], STR_NONE, STR_NONE, STR_NONE, NULL);
    while (text.n > 0 && !f.kind) {
        struct str line;
        str_cut(text, '\n', &line, &text);
        r->line++;
        f = read_line(r, str_trim(line));
    }
    return f.kind ? f : return_former_keys(r);
}

struct fault directory_apply(struct directory *d, struct str text, const char *name)
{
    struct reader r = {.d = d, .arena = arena_make(APPLY_ARENA_BYTES), .name = name};
    r.formers = map_make(random_u64(), random_u64());
    r.keyed_domains = map_make(random_u64(), random_u64());
    DATABASE_LOCK(d);
    struct fault f = database_run(d, DATABASE_BEGIN, STR_NONE, STR_NONE, STR_NONE, NULL);
    if (!f.kind) {
        f = replace_all(&r, text);
        enum database_query end = f.kind ? DATABASE_ROLLBACK : DATABASE_COMMIT;
        struct fault ended = database_run(d, end, STR_NONE, STR_NONE, STR_NONE, NULL);
        if (!f.kind && ended.kind) {
            f = ended;
            database_run(d, DATABASE_ROLLBACK, STR_NONE, STR_NONE, STR_NONE, NULL);
        }
    }
    map_free(&r.formers);
    map_free(&r.keyed_domains);
    arena_free(&r.arena);
    return f;
}
