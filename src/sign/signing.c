/* SPDX-License-Identifier: ISC */
/*
 * signing.c - a message of ours gets the signatures of its author's domain (RFC 6376 5)
 */
#include "sign/signing.h"

#include <stdlib.h>

#include "mail/header.h"
#include "mail/idna.h"
#include "mail/mailbox_list.h"
#include "net/offload.h"

enum { FROM_MAX = 16 << 10, ARENA_LIMIT = 2 << 20 };

struct signing {
    struct arena arena;
    struct key_ring *ring;
    const struct key_set *keys;
    size_t unread; /* octets in front of the body */
    struct dkim_body *body;
    struct dkim_signer *signer;
};

/* The address that counts, in its two parts; false when there is none, or more than one From field. */
static bool find_author(struct str section, struct arena *a, struct str *local, struct str *domain)
{
    struct header_field from;
    struct buf address = buf_make(FROM_MAX);
    if (header_count(section, STR("From"), 2) != 1 || !header_find(section, STR("From"), &from))
        return false;
    struct str rest = str_head(from.value, FROM_MAX);
    bool found = mailbox_list_next(&rest, &address);
    struct str whole = arena_copy(a, buf_str(&address));
    buf_free(&address);
    size_t at = str_last_index(whole, '@');
    *local = str_head(whole, at);
    *domain = str_skip(whole, at + 1);
    return found && at < whole.n && local->n > 0;
}

struct entitlement {
    struct directory *directory;
    struct str account, local, domain;
    bool may;
    struct fault fault;
};

static void ask_entitlement(void *arg)
{
    struct entitlement *e = arg;
    e->fault = directory_may_send_as(e->directory, e->account, e->local, e->domain, &e->may);
}

static struct fault check_account(const struct signing_order *order, struct str local,
                                  struct str domain)
{
    struct str own = str_skip(order->account, str_last_index(order->account, '@') + 1);
    if (order->account.n == 0 || str_equal_nocase(own, domain))
        return FINE;
    struct entitlement e = {.directory = key_ring_directory(order->ring),
                            .account = order->account,
                            .local = local,
                            .domain = domain};
    offload(ask_entitlement, &e);
    if (e.fault.kind || e.may)
        return e.fault;
    return fault_make(550, FAULT_STATUS(5, 7, 1),
                      "the address in From is neither yours nor of your domain");
}

/* The keys of the domain, or for a notice of the nearest one above it that is ours; NULL when there is none. */
static const struct key_set *find_keys(const struct signing_order *order, struct str domain)
{
    struct str label;
    do {
        const struct key_set *keys = key_ring_get(order->ring, domain);
        if (keys->is_ours || keys->fault.kind)
            return keys;
        key_ring_give(order->ring, keys);
    } while (order->is_notice && str_cut(domain, '.', &label, &domain));
    return NULL;
}

static struct fault start(const struct signing_order *order, size_t skip, struct str section,
                          struct signing *s)
{
    const struct dkim_sign_options options = {.domain = s->keys->domain,
                                              .now_s = order->now_s,
                                              .keys = s->keys->key,
                                              .key_count = s->keys->count};
    s->unread = skip + section.n;
    s->body = dkim_body_make();
    s->signer = dkim_sign_begin(arena_copy(&s->arena, section), s->body, &options);
    return s->signer ? FINE
                     : fault_make(554, FAULT_STATUS(5, 6, 0),
                                  "the header section is larger than can be signed");
}

struct fault signing_begin(const struct signing_order *order, size_t skip, struct str section,
                           struct signing **out)
{
    char ascii[IDNA_DOMAIN_MAX];
    struct str local, said;
    struct arena a = arena_make(ARENA_LIMIT);
    *out = NULL;
    struct str domain =
        find_author(section, &a, &local, &said) ? idna_to_ascii(said, ascii) : STR_NONE;
    const struct key_set *keys = domain.n > 0 ? find_keys(order, domain) : NULL;
    if (!keys) {
        arena_free(&a);
        return FINE;
    }
    struct signing *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->ring = order->ring;
    s->keys = keys;
    struct fault f = check_account(order, local, domain);
    if (!f.kind && keys->count == 0)
        f = keys->fault;
    s->arena = a;
    if (!f.kind)
        f = start(order, skip, section, s);
    if (f.kind)
        signing_free(s);
    else
        *out = s;
    return f;
}

void signing_add(struct signing *s, struct str piece)
{
    size_t front = s->unread < piece.n ? s->unread : piece.n;
    s->unread -= front;
    dkim_body_feed(s->body, str_skip(piece, front));
}

struct finishing {
    struct signing *signing;
    struct buf *out;
    bool is_signed;
};

static void finish(void *arg)
{
    struct finishing *f = arg;
    dkim_body_end(f->signing->body);
    f->is_signed = dkim_sign_finish(f->signing->signer, f->out);
}

struct fault signing_finish(struct signing *s, struct buf *out)
{
    struct finishing f = {s, out, false};
    offload(finish, &f);
    return f.is_signed
               ? FINE
               : fault_make(451, FAULT_STATUS(4, 7, 5), "a key of " STR_FMT " does not sign",
                            STR_ARG(str_head(s->keys->domain, 120)));
}

void signing_free(struct signing *s)
{
    if (!s)
        return;
    dkim_sign_free(s->signer);
    dkim_body_free(s->body);
    key_ring_give(s->ring, s->keys);
    arena_free(&s->arena);
    free(s);
}

size_t signing_size(struct str message)
{
    struct header_field field;
    struct header_iterator i = header_iterate(message);
    size_t size = 0;
    while (header_next(&i, &field) && str_equal_nocase(field.name, STR("DKIM-Signature")))
        size += field.whole.n;
    return size;
}
