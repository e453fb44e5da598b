/* SPDX-License-Identifier: ISC */
/*
 * session_rcpt.c - what we do about RCPT: whose the address is, what it stands for, and whether it is taken
 */
#include <stdlib.h>

#include "base/encode.h"
#include "directory/edit.h"
#include "directory/full.h"
#include "mail/idna.h"
#include "net/loop.h"
#include "net/offload.h"
#include "os/clock.h"
#include "os/random.h"
#include "serve/recipient.h"
#include "serve/session.h"

enum {
    EXPANSION_LIMIT = 32 << 20, /* of one RCPT: all that one alias may stand for */
    ORIGINAL_MAX = 1024,
};

/* Where a recipient of that address stands in the envelope. */
struct seen_rcpt {
    struct map_node node;
    size_t index;
};

static void note_rcpt(struct transaction *t, size_t index)
{
    struct seen_rcpt *seen = arena_alloc(&t->arena, sizeof *seen);
    seen->index = index;
    map_insert(&t->rcpt_seen, &seen->node, t->envelope.rcpt[index].address);
}

/* The recipient with that address, or NULL. */
static const struct queue_rcpt *find_rcpt(struct transaction *t, struct str address)
{
    if (t->envelope.rcpt_count == 0)
        return NULL;
    if (t->rcpt_seen.count == 0) {
        t->rcpt_seen = map_make(random_u64(), random_u64());
        note_rcpt(t, 0);
    }
    struct map_node *n = map_find(&t->rcpt_seen, address);
    return n ? &t->envelope.rcpt[MAP_ENTRY(n, struct seen_rcpt, node)->index] : NULL;
}

/* Puts a copy of the recipient behind the others. */
static void append_rcpt(struct transaction *t, const struct queue_rcpt *rcpt)
{
    struct queue_envelope *e = &t->envelope;
    if (e->rcpt_count == t->rcpt_size) {
        size_t size = t->rcpt_size ? t->rcpt_size * 2 : 4;
        struct queue_rcpt *grown = arena_alloc(&t->arena, size * sizeof *grown);
        if (e->rcpt_count > 0)
            memcpy(grown, e->rcpt, e->rcpt_count * sizeof *grown);
        e->rcpt = grown;
        t->rcpt_size = size;
    }
    e->rcpt[e->rcpt_count++] = (struct queue_rcpt){
        arena_copy(&t->arena, rcpt->address), arena_copy(&t->arena, rcpt->orcpt), rcpt->notify};
}

/*
 * Adds the recipient. One that was named before, as itself or by an alias, gets one
 * message; it is there twice only where reports of a different kind or name were asked for.
 */
static void add_rcpt(struct transaction *t, const struct queue_rcpt *rcpt)
{
    struct queue_envelope *e = &t->envelope;
    const struct queue_rcpt *same = find_rcpt(t, rcpt->address);
    int wanted = rcpt->notify & ~QUEUE_NOTIFY_FORWARDED;
    if (same && (same->notify & ~QUEUE_NOTIFY_FORWARDED) == wanted &&
        (wanted == 0 || str_equal(same->orcpt, rcpt->orcpt)))
        return;
    append_rcpt(t, rcpt);
    if (e->rcpt_count > 1 && !same)
        note_rcpt(t, e->rcpt_count - 1);
}

/* The ORCPT of an address that we replace (RFC 3461 section 5.2.7); a UTF-8 one gets none. */
static struct str original_of(struct arena *arena, const struct smtp_rcpt *rcpt)
{
    if (rcpt->orcpt.n > 0 || rcpt->address.is_utf8)
        return rcpt->orcpt;
    struct buf text = buf_make(ORIGINAL_MAX);
    buf_append(&text, STR("rfc822;"));
    encode_xtext(&text, address_text(arena, &rcpt->address));
    struct str copy = arena_copy(arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

static bool has_alias(const struct queue_envelope *e, struct str address, struct str original)
{
    for (size_t i = 0; i < e->rcpt_count; i++)
        if (e->rcpt[i].notify & QUEUE_NOTIFY_EXPANDED && str_equal(e->rcpt[i].address, address) &&
            str_equal(e->rcpt[i].orcpt, original))
            return true;
    return false;
}

/*
 * Adds an alias of several, of which the sender wants to hear success. The addresses behind it
 * cannot each report that for the one that was asked for: it is told that it was expanded (RFC 3461
 * section 5.2.7). Nobody is told about a notice.
 */
static void add_alias(struct transaction *t, struct str address, struct str original)
{
    if (t->envelope.sender.n == 0 || has_alias(&t->envelope, address, original))
        return;
    append_rcpt(
        t, &(struct queue_rcpt){address, original, DSN_NOTIFY_SUCCESS | QUEUE_NOTIFY_EXPANDED});
    t->alias_count++;
}

static struct fault expand(const struct session *s, struct str local, struct str domain,
                           struct arena *scratch, bool *is_ours, struct directory_recipients *out)
{
    return directory_cache_expand(s->visitor.server->directory_cache, local, domain, scratch,
                                  is_ours, out);
}

static bool leads_elsewhere(const struct directory_recipients *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->item[i].account.n == 0)
            return true;
    return false;
}

/* Whether the message at hand is of somebody else's domain, so that its sender is rewritten when it is forwarded. */
static bool is_strangers(const struct session *s, struct arena *scratch)
{
    const struct conf *conf = s->visitor.live->conf;
    struct str sender = s->transaction.envelope.sender;
    struct str domain = str_skip(sender, str_last_index(sender, '@') + 1);
    struct directory_recipients found;
    bool is_ours = idna_equal(domain, conf->hostname) || idna_equal(domain, conf_srs_domain(conf));
    if (!conf->is_srs_used || sender.n == 0 || is_ours)
        return false;
    struct fault f = expand(s, STR("postmaster"), domain, scratch, &is_ours, &found);
    return !f.kind && !is_ours;
}

/*
 * Takes what the directory says the address stands for, which is what the client said or what is
 * meant by it here. The directory knows it without its quotes, and such a one is not fit for an
 * envelope: our own text of it goes there.
 */
static struct fault take_expanded(struct session *s, const struct smtp_rcpt *rcpt,
                                  const struct address *meant, const struct directory_recipients *r,
                                  struct arena *scratch)
{
    struct transaction *t = &s->transaction;
    bool is_forwarded = leads_elsewhere(r) && is_strangers(s, scratch);
    bool is_alias_told = r->count > 1 && rcpt->notify & DSN_NOTIFY_SUCCESS;
    if (t->envelope.rcpt_count + r->count + is_alias_told > ENVELOPE_RCPT_MAX)
        return fault_make(452, FAULT_STATUS(4, 5, 3), "too many recipients behind aliases");
    struct str asked =
        arena_printf(scratch, STR_FMT "@" STR_FMT, STR_ARG(meant->local), STR_ARG(meant->domain));
    struct str own = address_text(scratch, meant);
    bool is_as_said = address_equal(meant, &rcpt->address);
    struct str original = r->count == 1 && is_as_said && str_equal_nocase(r->item[0].address, asked)
                              ? rcpt->orcpt
                              : original_of(scratch, rcpt);
    for (size_t i = 0; i < r->count; i++) {
        bool is_same = str_equal_nocase(r->item[i].address, asked);
        struct queue_rcpt to = {
            .address = is_same ? own : r->item[i].address,
            .orcpt = is_same && is_as_said ? rcpt->orcpt : original,
            .notify = (uint8_t)rcpt->notify,
        };
        /* Who asked for nothing but success did not ask for failures. */
        if (r->count > 1 && to.notify == DSN_NOTIFY_SUCCESS)
            to.notify = DSN_NOTIFY_NEVER;
        else if (r->count > 1)
            to.notify &= (uint8_t)~DSN_NOTIFY_SUCCESS;
        if (is_forwarded && r->item[i].account.n == 0)
            to.notify |= QUEUE_NOTIFY_FORWARDED;
        add_rcpt(t, &to);
    }
    if (is_alias_told)
        add_alias(t, own, original);
    return FINE;
}

static struct fault take_as_is(struct session *s, const struct smtp_rcpt *rcpt,
                               struct arena *scratch)
{
    struct queue_rcpt to = {
        .address = address_text(scratch, &rcpt->address),
        .orcpt = rcpt->orcpt,
        .notify = (uint8_t)rcpt->notify,
    };
    add_rcpt(&s->transaction, &to);
    return FINE;
}

/* The first domain that is ours. */
struct first_domain {
    struct directory *directory;
    struct arena *arena;
    struct str domain;
};

static void keep_first(struct str domain, void *arg)
{
    struct first_domain *first = arg;
    if (first->domain.n == 0)
        first->domain = arena_copy(first->arena, domain);
}

static void find_first(void *arg)
{
    struct first_domain *first = arg;
    directory_list_domains(first->directory, keep_first, first);
}

/*
 * Expands what is meant for this host: of the domain that is its name, of the nearest domain above
 * it that is ours, or of our first domain. Gives that domain; *is_ours is false when there is none.
 */
static struct fault expand_here(const struct session *s, struct str local, struct arena *scratch,
                                bool *is_ours, struct directory_recipients *out, struct str *domain)
{
    struct fault f = FINE;
    struct str label, rest = s->visitor.live->conf->hostname;
    *is_ours = false;
    do {
        *domain = rest;
        f = expand(s, local, *domain, scratch, is_ours, out);
    } while (!f.kind && !*is_ours && str_cut(rest, '.', &label, &rest));
    if (!f.kind && !*is_ours) {
        struct first_domain first = {.directory = s->visitor.server->directory, .arena = scratch};
        offload(find_first, &first);
        *domain = first.domain;
        f = expand(s, local, *domain, scratch, is_ours, out);
    }
    return f;
}

/* Whether the literal is the address of ours that the client talks to (RFC 5321 section 4.1.3). */
static bool is_our_literal(const struct session *s, struct str literal)
{
    struct endpoint local = conn_local(s->visitor.conn);
    struct ip_address ours, named;
    struct str inside = str_make(literal.p + 1, literal.n - 2);
    if (str_starts_nocase(inside, STR("IPv6:")))
        inside = str_skip(inside, 5);
    return endpoint_ip(&local, &ours) && ip_parse(inside, &named) && ip_equal(&ours, &named);
}

/* Whether mail for the address has nowhere to go but here: it is at this host's name or address. */
static bool is_at_this_host(const struct session *s, const struct address *a)
{
    const struct conf *conf = s->visitor.live->conf;
    if (a->kind == ADDRESS_LITERAL)
        return is_our_literal(s, a->domain);
    return idna_equal(a->domain, conf->hostname) && !conf_transport(conf, a->domain) &&
           conf->smarthost.host.n == 0;
}

/*
 * The directory's word on a recipient, and what address of ours is meant. Postmaster may come
 * without a domain (RFC 5321 4.5.1); local programs send to users of this host, like root.
 */
static struct fault expand_rcpt(const struct session *s, const struct address *a,
                                struct arena *scratch, bool *is_ours,
                                struct directory_recipients *out, struct address *meant)
{
    struct str here;
    *meant = *a;
    if (a->kind != ADDRESS_POSTMASTER) {
        struct fault f = expand(s, a->local, a->domain, scratch, is_ours, out);
        if (f.kind || *is_ours || !is_at_this_host(s, a))
            return f;
    }
    struct fault f = expand_here(s, a->local, scratch, is_ours, out, &here);
    if (*is_ours)
        *meant = (struct address){
            .kind = ADDRESS_DOMAIN, .is_utf8 = a->is_utf8, .local = a->local, .domain = here};
    else if (!f.kind && a->kind == ADDRESS_POSTMASTER)
        return fault_make(550, FAULT_STATUS(5, 1, 1), "no postmaster");
    return f;
}

/* The address that a bounce to a rewritten sender of ours goes back to takes its place. */
static struct fault reverse_rcpt(const struct session *s, struct address *a, struct arena *scratch,
                                 bool *is_bounce)
{
    struct directory_recipients found;
    struct srs_secrets secrets;
    bool is_ours = false;
    if (a->kind != ADDRESS_DOMAIN || !srs_is_rewritten(a->local))
        return FINE;
    struct fault f = expand(s, STR("postmaster"), a->domain, scratch, &is_ours, &found);
    if (f.kind == FAULT_LATER)
        return f;
    srs_ring_get(s->visitor.server->srs, &secrets);
    const struct recipient_bounce b = {.conf = s->visitor.live->conf,
                                       .secrets = &secrets,
                                       .is_ours = is_ours,
                                       .has_sender = s->transaction.envelope.sender.n > 0,
                                       .now_s = clock_real_ms() / 1000};
    f = recipient_reverse(&b, scratch, a, is_bounce);
    explicit_bzero(&secrets, sizeof secrets);
    return f;
}

/* Strangers hear themselves that there is no room: a notice could reach somebody who has sent nothing. */
static struct fault check_room(const struct session *s, const struct directory_recipient *mailbox,
                               uint64_t size_bytes)
{
    if (mailbox->quota_bytes > 0 && size_bytes > (uint64_t)mailbox->quota_bytes)
        return fault_make(552, FAULT_STATUS(5, 2, 2), "the message is larger than the mailbox");
    if (full_mailboxes_has(s->visitor.server->full, mailbox->address, size_bytes,
                           loop_now_ms(loop_current())))
        return fault_make(452, FAULT_STATUS(4, 2, 2), "the mailbox is full");
    return FINE;
}

struct fault session_check_room(const struct session *s, uint64_t size_bytes)
{
    const struct transaction *t = &s->transaction;
    return t->sole.address.n > 0 && t->envelope.rcpt_count == 1
               ? check_room(s, &t->sole, size_bytes)
               : FINE;
}

static void keep_sole(struct transaction *t, const struct directory_recipient *mailbox)
{
    t->sole = (struct directory_recipient){0};
    if (mailbox && t->asked_rcpts == 0)
        t->sole = (struct directory_recipient){.address = arena_copy(&t->arena, mailbox->address),
                                               .quota_bytes = mailbox->quota_bytes};
}

/* What is allocated in scratch goes when the command is answered, or a client that asks for ever
 * would fill the memory of its transaction. */
static struct fault decide_rcpt(struct session *s, const struct smtp_rcpt *asked,
                                struct arena *scratch)
{
    const struct conf *conf = s->visitor.live->conf;
    struct directory_recipients expanded;
    struct address meant;
    struct smtp_rcpt reversed = *asked;
    const struct smtp_rcpt *rcpt = &reversed;
    bool is_ours, is_bounce = false;
    struct fault f = reverse_rcpt(s, &reversed.address, scratch, &is_bounce);
    if (f.kind)
        return f;
    f = expand_rcpt(s, &rcpt->address, scratch, &is_ours, &expanded, &meant);
    bool may_relay = s->account.n > 0 || s->visitor.is_trusted || is_bounce;
    bool has_mailbox = !f.kind && is_ours;
    bool is_report = conf_is_report_address(conf, rcpt->address.local, rcpt->address.domain);
    f = recipient_judge(conf, &rcpt->address, may_relay, is_ours, &f);
    if (f.kind)
        return f;
    f = session_pass_rcpt(s, address_text(scratch, &asked->address));
    if (!f.kind)
        f = session_filter_rcpt(s, asked);
    if (f.kind)
        return f;
    bool is_sole = is_ours && !may_relay && expanded.count == 1 && expanded.item[0].account.n > 0;
    if (is_sole)
        f = check_room(s, &expanded.item[0], s->transaction.announced_size);
    if (f.kind)
        return f;
    keep_sole(&s->transaction, is_sole ? &expanded.item[0] : NULL);
    s->transaction.is_report |= is_report;
    if (is_report && !has_mailbox)
        return FINE; /* it is read, and no mailbox gets it */
    return is_ours ? take_expanded(s, rcpt, &meant, &expanded, scratch)
                   : take_as_is(s, rcpt, scratch);
}

struct fault session_add_rcpt(struct session *s, const struct smtp_rcpt *rcpt, bool is_trial)
{
    struct arena scratch = arena_make(EXPANSION_LIMIT);
    const struct address *a = &rcpt->address;
    struct directory_recipients expanded;
    struct address meant;
    bool is_ours;
    struct fault f = expand_rcpt(s, a, &scratch, &is_ours, &expanded, &meant);
    f = recipient_judge(s->visitor.live->conf, a, true, is_ours, &f);
    if (!f.kind && s->transaction.envelope.rcpt_count >= ENVELOPE_RCPT_MAX)
        f = fault_make(452, FAULT_STATUS(4, 5, 3), "too many recipients");
    if (!f.kind && !is_trial)
        f = is_ours ? take_expanded(s, rcpt, &meant, &expanded, &scratch)
                    : take_as_is(s, rcpt, &scratch);
    arena_free(&scratch);
    return f;
}

/* Takes the recipients away that are that address. */
static void remove_rcpts(struct transaction *t, struct str address)
{
    struct queue_envelope *e = &t->envelope;
    size_t kept = 0;
    for (size_t i = 0; i < e->rcpt_count; i++) {
        bool is_it = str_equal_nocase(e->rcpt[i].address, address);
        if (is_it && e->rcpt[i].notify & QUEUE_NOTIFY_EXPANDED)
            t->alias_count--;
        if (!is_it)
            e->rcpt[kept++] = e->rcpt[i];
    }
    e->rcpt_count = kept;
    map_free(&t->rcpt_seen);
    for (size_t i = 1; i < kept; i++)
        if (!find_rcpt(t, e->rcpt[i].address))
            note_rcpt(t, i);
}

struct fault session_delete_rcpt(struct session *s, const struct address *a)
{
    struct arena scratch = arena_make(EXPANSION_LIMIT);
    struct directory_recipients expanded;
    struct address meant;
    bool is_ours;
    struct fault f = expand_rcpt(s, a, &scratch, &is_ours, &expanded, &meant);
    if (!f.kind && is_ours)
        for (size_t i = 0; i < expanded.count; i++)
            remove_rcpts(&s->transaction, expanded.item[i].address);
    remove_rcpts(&s->transaction, address_text(&scratch, a));
    arena_free(&scratch);
    return FINE;
}

static void tell_refused(const struct session *s, const struct smtp_rcpt *rcpt,
                         const struct fault *f, struct arena *scratch)
{
    struct event e;
    session_begin_event(s, &e, "smtp.rcpt.refused");
    event_text(&e, "from", s->transaction.envelope.sender);
    event_text(&e, "to", address_text(scratch, &rcpt->address));
    event_fault(&e, f);
    event_end(&e);
}

struct fault session_on_rcpt(struct session *s, const struct smtp_rcpt *rcpt)
{
    struct arena scratch = arena_make(EXPANSION_LIMIT);
    struct fault f = decide_rcpt(s, rcpt, &scratch);
    struct transaction *t = &s->transaction;
    if (f.kind) {
        tell_refused(s, rcpt, &f, &scratch);
        session_filter_refused_rcpt(s, rcpt, &f);
    } else if (t->asked_rcpts++ == 0)
        t->only_rcpt = address_copy(&t->arena, &rcpt->address);
    arena_free(&scratch);
    return f;
}
