/* SPDX-License-Identifier: ISC */
/*
 * fuzz_dkim_sign.c - what is signed holds however the body is cut, and no longer when something is added to the body or
 * the header
 */
#include "check/dkim_sign.h"

#include <openssl/evp.h>

#include "check/dkim_key.h"
#include "check/dkim_verify.h"
#include "fuzz.h"
#include "fuzz_asker.h"
#include "mail/header.h"

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

static void check(struct str section, struct str body, EVP_PKEY *key, uint32_t seed)
{
    struct buf field = buf_make(1 << 16), all = buf_make(section.n + (1 << 16));
    struct buf record = buf_make(1000);
    must(dkim_key_append_record(key, &record));
    struct str text = buf_str(&record);
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
    buf_free(&record);
}

const struct fuzz_memory fuzz_memory = {.factor = 64, .base = 2 << 20};

void fuzz_one(struct str in)
{
    static const unsigned char secret[32] = "thirty-two octets of a secret...";
    uint8_t seed = take_octet(&in);
    size_t size = header_size(in);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
    must(key != NULL);
    if (in.n < 1 << 15)
        check(str_head(in, size), str_skip(in, size), key, seed);
    EVP_PKEY_free(key);
}
