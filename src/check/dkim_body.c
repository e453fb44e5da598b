/* SPDX-License-Identifier: ISC */
/*
 * dkim_body.c - the hashes of a body that signatures want (RFC 6376 3.7)
 *
 * A form has one digest that runs; where a hash is wanted of the first octets alone, a copy of it is finished there.
 */
#include "check/dkim_body.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "check/dkim_hash.h"

struct want {
    enum dkim_canon canon;
    uint64_t length;
    bool is_made;
    unsigned char hash[DKIM_HASH_SIZE];
};

struct form {
    struct dkim_body *body;
    EVP_MD_CTX *digest; /* NULL: nobody wants this form */
    uint64_t octets;
    struct dkim_canon_body canon;
};

struct dkim_body {
    bool has_begun, has_ended;
    size_t want_count;
    struct want want[DKIM_BODY_WANTS_MAX];
    struct form form[DKIM_RELAXED + 1];
};

struct dkim_body *dkim_body_make(void)
{
    struct dkim_body *b = calloc(1, sizeof *b);
    if (!b)
        abort();
    return b;
}

void dkim_body_free(struct dkim_body *b)
{
    if (!b)
        return;
    for (int i = DKIM_SIMPLE; i <= DKIM_RELAXED; i++)
        EVP_MD_CTX_free(b->form[i].digest);
    free(b);
}

/* OpenSSL's digests fail for want of memory alone. */
static void must(int is_done)
{
    if (is_done != 1)
        abort();
}

/* The hash of what has come so far; what comes is hashed on behind it. */
static void take_hash(const struct form *f, struct want *w)
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    must(copy && EVP_MD_CTX_copy_ex(copy, f->digest) == 1);
    must(EVP_DigestFinal_ex(copy, w->hash, NULL));
    EVP_MD_CTX_free(copy);
    w->is_made = true;
}

/* The next length at which a hash of this form is due, at or behind where it is. */
static uint64_t next_stop(const struct form *f)
{
    uint64_t stop = DKIM_BODY_WHOLE;
    for (size_t i = 0; i < f->body->want_count; i++) {
        const struct want *w = &f->body->want[i];
        if (w->canon == f->canon.canon && !w->is_made && w->length < stop)
            stop = w->length;
    }
    return stop;
}

static void take_stops(const struct form *f, uint64_t length)
{
    for (size_t i = 0; i < f->body->want_count; i++) {
        struct want *w = &f->body->want[i];
        if (w->canon == f->canon.canon && !w->is_made && w->length == length)
            take_hash(f, w);
    }
}

static void take_last(const struct form *f)
{
    for (size_t i = 0; i < f->body->want_count; i++) {
        struct want *w = &f->body->want[i];
        if (w->canon == f->canon.canon && w->length == DKIM_BODY_WHOLE) {
            must(EVP_DigestFinal_ex(f->digest, w->hash, NULL));
            w->is_made = true;
        }
    }
}

static void hash_piece(void *context, struct str piece)
{
    struct form *f = context;
    while (piece.n > 0) {
        uint64_t left = next_stop(f) - f->octets;
        struct str part = str_head(piece, left < piece.n ? (size_t)left : piece.n);
        must(EVP_DigestUpdate(f->digest, part.p, part.n));
        f->octets += part.n;
        piece = str_skip(piece, part.n);
        take_stops(f, f->octets);
    }
}

int dkim_body_want(struct dkim_body *b, enum dkim_canon canon, uint64_t length)
{
    struct form *f = &b->form[canon];
    assert(!b->has_begun);
    for (size_t i = 0; i < b->want_count; i++)
        if (b->want[i].canon == canon && b->want[i].length == length)
            return (int)i;
    if (b->want_count == DKIM_BODY_WANTS_MAX)
        return -1;
    if (!f->digest) {
        f->body = b;
        f->canon = dkim_canon_body(canon, (struct dkim_sink){hash_piece, f});
        f->digest = dkim_hash_begin();
    }
    b->want[b->want_count] = (struct want){.canon = canon, .length = length};
    if (length == 0)
        take_hash(f, &b->want[b->want_count]);
    return (int)b->want_count++;
}

void dkim_body_feed(struct dkim_body *b, struct str in)
{
    assert(!b->has_ended);
    b->has_begun = true;
    for (int i = DKIM_SIMPLE; i <= DKIM_RELAXED; i++)
        if (b->form[i].digest)
            dkim_canon_feed(&b->form[i].canon, in);
}

void dkim_body_end(struct dkim_body *b)
{
    assert(!b->has_ended);
    b->has_begun = b->has_ended = true;
    for (int i = DKIM_SIMPLE; i <= DKIM_RELAXED; i++)
        if (b->form[i].digest) {
            dkim_canon_end(&b->form[i].canon);
            take_last(&b->form[i]);
        }
}

struct str dkim_body_hash(const struct dkim_body *b, int want, uint64_t *octets)
{
    assert(b->has_ended && want >= 0 && (size_t)want < b->want_count);
    const struct want *w = &b->want[want];
    *octets = b->form[w->canon].octets;
    return w->is_made ? str_make((const char *)w->hash, sizeof w->hash) : STR_NONE;
}
