/* SPDX-License-Identifier: ISC */
/*
 * expand.c - aliases followed to their ends
 *
 * A list of addresses to look at grows at its end while it is worked off from its front; a map of
 * the addresses ever put there keeps each from coming twice, which also ends circles.
 */
#include "directory/expand.h"

#include "base/list.h"
#include "base/map.h"
#include "directory/database.h"
#include "os/random.h"

struct step {
    struct list link;
    struct map_node seen;
    struct str address;
    bool is_own_name; /* an alias named itself: the mailbox is meant */
};

struct walk {
    struct directory *d;
    struct arena *a;
    struct list waiting;
    struct map seen;
    size_t step_count;
    size_t unknown_count;
    struct directory_recipients *out;
};

static void add_step(struct walk *w, struct str address, bool is_own_name)
{
    struct str key =
        arena_printf(w->a, "%d" STR_FMT, is_own_name, STR_ARG(database_fold(w->a, address)));
    if (map_find(&w->seen, key))
        return;
    struct step *s = arena_alloc(w->a, sizeof *s);
    s->address = address;
    s->is_own_name = is_own_name;
    map_insert(&w->seen, &s->seen, key);
    list_push_back(&w->waiting, &s->link);
    w->step_count++;
}

static void add_recipient(struct walk *w, struct str address, const struct directory_result *r)
{
    struct directory_recipients *out = w->out;
    for (size_t i = 0; r->account.n > 0 && i < out->count; i++)
        if (str_equal(out->item[i].account, r->account) &&
            str_equal(out->item[i].detail, r->detail))
            return;
    if ((out->count & (out->count - 1)) == 0) {
        struct directory_recipient *old = out->item;
        out->item = arena_alloc(w->a, (out->count ? out->count * 2 : 1) * sizeof *out->item);
        if (out->count > 0)
            memcpy(out->item, old, out->count * sizeof *old);
    }
    out->item[out->count++] =
        (struct directory_recipient){address, r->account, r->detail, r->quota_bytes};
}

/* The account of exactly that name, for an alias that names itself. */
static struct fault take_own_mailbox(struct walk *w, const struct step *s)
{
    struct str local, domain;
    bool found = false;
    struct fault f;
    struct directory_result r = {.account = database_fold(w->a, s->address)};
    directory_split(r.account, &local, &domain);
    sqlite3_stmt *q = database_start(w->d, DATABASE_ACCOUNT, domain, local, STR_NONE);
    struct directory_account account;
    while (database_row(w->d, q, &f)) {
        database_read_account(q, 0, &account);
        r.quota_bytes = account.quota_bytes;
        found = true;
    }
    if (!f.kind && found)
        add_recipient(w, s->address, &r);
    else if (!f.kind)
        w->unknown_count++;
    return f;
}

static struct fault take_step(struct walk *w, const struct step *s)
{
    struct directory_result r;
    struct str local, domain;
    if (s->is_own_name)
        return take_own_mailbox(w, s);
    size_t at = str_last_index(s->address, '@');
    local = str_head(s->address, at);
    domain = str_skip(s->address, at + 1);
    struct fault f = database_resolve(w->d, local, domain, w->a, &r);
    if (f.kind)
        return f;
    switch (r.kind) {
    case DIRECTORY_NOT_OURS:
        add_recipient(w, s->address, &r);
        break;
    case DIRECTORY_UNKNOWN:
        w->unknown_count++;
        break;
    case DIRECTORY_MAILBOX:
        add_recipient(w, s->address, &r);
        break;
    case DIRECTORY_ALIAS:
        for (size_t i = 0; i < r.target_count; i++)
            add_step(w, r.target[i], str_equal_nocase(r.target[i], s->address));
        break;
    }
    return FINE;
}

static struct fault walk_all(struct walk *w)
{
    DATABASE_LOCK(w->d);
    struct list *link;
    while ((link = list_pop_front(&w->waiting)) != NULL) {
        struct fault f = take_step(w, LIST_ENTRY(link, struct step, link));
        if (f.kind)
            return f;
        if (w->step_count > EXPAND_MAX)
            return fault_make(550, FAULT_STATUS(5, 2, 4), "alias stands for more than %d addresses",
                              EXPAND_MAX);
    }
    if (w->out->count > 0)
        return FINE;
    return w->unknown_count > 0
               ? fault_make(550, FAULT_STATUS(5, 1, 1), "no such user")
               : fault_make(554, FAULT_STATUS(5, 4, 6), "alias leads back to itself");
}

struct fault directory_expand(struct directory *d, struct str local, struct str domain,
                              struct arena *a, struct directory_recipients *out)
{
    struct walk w = {.d = d, .a = a, .out = out};
    *out = (struct directory_recipients){0};
    list_init(&w.waiting);
    w.seen = map_make(random_u64(), random_u64());
    struct directory_result r;
    struct fault f = directory_resolve(d, local, domain, a, &r);
    if (!f.kind && r.kind == DIRECTORY_NOT_OURS)
        f = fault_make(550, FAULT_STATUS(5, 1, 2), "domain is not ours");
    if (!f.kind) {
        add_step(&w, arena_printf(a, STR_FMT "@" STR_FMT, STR_ARG(local), STR_ARG(domain)), false);
        f = walk_all(&w);
    }
    map_free(&w.seen);
    return f;
}
