/* SPDX-License-Identifier: ISC */
/*
 * dkim_verify.c - the signatures of a message (RFC 6376 6)
 *
 * Each signature goes through the steps of 6.1.1 (its field), 6.1.2 (its key) and 6.1.3 (the hashes) until one of them
 * decides.
 */
#include "check/dkim_verify.h"

#include <assert.h>
#include <stdlib.h>

#include "check/dkim_signature.h"

enum { PREFIX_MIN = 8, PREFIX_MAX = 64, USUAL_ROOM = 6 * 1024 /* of one or two signatures */ };

struct entry {
    struct dkim_signature signature;
    struct dkim_finding finding; /* NONE until something decides */
    struct dkim_keys keys;
    int want; /* hash of the body; -1: none */
    struct dkim_verdict verdict;
};

struct dkim_verifier {
    struct dkim_verify_options options;
    struct dkim_body *body;
    struct arena arena;
    struct dkim_fields fields;
    bool is_fetched, is_finished;
    size_t count;
    struct entry *entry; /* one for each that is reported */
};

enum { ENTRIES_ROOM = DKIM_VERDICTS_MAX * sizeof(struct entry) };

static void read_entry(struct dkim_verifier *v, const struct dkim_selected *selected)
{
    struct entry *e = &v->entry[v->count++];
    e->want = -1;
    e->finding = dkim_signature_read(selected->field, DKIM_SIGNATURE, &v->arena, &e->signature);
    if (!selected->is_checked)
        e->finding = (struct dkim_finding){DKIM_POLICY, "more than 8 signatures"};
    if (!e->finding.result)
        e->finding = dkim_signature_check_time(&e->signature, v->options.now_s);
    if (e->finding.result)
        return;
    e->want = dkim_body_want(v->body, e->signature.body_canon, e->signature.length);
    if (e->want < 0)
        e->finding =
            (struct dkim_finding){DKIM_POLICY, "too many different parts of the body are signed"};
}

static void report_section(struct dkim_verifier *v, struct str section)
{
    struct header_field field;
    if (!header_find(section, STR("DKIM-Signature"), &field))
        return;
    v->count = 1;
    v->entry = arena_alloc(&v->arena, sizeof *v->entry);
    v->entry[0].want = -1;
    v->entry[0].finding = (struct dkim_finding){DKIM_POLICY, "the header section is too large"};
}

struct dkim_verifier *dkim_verify_begin(struct str section, struct dkim_body *body,
                                        const struct dkim_verify_options *options)
{
    struct dkim_verifier *v = calloc(1, sizeof *v);
    if (!v)
        abort();
    v->options = *options;
    v->body = body;
    v->arena =
        arena_make(DKIM_FIELDS_ROOM + ENTRIES_ROOM + DKIM_VERDICTS_MAX * DKIM_SIGNATURE_ROOM);
    arena_reserve(&v->arena, USUAL_ROOM);
    if (!dkim_fields_read(section, &v->arena, &v->fields)) {
        report_section(v, section);
        return v;
    }
    struct dkim_selected selected[DKIM_VERDICTS_MAX];
    size_t count = dkim_select(&v->fields, selected);
    v->entry = arena_alloc(&v->arena, count * sizeof *v->entry);
    for (size_t i = 0; i < count; i++)
        read_entry(v, &selected[i]);
    return v;
}

void dkim_verify_free(struct dkim_verifier *v)
{
    if (!v)
        return;
    arena_free(&v->arena);
    free(v);
}

void dkim_verify_fetch(struct dkim_verifier *v, struct asker *asker)
{
    assert(!v->is_fetched);
    v->is_fetched = true;
    for (size_t i = 0; i < v->count; i++) {
        struct entry *e = &v->entry[i];
        if (!e->finding.result)
            dkim_signature_fetch(&e->signature, v->options.is_tls_report, asker, &v->arena,
                                 &e->keys);
    }
}

/* The part of the body that was signed (3.5 l=, 3.7). */
static struct dkim_finding check_body(const struct dkim_verifier *v, const struct entry *e)
{
    uint64_t octets;
    struct str hash = dkim_body_hash(v->body, e->want, &octets);
    if (hash.n == 0)
        return (struct dkim_finding){DKIM_FAIL, "the body is shorter than was signed"};
    if (!str_equal(hash, e->signature.body_hash))
        return (struct dkim_finding){DKIM_FAIL, "the body is not what was signed"};
    return (struct dkim_finding){DKIM_NONE, ""};
}

static struct dkim_finding check_hashes(const struct dkim_verifier *v, struct entry *e,
                                        const struct dkim_key_opener *opener)
{
    const struct dkim_signature *s = &e->signature;
    const struct dkim_choice choice = {s->header_canon, s->names, s->field, s->left_out};
    unsigned char hash[DKIM_HASH_SIZE];
    struct dkim_finding f = check_body(v, e);
    if (f.result)
        return f;
    dkim_fields_hash(&v->fields, &choice, hash);
    f = dkim_signature_verify(s, &e->keys, opener, hash, &e->verdict.key_bits);
    if (f.result == DKIM_PASS && e->verdict.uncovered_octets > 0 && !v->options.may_pass_partial)
        return (struct dkim_finding){DKIM_POLICY, "a part of the body is not signed (l=)"};
    return f;
}

static void measure_uncovered(const struct dkim_verifier *v, struct entry *e)
{
    uint64_t octets;
    e->verdict.has_length = e->signature.length != DKIM_BODY_WHOLE;
    if (e->want < 0 || !e->verdict.has_length)
        return;
    dkim_body_hash(v->body, e->want, &octets);
    if (octets > e->signature.length)
        e->verdict.uncovered_octets = octets - e->signature.length;
}

static void decide(const struct dkim_verifier *v, struct entry *e,
                   const struct dkim_key_opener *opener)
{
    measure_uncovered(v, e);
    if (!e->finding.result)
        e->finding = e->keys.finding;
    if (!e->finding.result)
        e->finding = check_hashes(v, e, opener);
    const struct dkim_signature *s = &e->signature;
    struct dkim_verdict *verdict = &e->verdict;
    verdict->result = e->finding.result;
    verdict->reason = e->finding.reason;
    verdict->domain = s->domain;
    verdict->selector = s->selector;
    verdict->identity = s->identity;
    verdict->algorithm = s->algorithm ? s->algorithm : "";
    verdict->is_testing = e->keys.count > 0 && e->keys.key[0].is_testing;
    verdict->is_key_secure = e->keys.is_secure;
    verdict->signed_at = s->signed_at;
    verdict->expires_at = s->expires_at;
}

/* The shortest beginning of b= that no other signature has, within reason (RFC 6008). */
static struct str prefix(const struct dkim_verifier *v, size_t of)
{
    struct str text = v->entry[of].signature.text;
    size_t n = PREFIX_MIN;
    for (size_t i = 0; i < v->count; i++)
        while (i != of && n < PREFIX_MAX && n < text.n &&
               str_starts(v->entry[i].signature.text, str_head(text, n)))
            n++;
    return str_head(text, n);
}

size_t dkim_verify_key_count(const struct dkim_verifier *v)
{
    size_t count = 0;
    for (size_t i = 0; i < v->count; i++)
        if (!v->entry[i].finding.result && !v->entry[i].keys.finding.result)
            count += v->entry[i].keys.count;
    return count;
}

void dkim_verify_finish(struct dkim_verifier *v, const struct dkim_key_opener *opener)
{
    assert(v->is_fetched && !v->is_finished);
    v->is_finished = true;
    for (size_t i = 0; i < v->count; i++) {
        decide(v, &v->entry[i], opener);
        v->entry[i].verdict.b = prefix(v, i);
    }
}

size_t dkim_verify_count(const struct dkim_verifier *v)
{
    return v->count;
}

const struct dkim_verdict *dkim_verify_verdict(const struct dkim_verifier *v, size_t i)
{
    assert(v->is_finished && i < v->count);
    return &v->entry[i].verdict;
}
