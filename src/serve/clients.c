/* SPDX-License-Identifier: ISC */
/*
 * clients.c - what each client address and account has done lately, and what it may still do
 */
#include "serve/clients.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/map.h"
#include "check/token_bucket.h"
#include "os/clock.h"
#include "os/random.h"
#include "os/thread.h"

enum {
    ENTRIES_MOST = 100000,
    ACCOUNT_MAX = 320,
    MINUTE_MS = 60000,
    RATE_KEY_MAX = 100 + ACCOUNT_MAX
};

/* An address ("i" and 16 octets), an account ("a" and its name), or whom a rate is about ("r", the rate and who). */
struct entry {
    struct map_node node;
    struct list by_use; /* the least recently used first */
    int64_t sessions;
    int64_t minute_start_ms;
    int64_t commands; /* in this minute */
    int64_t window_start_ms;
    int64_t failures;   /* logins, in this window */
    int64_t refused_ms; /* the last time */
    int64_t refusals;
    struct token_bucket bucket;
    bool is_known;
    char key[];
};

struct clients {
    struct mutex mutex;
    struct map entries;
    struct list by_use;
};

struct clients *clients_make(void)
{
    struct clients *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    mutex_init(&c->mutex);
    c->entries = map_make(random_u64(), random_u64());
    list_init(&c->by_use);
    return c;
}

void clients_free(struct clients *c)
{
    for (struct list *link; (link = list_pop_front(&c->by_use));)
        free(LIST_ENTRY(link, struct entry, by_use));
    map_free(&c->entries);
    mutex_destroy(&c->mutex);
    free(c);
}

static struct str address_key(const struct ip_address *ip, char key[17])
{
    struct ip_network network = ip_network_around(ip, ip_is_v4(ip) ? 32 : 64);
    key[0] = 'i';
    memcpy(key + 1, network.address.byte, 16);
    return str_make(key, 17);
}

static struct str account_key(struct str account, char key[ACCOUNT_MAX])
{
    account = str_head(account, ACCOUNT_MAX - 1);
    key[0] = 'a';
    for (size_t i = 0; i < account.n; i++)
        key[i + 1] = str_lower_byte(account.p[i]);
    return str_make(key, account.n + 1);
}

/* Makes room by forgetting who was seen longest ago and does nothing now. */
static void evict(struct clients *c)
{
    LIST_EACH(link, &c->by_use)
    {
        struct entry *e = LIST_ENTRY(link, struct entry, by_use);
        if (e->sessions > 0)
            continue;
        list_remove(&e->by_use);
        map_remove(&c->entries, &e->node);
        free(e);
        return;
    }
}

static struct entry *entry_of(struct clients *c, struct str key)
{
    struct map_node *n = map_find(&c->entries, key);
    struct entry *e;
    if (n) {
        e = MAP_ENTRY(n, struct entry, node);
        list_remove(&e->by_use);
    } else {
        if (c->entries.count >= ENTRIES_MOST)
            evict(c);
        e = calloc(1, sizeof *e + key.n);
        if (!e)
            abort();
        memcpy(e->key, key.p, key.n);
        map_insert(&c->entries, &e->node, str_make(e->key, key.n));
    }
    list_push_back(&c->by_use, &e->by_use);
    return e;
}

struct fault clients_enter(struct clients *c, const struct ip_address *ip,
                           const struct conf_limits *limits, bool *is_known)
{
    char key[17];
    mutex_lock(&c->mutex);
    struct entry *e = entry_of(c, address_key(ip, key));
    bool is_allowed = e->sessions < limits->address_session_max;
    e->sessions += is_allowed;
    *is_known = e->is_known;
    mutex_unlock(&c->mutex);
    return is_allowed ? FINE
                      : fault_make(421, FAULT_STATUS(4, 7, 0),
                                   "too many connections from your address, try again later");
}

void clients_leave(struct clients *c, const struct ip_address *ip)
{
    char key[17];
    mutex_lock(&c->mutex);
    entry_of(c, address_key(ip, key))->sessions--;
    mutex_unlock(&c->mutex);
}

struct fault clients_command(struct clients *c, const struct ip_address *ip, uint32_t count,
                             const struct conf_limits *limits)
{
    char key[17];
    if (limits->address_command_max == 0)
        return FINE;
    int64_t now = clock_now_ms();
    mutex_lock(&c->mutex);
    struct entry *e = entry_of(c, address_key(ip, key));
    if (now - e->minute_start_ms >= MINUTE_MS) {
        e->minute_start_ms = now;
        e->commands = 0;
    }
    e->commands += count;
    bool is_allowed = e->commands <= limits->address_command_max;
    mutex_unlock(&c->mutex);
    return is_allowed ? FINE
                      : fault_make(421, FAULT_STATUS(4, 7, 0),
                                   "too many commands from your address, try again in a minute");
}

void clients_trust(struct clients *c, const struct ip_address *ip, bool has_behaved)
{
    char key[17];
    mutex_lock(&c->mutex);
    entry_of(c, address_key(ip, key))->is_known = has_behaved;
    mutex_unlock(&c->mutex);
}

static bool has_failed_too_often(const struct entry *e, int64_t most, int64_t window_ms)
{
    return most > 0 && e->failures >= most && clock_now_ms() - e->window_start_ms < window_ms;
}

struct fault clients_may_login(struct clients *c, const struct ip_address *ip, struct str account,
                               const struct conf_limits *limits)
{
    char key[17], name[ACCOUNT_MAX];
    mutex_lock(&c->mutex);
    bool is_refused =
        has_failed_too_often(entry_of(c, address_key(ip, key)), limits->auth_address_failure_max,
                             limits->auth_window_ms) ||
        (account.n > 0 &&
         has_failed_too_often(entry_of(c, account_key(account, name)),
                              limits->auth_account_failure_max, limits->auth_window_ms));
    mutex_unlock(&c->mutex);
    return is_refused
               ? fault_make(454, FAULT_STATUS(4, 7, 0), "too many failed logins, try again later")
               : FINE;
}

static void count_failure(struct entry *e, int64_t window_ms)
{
    int64_t now = clock_now_ms();
    if (now - e->window_start_ms >= window_ms) {
        e->window_start_ms = now;
        e->failures = 0;
    }
    e->failures++;
}

void clients_login_failed(struct clients *c, const struct ip_address *ip, struct str account,
                          const struct conf_limits *limits)
{
    char key[17], name[ACCOUNT_MAX];
    mutex_lock(&c->mutex);
    count_failure(entry_of(c, address_key(ip, key)), limits->auth_window_ms);
    if (account.n > 0)
        count_failure(entry_of(c, account_key(account, name)), limits->auth_window_ms);
    mutex_unlock(&c->mutex);
}

/* The key of a bucket: it is another one when the rate is changed. Empty: the rate is about nobody known. */
static struct str rate_key(const struct policy_rate *r, const struct clients_who *who,
                           char key[RATE_KEY_MAX])
{
    struct ip_network network;
    struct str about = r->scope == POLICY_BY_SENDER ? who->sender : who->account;
    if (r->scope == POLICY_BY_ADDRESS || r->scope == POLICY_BY_NETWORK) {
        bool is_address = r->scope == POLICY_BY_ADDRESS;
        if (!who->ip)
            return STR_NONE;
        unsigned bits = ip_is_v4(who->ip) ? (is_address ? 32 : 24) : is_address ? 64 : 48;
        network = ip_network_around(who->ip, bits);
        about = str_make((const char *)network.address.byte, sizeof network.address.byte);
    }
    if (about.n == 0)
        return STR_NONE;
    int n = snprintf(key, RATE_KEY_MAX, "r%d.%d.%lld.%lld.", (int)r->scope, (int)r->quantity,
                     (long long)r->count, (long long)r->window_ms);
    about = str_head(about, ACCOUNT_MAX);
    for (size_t i = 0; i < about.n; i++)
        key[(size_t)n + i] = r->scope >= POLICY_BY_SENDER ? str_lower_byte(about.p[i]) : about.p[i];
    return str_make(key, (size_t)n + about.n);
}

const struct policy_rate *clients_take(struct clients *c, const struct policy_rules *rules,
                                       enum policy_quantity quantity, const struct clients_who *who,
                                       int64_t amount, int64_t *wait_ms)
{
    char key[RATE_KEY_MAX];
    const struct policy_rate *empty = NULL;
    int64_t now = rules->rates.count > 0 ? clock_now_ms() : 0;
    for (size_t i = 0; i < rules->rates.count && !empty; i++) {
        const struct policy_rate *r = &rules->rates.item[i];
        struct str k = r->quantity == quantity ? rate_key(r, who, key) : STR_NONE;
        if (k.n == 0)
            continue;
        mutex_lock(&c->mutex);
        if (!token_bucket_take(&entry_of(c, k)->bucket, r->count, r->window_ms, now, amount,
                               wait_ms))
            empty = r;
        mutex_unlock(&c->mutex);
    }
    return empty;
}

void clients_charge(struct clients *c, const struct policy_rules *rules,
                    enum policy_quantity quantity, const struct clients_who *who, int64_t amount)
{
    char key[RATE_KEY_MAX];
    int64_t now = rules->rates.count > 0 ? clock_now_ms() : 0, wait_ms;
    for (size_t i = 0; i < rules->rates.count; i++) {
        const struct policy_rate *r = &rules->rates.item[i];
        struct str k = r->quantity == quantity ? rate_key(r, who, key) : STR_NONE;
        if (k.n == 0)
            continue;
        mutex_lock(&c->mutex);
        struct token_bucket *b = &entry_of(c, k)->bucket;
        if (!token_bucket_take(b, r->count, r->window_ms, now, amount, &wait_ms))
            b->used += (double)amount;
        mutex_unlock(&c->mutex);
    }
}

static int64_t refusals_of(const struct entry *e, int64_t forget_ms, int64_t now)
{
    return now - e->refused_ms < forget_ms ? e->refusals : 0;
}

void clients_refused(struct clients *c, const struct ip_address *ip, int64_t forget_ms)
{
    char key[17];
    int64_t now = clock_now_ms();
    mutex_lock(&c->mutex);
    struct entry *e = entry_of(c, address_key(ip, key));
    e->refusals = refusals_of(e, forget_ms, now) + 1;
    e->refused_ms = now;
    mutex_unlock(&c->mutex);
}

int64_t clients_refusals(struct clients *c, const struct ip_address *ip, int64_t forget_ms)
{
    char key[17];
    int64_t now = clock_now_ms();
    mutex_lock(&c->mutex);
    int64_t refusals = refusals_of(entry_of(c, address_key(ip, key)), forget_ms, now);
    mutex_unlock(&c->mutex);
    return refusals;
}
