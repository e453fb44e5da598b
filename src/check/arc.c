/* SPDX-License-Identifier: ISC */
/*
 * arc.c - the Authenticated Received Chain of a message (RFC 8617 5.2)
 *
 * A seal covers all sets up to its own, so what is hashed for one is the beginning of what is hashed for the next: one
 * digest runs through the sets, and a copy of it is finished at each seal.
 */
#include "check/arc.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/num.h"
#include "check/dkim_hash.h"
#include "check/dkim_signature.h"
#include "check/tag_list.h"

enum { INSTANCE_DIGITS = 2 };

enum part { ARC_RESULTS, ARC_MESSAGE, ARC_SEAL, PART_COUNT };

struct set {
    const struct header_field *part[PART_COUNT];
    struct dkim_signature seal, message;
    struct dkim_keys keys, message_keys;
    int want; /* hash of the body for the message signature; -1: it cannot hold */
};

struct arc_verifier {
    struct dkim_body *body;
    struct arena arena;
    struct dkim_fields fields;
    bool is_fetched, is_finished;
    size_t count;
    struct arc_verdict verdict;
    struct set *set; /* ARC_SETS_MAX; NULL where no field of ARC is there */
};

enum { SETS_ROOM = ARC_SETS_MAX * sizeof(struct set) };

const char *arc_result_name(enum arc_result result)
{
    return result == ARC_PASS ? "pass" : result == ARC_FAIL ? "fail" : "none";
}

/* The first reason stays. */
static bool fail(struct arc_verifier *v, size_t instance, const char *reason)
{
    if (v->verdict.result != ARC_FAIL) {
        v->verdict.result = ARC_FAIL;
        v->verdict.instance = instance;
        v->verdict.reason = reason;
    }
    return false;
}

static bool find_part(struct str name, enum part *out)
{
    static const char *const names[PART_COUNT] = {
        [ARC_RESULTS] = "ARC-Authentication-Results",
        [ARC_MESSAGE] = "ARC-Message-Signature",
        [ARC_SEAL] = "ARC-Seal",
    };
    for (int i = 0; i < PART_COUNT; i++)
        if (str_equal_nocase(name, str_from(names[i]))) {
            *out = (enum part)i;
            return true;
        }
    return false;
}

/* Most messages have nothing of ARC: for them nothing is made ready. */
static bool has_chain(struct str section)
{
    struct header_iterator i = header_iterate(section);
    struct header_field field;
    enum part part;
    while (header_next(&i, &field))
        if (find_part(field.name, &part))
            return true;
    return false;
}

/* Instance of a field: tag i= of the signatures, and the first tag of the results (4.1.1). 0: it has none. */
static size_t read_instance(const struct header_field *field, enum part part)
{
    struct str rest = field->value;
    struct tag tag;
    uint64_t instance = 0;
    enum tag_found found;
    do {
        found = tag_next(&rest, &tag);
        if (found == TAG_GOOD && str_equal(tag.name, STR("i"))) {
            bool is_number =
                tag.value.n <= INSTANCE_DIGITS && num_parse(tag.value, ARC_SETS_MAX, &instance);
            return is_number ? (size_t)instance : 0;
        }
    } while (found != TAG_END && part != ARC_RESULTS);
    return 0;
}

/* Every field of ARC into its set (5.2 steps 1 and 3). */
static bool collect(struct arc_verifier *v)
{
    enum part part;
    for (size_t i = 0; i < v->fields.count; i++) {
        const struct header_field *field = &v->fields.field[i];
        if (!find_part(field->name, &part))
            continue;
        size_t instance = read_instance(field, part);
        if (instance == 0)
            return fail(v, 0, "a field has no instance from 1 to 50");
        if (v->set[instance - 1].part[part])
            return fail(v, instance, "a field is there twice");
        v->set[instance - 1].part[part] = field;
        if (instance > v->count)
            v->count = instance;
    }
    for (size_t i = 0; i < v->count; i++)
        for (int p = 0; p < PART_COUNT; p++)
            if (!v->set[i].part[p])
                return fail(v, i + 1, "a field is missing");
    return true;
}

/* cv= says what the sealer found: none at first, and pass ever after (5.2 steps 2 and 3). */
static bool check_chain_tag(struct arc_verifier *v, size_t instance, const struct tag_list *list)
{
    const struct tag *cv = tag_list_find(list, "cv");
    if (tag_list_find(list, "h"))
        return fail(v, instance, "the seal has a tag h=");
    if (cv && str_equal(cv->value, STR("fail")))
        return fail(v, instance, "the sealer found that the chain had failed");
    if (!cv || !str_equal(cv->value, instance == 1 ? STR("none") : STR("pass")))
        return fail(v, instance, "cv= is not what it must be there");
    return true;
}

static bool read_seal(struct arc_verifier *v, size_t instance)
{
    struct set *s = &v->set[instance - 1];
    struct tag_list list;
    struct dkim_finding f =
        dkim_signature_read(s->part[ARC_SEAL], DKIM_ARC_SEAL, &v->arena, &s->seal);
    if (f.result)
        return fail(v, instance, f.reason);
    return tag_list_parse(s->part[ARC_SEAL]->value, &list) && check_chain_tag(v, instance, &list);
}

/* The reason why the message signature of the set cannot hold; NULL: it may. */
static const char *read_message(struct arc_verifier *v, struct set *s, int64_t now_s)
{
    struct dkim_finding f =
        dkim_signature_read(s->part[ARC_MESSAGE], DKIM_ARC_MESSAGE, &v->arena, &s->message);
    if (!f.result)
        f = dkim_signature_check_time(&s->message, now_s);
    if (!f.result)
        s->want = dkim_body_want(v->body, s->message.body_canon, s->message.length);
    if (f.result)
        return f.reason;
    return s->want < 0 ? "too many different parts of the body are signed" : NULL;
}

/* Newest first: what the last sealer says of the chain counts before what is wrong with it otherwise. */
static void read_chain(struct arc_verifier *v, int64_t now_s)
{
    bool is_good = collect(v);
    for (size_t i = v->count; i > 0 && is_good; i--)
        is_good = read_seal(v, i);
    if (!is_good || v->count == 0)
        return;
    const char *reason = read_message(v, &v->set[v->count - 1], now_s);
    if (reason)
        fail(v, v->count, reason);
    for (size_t i = v->count - 1; i > 0 && !reason; i--)
        if (read_message(v, &v->set[i - 1], now_s))
            return; /* so it is the oldest that is looked at */
}

struct arc_verifier *arc_verify_begin(struct str section, struct dkim_body *body, int64_t now_s)
{
    struct header_field field;
    struct arc_verifier *v = calloc(1, sizeof *v);
    if (!v)
        abort();
    v->body = body;
    v->verdict.reason = "";
    v->arena = arena_make(DKIM_FIELDS_ROOM + SETS_ROOM + 2 * ARC_SETS_MAX * DKIM_SIGNATURE_ROOM);
    if (!has_chain(section))
        return v;
    v->set = arena_alloc(&v->arena, SETS_ROOM);
    for (size_t i = 0; i < ARC_SETS_MAX; i++)
        v->set[i].want = -1;
    if (dkim_fields_read(section, &v->arena, &v->fields))
        read_chain(v, now_s);
    else if (header_find(section, STR("ARC-Seal"), &field))
        fail(v, 0, "the header section is too large");
    return v;
}

void arc_verify_free(struct arc_verifier *v)
{
    if (!v)
        return;
    arena_free(&v->arena);
    free(v);
}

static bool have_one_key(const struct dkim_signature *a, const struct dkim_signature *b)
{
    return a->kind == b->kind && str_equal(a->domain, b->domain) &&
           str_equal(a->selector, b->selector);
}

static void fetch_seal(struct arc_verifier *v, size_t at, struct asker *asker)
{
    struct set *s = &v->set[at];
    for (size_t i = 0; i < at; i++)
        if (have_one_key(&v->set[i].seal, &s->seal)) {
            s->keys = v->set[i].keys;
            return;
        }
    dkim_signature_fetch(&s->seal, false, asker, &v->arena, &s->keys);
}

/* The key of a seal, mostly that of the same set. False when nobody is to be asked for another one. */
static bool fetch_message(struct arc_verifier *v, struct set *s, bool may_ask, struct asker *asker)
{
    for (size_t i = v->count; i > 0; i--)
        if (have_one_key(&v->set[i - 1].seal, &s->message)) {
            s->message_keys = v->set[i - 1].keys;
            return true;
        }
    if (may_ask)
        dkim_signature_fetch(&s->message, false, asker, &v->arena, &s->message_keys);
    return may_ask;
}

void arc_verify_fetch(struct arc_verifier *v, struct asker *asker)
{
    assert(!v->is_fetched);
    v->is_fetched = true;
    if (v->verdict.result == ARC_FAIL || v->count == 0)
        return;
    for (size_t i = 0; i < v->count; i++)
        fetch_seal(v, i, asker);
    for (size_t i = v->count, asked = 0; i > 0 && v->set[i - 1].want >= 0; i--) {
        unsigned left = asker->left;
        if (!fetch_message(v, &v->set[i - 1], i == v->count || asked < ARC_OLDER_ASKED_MAX, asker))
            v->set[i - 1].want = -1;
        asked += i < v->count && asker->left < left;
    }
}

static bool judge(struct arc_verifier *v, size_t instance, struct dkim_finding f)
{
    if (f.result == DKIM_PASS)
        return true;
    v->verdict.is_temporary = f.result == DKIM_TEMPERROR;
    return fail(v, instance, f.reason);
}

static struct dkim_finding verify_message(const struct arc_verifier *v, const struct set *set,
                                          const struct dkim_key_opener *opener)
{
    const struct dkim_signature *s = &set->message;
    const struct dkim_choice choice = {s->header_canon, s->names, s->field, s->left_out};
    unsigned char hash[DKIM_HASH_SIZE];
    unsigned bits;
    uint64_t octets;
    struct str body = dkim_body_hash(v->body, set->want, &octets);
    if (body.n == 0 || !str_equal(body, s->body_hash))
        return (struct dkim_finding){DKIM_FAIL, "the body is not what was signed"};
    if (s->length < octets)
        return (struct dkim_finding){DKIM_FAIL, "a part of the body is not signed (l=)"};
    dkim_fields_hash(&v->fields, &choice, hash);
    return dkim_signature_verify(s, &set->message_keys, opener, hash, &bits);
}

/* The newest message signature (5.2 step 4); older ones are expected to break. */
static bool check_message(struct arc_verifier *v, const struct dkim_key_opener *opener)
{
    return judge(v, v->count, verify_message(v, &v->set[v->count - 1], opener));
}

/* How far back the message signatures hold: 0 for all. */
static size_t find_oldest_pass(const struct arc_verifier *v, const struct dkim_key_opener *opener)
{
    size_t oldest = v->count;
    while (oldest > 1 && v->set[oldest - 2].want >= 0 &&
           verify_message(v, &v->set[oldest - 2], opener).result == DKIM_PASS)
        oldest--;
    return oldest > 1 ? oldest : 0;
}

/* OpenSSL's digests and small buffers fail for want of memory alone. */
static void must(bool is_done)
{
    if (!is_done)
        abort();
}

static void add(EVP_MD_CTX *digest, struct str field, struct str left_out, bool is_last)
{
    struct buf line = buf_make(SIZE_MAX / 2);
    must(dkim_canon_without(DKIM_RELAXED, field, left_out, &line) &&
         (is_last || buf_append(&line, STR("\r\n"))) &&
         EVP_DigestUpdate(digest, line.data, line.used) == 1);
    buf_free(&line);
}

/* Adds a set to what is hashed; *hash is what its seal signs (5.1.1): it itself is there without b=. */
static void add_set(EVP_MD_CTX *digest, const struct set *s, unsigned char hash[DKIM_HASH_SIZE])
{
    struct str seal = s->part[ARC_SEAL]->whole, nothing = str_make(seal.p + seal.n, 0);
    for (int p = ARC_RESULTS; p < ARC_SEAL; p++) {
        struct str field = s->part[p]->whole;
        add(digest, field, str_make(field.p + field.n, 0), false);
    }
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    must(copy && EVP_MD_CTX_copy_ex(copy, digest) == 1);
    add(copy, seal, s->seal.left_out, true);
    must(EVP_DigestFinal_ex(copy, hash, NULL) == 1);
    EVP_MD_CTX_free(copy);
    add(digest, seal, nothing, false);
}

/* Every seal (5.2 step 6). */
static bool check_seals(struct arc_verifier *v, const struct dkim_key_opener *opener)
{
    bool is_good = true;
    EVP_MD_CTX *digest = dkim_hash_begin();
    for (size_t i = 0; i < v->count && is_good; i++) {
        const struct set *s = &v->set[i];
        unsigned char hash[DKIM_HASH_SIZE];
        unsigned bits;
        add_set(digest, s, hash);
        is_good = judge(v, i + 1, dkim_signature_verify(&s->seal, &s->keys, opener, hash, &bits));
    }
    EVP_MD_CTX_free(digest);
    return is_good;
}

size_t arc_verify_key_count(const struct arc_verifier *v)
{
    return v->verdict.result == ARC_FAIL || v->count == 0 ? 0 : DKIM_KEYS_MAX * (2 * v->count);
}

const struct arc_verdict *arc_verify_finish(struct arc_verifier *v,
                                            const struct dkim_key_opener *opener)
{
    assert(v->is_fetched && !v->is_finished);
    v->is_finished = true;
    if (v->verdict.result == ARC_FAIL || v->count == 0)
        return &v->verdict;
    if (check_message(v, opener) && check_seals(v, opener)) {
        v->verdict.result = ARC_PASS;
        v->verdict.count = v->count;
        v->verdict.oldest_pass = find_oldest_pass(v, opener);
        for (size_t i = 0; i < v->count; i++)
            v->verdict.sealer[i] = v->set[i].seal.domain;
    }
    return &v->verdict;
}
