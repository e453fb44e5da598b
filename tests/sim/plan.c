/* SPDX-License-Identifier: ISC */
/*
 * plan.c - draws what happens in a run from its seed
 */
#include "plan.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "author.h"
#include "bugs.h"
#include "disk.h"
#include "ledger.h"

enum {
    PEER_STACK_BYTES = 64 * 1024,
    LOOK_S = 600,
    LOOK_MOST_S = 6 * 3600,
    SLACK_S = 12 * 3600,
    STOP_PATIENCE_S = 300,
    POLICIES_ONE_IN = 4
};

bool plan_is_healed(void)
{
    return world->now_ns >= world->plan->healing_ns;
}

static unsigned rarely(unsigned one_in, unsigned most)
{
    return sim_chance(1, one_in) ? (unsigned)sim_between(2, most) : 0;
}

static void draw_manners(struct manners *m)
{
    *m = (struct manners){.has_ehlo = !sim_chance(1, 8),
                          .has_pipelining = sim_chance(2, 3),
                          .has_chunking = sim_chance(1, 2),
                          .has_size = sim_chance(1, 2),
                          .has_8bitmime = sim_chance(2, 3)};
    if (sim_chance(1, 3))
        return;
    m->is_greylisting = sim_chance(1, 4);
    m->refuses_greeting = rarely(4, 6);
    m->resets = rarely(4, 40);
    m->closes = rarely(4, 40);
    m->delays_mail = rarely(5, 8);
    m->delays_recipient = rarely(4, 8);
    m->delays_data = rarely(5, 8);
    m->delays_end = rarely(4, 8);
    m->refuses_recipient = rarely(6, 20);
    m->refuses_end = rarely(6, 20);
    m->mute_after_end = rarely(4, 8);
    m->hangs = rarely(8, 60);
    m->slow = rarely(8, 40);
    if (sim_chance(1, 3))
        m->tls = (enum tls_manners)sim_below(TLS_MANNERS);
}

static void draw_link(struct link *l)
{
    *l = (struct link){.latency_ns = sim_between(100, 150000) * 1000,
                       .jitter_ns = sim_between(0, 30000) * 1000,
                       .window = sim_chance(1, 4) ? 1500 : 32768};
    if (sim_chance(1, 5))
        l->lost_one_in = 30;
    if (sim_chance(1, 6))
        l->piece = 1400;
}

static void heal_links(void *arg, uint64_t number)
{
    (void)number;
    struct plan_server *s = arg;
    if (s->domain->is_dead)
        return;
    s->host->state = HOST_SERVES;
    s->host->link.reset_after = s->host->link.silent_after = 0;
}

static void change_state(void *arg, uint64_t number)
{
    struct plan_server *s = arg;
    if (!plan_is_healed() && !s->domain->is_dead)
        s->host->state = (enum host_state)number;
}

static void draw_server(struct plan_domain *d, struct plan_server *s, uint32_t address)
{
    const struct plan *p = world->plan;
    s->domain = d;
    s->address = address;
    draw_manners(&s->manners);
    s->host = net_add_host(address, server_serve, s);
    s->host->crowd = &d->crowd;
    draw_link(&s->host->link);
    if (d->is_back)
        return;
    if (sim_chance(1, 8))
        s->host->link.reset_after = (uint64_t)sim_between(200, 50000);
    if (sim_chance(1, 16))
        s->host->link.silent_after = (uint64_t)sim_between(200, 50000);
    for (int64_t changes = sim_chance(1, 2) ? sim_between(1, 4) : 0; changes > 0; changes--)
        sim_after(sim_between(0, p->healing_ns), change_state, s, sim_below(4));
    if (d->is_dead)
        s->host->state = (enum host_state)sim_below(4);
    sim_after(p->healing_ns - world->now_ns, heal_links, s, 0);
}

static void draw_domain(struct plan_domain *d, size_t at)
{
    d->is_back = at == 0;
    snprintf(d->name, sizeof d->name, at == 0 ? "back.test" : "d%zu.test", at);
    d->is_dead = at > 0 && sim_chance(1, 8);
    if (at > 0 && sim_chance(1, 4)) {
        d->dns_one_in = (unsigned)sim_between(1, 6);
        d->dns_mood =
            sim_chance(1, 6) ? DNS_NXDOMAIN : (enum dns_mood)sim_between(DNS_SERVFAIL, DNS_LATE);
    }
    d->servers = (size_t)sim_between(1, PLAN_MX_MOST);
    for (size_t i = 0; i < d->servers; i++)
        draw_server(d, &d->server[i], 0x0a000001 + (uint32_t)(at << 8) + (uint32_t)i);
}

static void trouble(unsigned operations, int error, int64_t from_ns, int64_t until_ns,
                    uint64_t from_call, uint64_t count)
{
    struct disk *d = world->disk;
    d->trouble[d->trouble_count++] = (struct disk_trouble){.operations = operations,
                                                           .error = error,
                                                           .from_ns = from_ns,
                                                           .until_ns = until_ns,
                                                           .from_call = d->calls + from_call,
                                                           .count = count};
}

static void grow_disk(void *arg, uint64_t number)
{
    (void)arg;
    world->disk->room_pages = (int64_t)number;
}

/* What the disk does: often nothing, sometimes one failure, a bad time, or too little room. */
static void draw_troubles(void)
{
    static const unsigned kinds[] = {DISK_OPEN, DISK_READ,  DISK_WRITE,
                                     DISK_SYNC, DISK_NAMES, DISK_GROW};
    struct plan *p = world->plan;
    int64_t end = p->healing_ns;
    world->disk->short_write_one_in = rarely(4, 50);
    if (!sim_chance(2, 5))
        return;
    for (int64_t left = sim_between(1, 3); left > 0; left--) {
        unsigned kind = kinds[sim_below(6)];
        uint64_t call = (uint64_t)1 << sim_between(4, 13);
        /* Most while mail comes in. */
        int64_t from = sim_between(0, sim_chance(2, 3) ? p->sending_ns : end);
        switch (sim_below(7)) {
        case 5: /* one call of the kind that counts most, while many wait for it */
            trouble(DISK_SYNC, EIO, from, end, 0, 1);
            break;
        case 6: /* a moment in which what is written does not stay */
            trouble(DISK_WRITE | DISK_SYNC, EIO, from, from + sim_between(1, 500) * SIM_MS, 0,
                    UINT64_MAX);
            break;
        case 0:
        case 1:
            trouble(kind, EIO, 0, end, call + sim_below(call), 1);
            break;
        case 2: /* for good, as far as anybody can know */
            trouble(kind, EIO, from + (end - from) / 2, end, 0, UINT64_MAX);
            break;
        case 3:
            trouble(kind, EIO, from, from + sim_between(1, 60) * SIM_SECOND, 0, UINT64_MAX);
            break;
        default:
            trouble(DISK_WRITE | DISK_GROW, ENOSPC, from, from + sim_between(1, 300) * SIM_SECOND,
                    0, UINT64_MAX);
            break;
        }
    }
    if (sim_chance(1, 4)) {
        int64_t whole = world->disk->room_pages;
        world->disk->room_pages = world->disk->used_pages + sim_between(600, 4000);
        sim_after(end - world->now_ns, grow_disk, NULL, (uint64_t)whole);
    }
}

static void reload(void *arg, uint64_t number)
{
    (void)arg;
    (void)number;
    if (!world->plan->is_stopping)
        system_signal(SIGHUP);
}

/* Asks the server to stop when there is nothing left to see. */
static void look(void *arg, uint64_t rest_s)
{
    (void)arg;
    struct plan *p = world->plan;
    int64_t limit = p->healing_ns + p->expiry_ns + SLACK_S * SIM_SECOND;
    bool is_over = plan_is_healed() && p->clients_done == p->clients && ledger_is_settled();
    if (p->is_stopping) {
        ledger_blame(0, "the server does not stop");
        p->has_stopped = true;
        return;
    }
    if (is_over || world->now_ns > limit) {
        p->is_stopping = true;
        system_signal(SIGTERM);
        sim_after(STOP_PATIENCE_S * SIM_SECOND, look, NULL, 0);
        return;
    }
    if (rest_s == 0)
        rest_s = LOOK_S;
    if (plan_is_healed() && rest_s < LOOK_MOST_S)
        rest_s = rest_s * 3 / 2;
    sim_after((int64_t)rest_s * SIM_SECOND, look, NULL, rest_s);
}

void plan_check_limits(void)
{
    const struct plan *p = world->plan;
    for (size_t i = 0; i < p->domains; i++) {
        /* With other exchangers it is another site, and with another policy a second one. */
        const struct plan_domain *d = &p->domain[i];
        unsigned most = p->connections_per_site * (d->policy.kind == PEER_FREE ? 1 : 2);
        if (d->dns_mood != DNS_FLIPS && d->crowd.most > most)
            ledger_blame(0, "%u connections to %s at a time where %u are allowed", d->crowd.most,
                         d->name, most);
    }
}

void plan_write_conf(void)
{
    struct plan *p = world->plan;
    int64_t memory = sim_chance(1, 3) ? 1 : 16;
    int n = snprintf(
        p->conf, sizeof p->conf,
        "hostname = \"mx.sim.test\"\nstate-directory = \".\"\nmta-threads = %lld\n"
        "mda-threads = %lld\noffload-threads = %lld\n"
        "limits { greeting-delay = %lldms sessions-per-address = 100 }\n"
        "listener \"mx\" { role = mx port = %d address = {\"0.0.0.0\"} tls = none\n"
        "  trust = {\"10.9.0.0/16\"} client-name = off authentication = %s }\n"
        "listener \"pop3\" { role = pop3 port = %d address = {\"0.0.0.0\"} tls = none\n"
        "  clear-auth = on }\n"
        "listener \"lmtp\" { role = lmtp path = \"ctl/lmtp.sock\" tls = none }\n"
        "delivery { connections-per-site = %u connections = %lld\n"
        "  messages-per-connection = %lld idle-timeout = %llds }\n"
        "queue { bounce-after = %llds checkpoint = %lldms memory = %lldM deliveries = %lld "
        "disk-reserve = %lldK }\n"
        "resolver { validate = off }\n",
        (long long)sim_between(1, 2), (long long)sim_between(1, 2), (long long)sim_between(1, 4),
        (long long)sim_between(0, 200), PLAN_PORT_MX, authors_setting(), PLAN_PORT_POP3,
        p->connections_per_site + (bug_is_limit_wrong() ? 2 : 0), (long long)sim_between(2, 40),
        (long long)sim_between(1, 50), (long long)sim_between(0, 10),
        (long long)(p->expiry_ns / SIM_SECOND * (bug_is_expiry_wrong() ? 4 : 1)),
        (long long)(sim_chance(1, 4) ? sim_between(100, 5000) : sim_between(5000, 300000)),
        (long long)memory, (long long)(sim_chance(1, 3) ? 100 : 100000),
        (long long)(sim_chance(1, 2) ? 0 : sim_between(64, 2048)));
    struct inode *conf = disk_create(world->disk->root, "eilbote.conf", INODE_FILE, 0644);
    disk_write(conf, p->conf, (size_t)n, 0);
    disk_sync_all();
}

void plan_make(void)
{
    struct plan *p = world->plan = world_alloc(sizeof *p);
    *p = (struct plan){.domains = (size_t)sim_between(2, PLAN_DOMAINS_MOST),
                       .clients = (size_t)sim_between(1, PLAN_CLIENTS_MOST),
                       .messages_a_client = (size_t)sim_between(1, 12),
                       .sending_ns = sim_between(1, 900) * SIM_SECOND,
                       .expiry_ns =
                           (sim_chance(1, 5) ? 120 : sim_between(6, 30)) * 3600 * SIM_SECOND,
                       .processes_left = sim_chance(1, 4) ? 0 : (unsigned)sim_between(1, 5),
                       .segment_bytes = (int64_t)DISK_PAGE << sim_between(4, 7),
                       .connections_per_site = (unsigned)sim_between(1, 8)};
    p->healing_ns = world->now_ns + p->sending_ns + sim_between(1, 3 * 3600) * SIM_SECOND;
    ledger_make(p->expiry_ns);
    p->has_policies = world->seed % POLICIES_ONE_IN == 0;
    if (p->has_policies)
        authors_make();
    plan_write_conf();
    for (size_t i = 0; i < p->domains; i++) {
        draw_domain(&p->domain[i], i);
        if (p->has_policies)
            peer_policy_draw(&p->domain[i]);
    }
    draw_troubles();
    for (int64_t reloads = sim_chance(1, 3) ? sim_between(1, 5) : 0; reloads > 0; reloads--)
        sim_after(sim_between(0, p->healing_ns), reload, NULL, 0);
    for (size_t i = 0; i < p->clients; i++)
        fiber_start("client", false, PEER_STACK_BYTES, client_run, NULL);
    if (p->has_policies) {
        p->clients++;
        fiber_start("stranger", false, PEER_STACK_BYTES, stranger_run, NULL);
    }
    for (size_t i = 0; i < PLAN_USERS; i++)
        fiber_start("reader", false, PEER_STACK_BYTES, reader_run, (void *)(uintptr_t)i);
    sim_after(LOOK_S * SIM_SECOND, look, NULL, LOOK_S);
}
