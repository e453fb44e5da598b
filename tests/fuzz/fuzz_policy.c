/* SPDX-License-Identifier: ISC */
/*
 * fuzz_policy.c - values of rules print and parse as themselves; whatever the DNS says, a policy asks little, its reply is
 * printable, and what only fails never refuses for good
 */
#include "check/policy.h"

#include "base/buf.h"
#include "fuzz.h"

const struct fuzz_memory fuzz_memory = {.factor = 16, .base = 4 << 20};

static void check_site(struct str text)
{
    struct dnsbl_site s;
    struct ip_address lists_nothing[2];
    must(ip_parse(STR("127.255.255.254"), &lists_nothing[0]));
    must(ip_parse(STR("192.0.2.1"), &lists_nothing[1]));
    if (!dnsbl_site_parse(text, &s))
        return;
    must(s.weight != 0 && s.weight <= DNSBL_WEIGHT_MAX && s.weight >= -DNSBL_WEIGHT_MAX);
    must(s.zone.n > 0 && str_starts(text, s.zone) && str_equal(s.written, text));
    must(!dnsbl_site_matches(&s, &lists_nothing[0]) && !dnsbl_site_matches(&s, &lists_nothing[1]));
}

static void check_action(struct str text)
{
    char room[80], again_room[80];
    struct policy_action a, again;
    if (!policy_action_parse(text, &a))
        return;
    struct str printed = policy_action_text(&a, room);
    must(policy_action_parse(printed, &again) && again.act == a.act && again.weight == a.weight);
    must(str_equal(policy_action_text(&again, again_room), printed));
}

static void check_rate(struct str text)
{
    char room[80];
    struct policy_rate r, again;
    if (!policy_rate_parse(text, &r))
        return;
    must(r.count > 0 && r.window_ms >= 1000);
    if (r.window_ms % 1000 != 0)
        return; /* printed without its milliseconds */
    must(policy_rate_parse(policy_rate_text(&r, room), &again));
    must(again.scope == r.scope && again.quantity == r.quantity && again.count == r.count &&
         again.window_ms == r.window_ms);
}

/* A DNS whose answers are the octets of the input. */
struct world {
    struct str in;
    unsigned asked;
    bool only_fails;
};

static void give_addresses(struct world *w, struct arena *arena, struct ask_answer *out)
{
    struct ip_address *list = arena_alloc(arena, 4 * sizeof *list);
    out->count = take_octet(&w->in) % 5u;
    for (size_t i = 0; i < out->count; i++) {
        list[i] = (struct ip_address){{[10] = 0xFF, [11] = 0xFF}};
        for (size_t k = 12; k < 16; k++)
            list[i].byte[k] = k == 12 && w->in.n % 3 ? 127 : take_octet(&w->in);
    }
    out->addresses = list;
}

static void answer(void *context, struct arena *arena, const char *name, enum ask_type type,
                   struct ask_answer *out)
{
    struct world *w = context;
    static struct str text;
    static struct ask_mx host;
    must(strlen(name) <= 253);
    w->asked++;
    *out = (struct ask_answer){.status = (enum ask_status)(take_octet(&w->in) % 4u)};
    if (w->only_fails)
        out->status = ASK_FAILED;
    if (out->status != ASK_FOUND)
        return;
    if (type == ASK_A || type == ASK_AAAA) {
        give_addresses(w, arena, out);
        return;
    }
    out->count = 1;
    text = str_head(w->in, 200);
    host = (struct ask_mx){.host = take_octet(&w->in) % 2u ? STR("mx.test") : STR_NONE};
    if (type == ASK_MX)
        out->hosts = &host;
    else
        out->texts = &text;
}

static void check_finding(void *arg, const struct policy_finding *f)
{
    (void)arg;
    must(f->rule && policy_stage_name(f->stage) && policy_result_name(f->result));
    must((f->fault != NULL) == (f->result >= POLICY_DEFERS));
    if (f->fault)
        must(f->fault->status.class == (f->result == POLICY_REFUSES ? 5 : 4));
}

static void check_reply(const struct fault *f)
{
    must(!f->kind || f->reply / 100 == f->status.class);
    for (const char *c = f->text; *c; c++)
        must((unsigned char)*c >= ' ' && *c != 127);
}

/* What the client's address has for a name, by an octet. */
static struct iprev_verdict name_of_client(uint8_t choice)
{
    struct iprev_verdict v = {(enum iprev_result)(choice % 4u), choice & 4, STR_NONE, STR_NONE};
    v.has_names |= v.result == IPREV_PASS || v.result == IPREV_FAIL;
    if (v.result == IPREV_PASS)
        v.name = STR("client.test");
    else
        v.reason = STR("for a reason");
    return v;
}

static struct fault visit(const struct policy_rules *rules, struct world *w, struct str said,
                          const struct iprev_verdict *iprev)
{
    struct arena arena = arena_make(1 << 20);
    struct asker asker = {.answer = answer, .context = w, .arena = &arena, .left = 40},
                 lists = asker;
    size_t cut = said.n / 2;
    struct policy p = {.rules = rules,
                       .hostname = STR("us.test"),
                       .ip = {{0x20, 1, 0xd, 0xb8}},
                       .tell = check_finding};
    struct policy_mail m = {.helo = str_head(said, cut),
                            .sender = str_skip(said, cut),
                            .iprev = iprev,
                            .asker = &asker,
                            .lists = &lists};
    m.domain = str_skip(m.sender, str_last_index(m.sender, '@') + 1);
    struct fault f = policy_connect(&p);
    if (!f.kind)
        f = policy_helo(&p, m.helo, true);
    if (!f.kind)
        f = policy_mail(&p, &m);
    must(w->asked + asker.left == 40 && w->asked <= 14);
    check_reply(&f);
    arena_free(&arena);
    return f;
}

static void check_visit(struct str in)
{
    struct dnsbl_site sites[3];
    must(dnsbl_site_parse(STR("bl.test=127.0.0.[2..200]*2"), &sites[0]));
    must(dnsbl_site_parse(STR("wl.test*-1"), &sites[1]));
    must(dnsbl_site_parse(STR("good.test"), &sites[2]));
    struct policy_action action = {(enum policy_act)(take_octet(&in) % 6u), 3};
    uint8_t choice = in.n % 2 ? take_octet(&in) : 0; /* 0: as before there were these rules */
    struct str blocked[] = {STR("a@h.test"), STR("gone.test"), STR(".b.test")};
    struct str allowed[] = {STR("friend@gone.test"), STR(".c.test")};
    struct policy_rules rules = {.block_senders = {blocked, choice & 64 ? 3 : 0},
                                 .allow_senders = {allowed, choice & 128 ? 2 : 0},
                                 .no_reverse_name = choice & 8 ? action : (struct policy_action){0},
                                 .unconfirmed_name =
                                     choice & 16 ? action : (struct policy_action){0},
                                 .dnswl_sites = {&sites[2], choice & 32 ? 1 : 0},
                                 .helo_unresolvable = action,
                                 .unknown_sender_domain = action,
                                 .null_mx_sender = action,
                                 .dnsbl_sites = {sites, 2},
                                 .rhsbl_sites = {sites, 1},
                                 .dnsbl_action = action,
                                 .rhsbl_action = action,
                                 .dnsbl_threshold = 1,
                                 .rhsbl_threshold = 1,
                                 .mark_score = 3,
                                 .refuse_score = 6};
    size_t cut = take_octet(&in);
    const struct iprev_verdict iprev = name_of_client(choice);
    const struct iprev_verdict unsure = {.result = IPREV_TEMPERROR, .reason = STR("the DNS")};
    struct world world = {.in = str_skip(in, cut)};
    visit(&rules, &world, str_head(in, cut), choice ? &iprev : NULL);
    struct world failing = {.in = str_skip(in, cut), .only_fails = true};
    must(visit(&rules, &failing, str_head(in, cut), choice ? &unsure : NULL).kind != FAULT_NEVER ||
         failing.asked < 1 /* names that cannot be need no DNS */ || action.act == POLICY_REFUSE ||
         action.act == POLICY_WEIGHT);
}

void fuzz_one(struct str in)
{
    check_site(in);
    check_action(in);
    check_rate(in);
    must(!policy_sender_is_pattern(in) || !str_has(in, ' '));
    check_visit(in);
}
