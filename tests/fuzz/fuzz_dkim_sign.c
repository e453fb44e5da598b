/* SPDX-License-Identifier: ISC */
/*
 * fuzz_dkim_sign.c - what is signed holds however the body is cut, and no longer when something is added to the body or
 * the header
 *
 * Ed25519 costs more than all the rest and does not concern what is parsed: of the values that the first octet may have
 * one in REAL_PERIOD signs with it, the others with a signature that is the hash twice.
 */
#include "check/dkim_sign.h"

#include <openssl/evp.h>

#include "check/dkim_key.h"
#include "check/dkim_verify.h"
#include "fuzz.h"
#include "fuzz_asker.h"
#include "mail/header.h"

enum { REAL_PERIOD = 32, RECORD_MAX = 200 };

static bool is_real;

bool __real_dkim_key_sign(EVP_PKEY *key, const unsigned char hash[DKIM_HASH_SIZE], struct buf *out);
bool __wrap_dkim_key_sign(EVP_PKEY *key, const unsigned char hash[DKIM_HASH_SIZE], struct buf *out);
bool __real_dkim_key_verify(EVP_PKEY *key, struct str signature,
                            const unsigned char hash[DKIM_HASH_SIZE]);
bool __wrap_dkim_key_verify(EVP_PKEY *key, struct str signature,
                            const unsigned char hash[DKIM_HASH_SIZE]);

bool __wrap_dkim_key_sign(EVP_PKEY *key, const unsigned char hash[DKIM_HASH_SIZE], struct buf *out)
{
    struct str half = str_make((const char *)hash, DKIM_HASH_SIZE);
    return is_real ? __real_dkim_key_sign(key, hash, out)
                   : buf_append(out, half) && buf_append(out, half);
}

bool __wrap_dkim_key_verify(EVP_PKEY *key, struct str signature,
                            const unsigned char hash[DKIM_HASH_SIZE])
{
    struct str half = str_make((const char *)hash, DKIM_HASH_SIZE);
    return is_real ? __real_dkim_key_verify(key, signature, hash)
                   : signature.n == 2 * half.n && str_starts(signature, half) &&
                         str_equal(str_skip(signature, half.n), half);
}

static void feed(struct dkim_body *b, struct str body, struct str more, uint32_t cut)
{
    while (body.n > 0)
        dkim_body_feed(b, take_cut(&body, &cut));
    dkim_body_feed(b, more);
    dkim_body_end(b);
}

static bool sign(struct str section, struct str body, EVP_PKEY *key, struct buf *out)
{
    const struct dkim_sign_key keys[] = {{key, STR("s")}};
    const struct dkim_sign_options options = {
        .domain = STR("a.example"), .now_s = 1, .keys = keys, .key_count = 1};
    struct dkim_body *b = dkim_body_make();
    struct dkim_signer *s = dkim_sign_begin(section, b, &options);
    feed(b, body, STR(""), CUT_WHOLE);
    if (s)
        must(dkim_sign_finish(s, out));
    bool is_signed = s != NULL;
    dkim_sign_free(s);
    dkim_body_free(b);
    return is_signed;
}

/* What comes of the first signature. */
static enum dkim_result verify(struct str section, struct str body, struct str more,
                               struct str record, uint32_t cut)
{
    const struct dkim_verify_options options = {.now_s = 1};
    struct arena arena = arena_make(1 << 16);
    struct asker asker = {answer_record, &record, &arena, 40};
    struct dkim_body *b = dkim_body_make();
    struct dkim_verifier *v = dkim_verify_begin(section, b, &options);
    feed(b, body, more, cut);
    dkim_verify_fetch(v, &asker);
    dkim_verify_finish(v, NULL);
    must(dkim_verify_count(v) > 0);
    enum dkim_result result = dkim_verify_verdict(v, 0)->result;
    dkim_verify_free(v);
    dkim_body_free(b);
    arena_free(&arena);
    return result;
}

static void put_together(struct buf *out, struct str front, struct str back)
{
    out->used = 0;
    must(buf_append(out, front) && buf_append(out, back));
}

static void check(struct str section, struct str body, EVP_PKEY *key, struct str text,
                  uint32_t seed)
{
    struct buf field = buf_make(1 << 16), all = buf_make(section.n + (1 << 16));
    if (sign(section, body, key, &field)) {
        put_together(&all, buf_str(&field), section);
        must(verify(buf_str(&all), body, STR(""), text, CUT_WHOLE) == DKIM_PASS);
        must(verify(buf_str(&all), body, STR(""), text, CUT_RANDOM + seed) == DKIM_PASS);
        must(verify(buf_str(&all), body, STR("x\r\n"), text, CUT_WHOLE) == DKIM_FAIL);
        must(buf_append(&field, STR("Subject: more\r\n")));
        put_together(&all, buf_str(&field), section);
        must(verify(buf_str(&all), body, STR(""), text, CUT_WHOLE) == DKIM_FAIL);
    }
    buf_free(&field);
    buf_free(&all);
}

/* The record stays behind in text. */
static EVP_PKEY *make_key(char text[RECORD_MAX], struct str *record)
{
    static const unsigned char secret[32] = "thirty-two octets of a secret...";
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
    struct buf out = buf_make(RECORD_MAX);
    must(key && dkim_key_append_record(key, &out));
    memcpy(text, out.data, out.used);
    *record = str_make(text, out.used);
    buf_free(&out);
    return key;
}

const struct fuzz_memory fuzz_memory = {.factor = 64, .base = 2 << 20};

void fuzz_one(struct str in)
{
    static EVP_PKEY *key;
    static char text[RECORD_MAX];
    static struct str record;
    uint8_t seed = take_octet(&in);
    size_t size = header_size(in);
    if (!key)
        key = make_key(text, &record);
    is_real = seed % REAL_PERIOD == REAL_PERIOD - 1;
    if (in.n < 1 << 15)
        check(str_head(in, size), str_skip(in, size), key, record, seed);
}
