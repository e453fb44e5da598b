/* SPDX-License-Identifier: ISC */
/*
 * letter.c - makes the letters of strangers: genuine, forged, and floods of questions
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "author.h"
#include "check/dkim_key.h"
#include "check/dkim_sign.h"
#include "mail/header.h"
#include "plan.h"

enum { LINE_BYTES = 72, LARGE_ONE_IN = 60, TEXT_MOST = 2 << 20, SIGNATURES = 12 };

/* How a letter comes to be what it is. */
enum way {
    WAY_SPF,     /* from an address of its domain's */
    WAY_DKIM,    /* signed by its domain */
    WAY_BARE,    /* from anywhere, with nothing to show */
    WAY_CHANGED, /* signed, but with another body */
    WAY_STRANGE, /* signed by somebody else */
    WAY_REVOKED, /* signed with a key that its domain has revoked */
    WAYS
};

static EVP_PKEY *key;

void letters_prepare(void)
{
    static const unsigned char seed[32] = "the key of all simulated authors";
    key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    struct buf record = buf_make(512);
    if (!key || !dkim_key_append_record(key, &record))
        sim_broken("the authors have no key");
    buf_free(&record);
}

static void write_key(char *out, size_t size)
{
    struct buf record = buf_make(512);
    dkim_key_append_record(key, &record);
    buf_append_byte(&record, '\0');
    snprintf(out, size, "%s", strstr(record.data, "p=") + 2);
    buf_free(&record);
}

/* The signature of the message as it is, but with an octet of the body changed when it is to be wrong. */
static void append_signature(const struct ledger_message *m, const char *domain,
                             const char *selector, bool is_wrong, struct buf *out)
{
    char *text = malloc(TEXT_MOST);
    size_t size = ledger_text(m, text, TEXT_MOST);
    struct str whole = str_make(text, size);
    size_t head = header_size(whole);
    text[size - 3] = (char)(is_wrong ? '#' : text[size - 3]);
    struct dkim_body *body = dkim_body_make();
    struct dkim_sign_key with = {.key = key, .selector = str_from(selector)};
    struct dkim_sign_options options = {.domain = str_from(domain),
                                        .now_s = (world->now_ns + world->real_ns) / SIM_SECOND,
                                        .keys = &with,
                                        .key_count = 1};
    struct dkim_signer *s = dkim_sign_begin(str_head(whole, head), body, &options);
    dkim_body_feed(body, str_skip(whole, head));
    dkim_body_end(body);
    if (!s || !dkim_sign_finish(s, out))
        sim_broken("a letter cannot be signed");
    dkim_sign_free(s);
    dkim_body_free(body);
    free(text);
}

/* A field that claims to be the server's, or nothing. */
static const char *draw_claim(void)
{
    static const char *const claims[] = {
        "Authentication-Results: mx.sim.test; dmarc=pass header.from=a0.test\r\n",
        "authentication-results:MX.SIM.TEST; dmarc=pass\r\n",
        "Authentication-Results:\r\n\tmx.sim.test 1;\r\n dmarc=pass header.d=a0.test\r\n",
        "Authentication-Results: (really) mx.sim.test (yes); dmarc=pass\r\n",
        "AUTHENTICATION-RESULTS: \"mx.sim.test\"; dmarc=pass\r\n",
        "Authentication-Results: mx.sim.test; none\r\nAuthentication-Results: mx.sim.test; "
        "dmarc=pass\r\n",
        "X-Eilbote-Junk: no\r\n",
    };
    enum { COUNT = sizeof claims / sizeof *claims };
    uint64_t which = sim_below(2 * COUNT);
    return which < COUNT ? claims[which] : "";
}

/* What is in front of the usual fields, as it is to come out and as it is sent. */
static void set_fields(struct letter *l, struct str fields)
{
    const char *claim = draw_claim();
    size_t room = fields.n + strlen(claim) + 1;
    char *sent = world_take(room), *kept = world_take(room);
    int n = snprintf(sent, room, "%s%.*s", claim, (int)fields.n, fields.p);
    snprintf(kept, room, "%.*s", (int)fields.n, fields.p);
    if (n > LETTER_FIELDS_MAX)
        sim_broken("a letter has too many fields");
    l->sent = sent;
    l->kept = kept;
}

static void draw_body(struct ledger_message *m)
{
    uint64_t lines = sim_chance(1, LARGE_ONE_IN) ? 15000 + sim_below(1000) : sim_below(40);
    m->body_bytes = LINE_BYTES * (size_t)(lines + 1);
}

static void draw_author(const struct ledger_message *m, struct letter *l)
{
    static const char *const places[] = {"", "", "news.", "ghost."};
    struct authors *a = world->plan->authors;
    l->domain = &a->domain[sim_below(a->domains)];
    snprintf(l->author, sizeof l->author, "w%llu@%s%s", (unsigned long long)m->number,
             places[sim_below(4)], l->domain->name);
}

static void sign(const struct ledger_message *m, enum way way, struct buf *fields)
{
    const struct letter *l = m->letter;
    if (way == WAY_DKIM || way == WAY_CHANGED)
        append_signature(m, l->domain->name, "k1", way == WAY_CHANGED, fields);
    else if (way == WAY_STRANGE)
        append_signature(m, "evil.test", "k1", false, fields);
    else if (way == WAY_REVOKED)
        append_signature(m, l->domain->name, "gone", false, fields);
}

static void make_letter(struct ledger_message *m, struct letter *l)
{
    static const char list[] = "List-Id: <list.evil.test>\r\n",
                      second[] = "From: <somebody@evil.test>\r\n";
    struct authors *a = world->plan->authors;
    enum way way = sim_chance(1, 2) ? (enum way)sim_below(WAY_BARE) : (enum way)sim_below(WAYS);
    draw_author(m, l);
    size_t at = (size_t)(l->domain - a->domain);
    bool is_own = strcmp(strchr(l->author, '@') + 1, l->domain->name) == 0;
    l->is_genuine = way < WAY_BARE && (is_own || !l->domain->is_strict);
    l->is_list = sim_chance(1, 8);
    l->has_two_authors = sim_chance(1, 16);
    l->from = way == WAY_SPF ? AUTHORS_THEIRS + (uint32_t)(at << 8) : AUTHORS_SOMEBODY;
    l->from += (uint32_t)sim_between(1, 250);
    bool has_own_sender = way == WAY_SPF || (way == WAY_BARE && sim_chance(1, 2));
    snprintf(m->sender, sizeof m->sender, "s%llu@%s", (unsigned long long)m->number,
             has_own_sender ? l->domain->name : "back.test");
    l->sent = l->kept = l->is_list ? list : "";
    struct buf fields = buf_make(LETTER_FIELDS_MAX);
    sign(m, way, &fields);
    buf_append(&fields, str_from(l->is_list ? list : ""));
    buf_append(&fields, str_from(l->has_two_authors ? second : ""));
    set_fields(l, buf_str(&fields));
    buf_free(&fields);
}

static void make_flood(struct ledger_message *m, struct letter *l)
{
    unsigned long long number = m->number;
    struct buf fields = buf_make(LETTER_FIELDS_MAX);
    if (sim_chance(1, 2)) /* in somebody's name, who asks for something */
        draw_author(m, l);
    else
        snprintf(l->author, sizeof l->author, "w@a.b.c.d.e.f.g.l%llu.flood.test", number);
    snprintf(m->sender, sizeof m->sender, "s@l%llu.flood.test", number);
    l->from = AUTHORS_SOMEBODY + (uint32_t)sim_between(1, 250);
    for (int i = 0; i < SIGNATURES; i++)
        buf_printf(&fields,
                   "DKIM-Signature: v=1; a=ed25519-sha256; d=l%llu.flood.test; s=s%d; h=from;\r\n"
                   " bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n b=%088d\r\n",
                   number, i, 0);
    set_fields(l, buf_str(&fields));
    buf_free(&fields);
}

static struct ledger_message *draw_letter(void)
{
    enum { FLOOD_ONE_IN = 10 };
    struct ledger_message *m = ledger_new();
    struct letter *l = world_alloc(sizeof *l);
    if (!m)
        sim_broken("there is no room for letters");
    m->letter = l;
    draw_body(m);
    if (sim_chance(1, FLOOD_ONE_IN))
        make_flood(m, l);
    else
        make_letter(m, l);
    m->recipients = 1;
    m->recipient[0].is_local = true;
    snprintf(m->recipient[0].address, sizeof m->recipient[0].address, "u%llu@home.test",
             (unsigned long long)sim_below(PLAN_USERS));
    return m;
}

/* The record changes; those who remember the old one are not wrong. */
static void change_policy(void *arg, uint64_t number)
{
    struct author_domain *d = arg;
    d->policy = (enum author_policy)number;
    d->lied_ns = world->now_ns;
}

static void draw_domain(struct author_domain *d, size_t at)
{
    snprintf(d->name, sizeof d->name, "a%zu.test", at);
    d->policy = sim_chance(1, 2) ? ASKS_REJECT : (enum author_policy)sim_below(3);
    d->below = (enum author_policy)sim_below(3);
    d->absent = (enum author_policy)sim_below(3);
    d->has_below = sim_chance(1, 3);
    d->has_absent = sim_chance(1, 3);
    d->is_strict = sim_chance(1, 5);
    d->has_include = sim_chance(1, 3);
    d->mood = (enum author_mood)sim_below(AUTHOR_MOODS);
    d->one_in = sim_chance(1, 2) ? (unsigned)sim_between(1, 6) : 0;
    d->failed_ns = d->lied_ns = -SIM_NEVER;
    if (sim_chance(1, 4))
        sim_after(sim_between(0, world->plan->sending_ns), change_policy, d, sim_below(3));
}

void authors_make(void)
{
    struct authors *a = world->plan->authors = world_alloc(sizeof *a);
    a->setting = sim_chance(2, 3) ? 2 : (unsigned)sim_below(2);
    a->domains = (size_t)sim_between(1, AUTHORS_MOST);
    write_key(a->key, sizeof a->key);
    for (size_t i = 0; i < a->domains; i++)
        draw_domain(&a->domain[i], i);
    for (a->letters = 0; a->letters < LETTERS_MOST && !sim_chance(1, 8); a->letters++)
        a->letter[a->letters] = draw_letter();
}
