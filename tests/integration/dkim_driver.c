/* SPDX-License-Identifier: ISC */
/*
 * dkim_driver.c - the room of DKIM and ARC behind a pipe, for test_dkim_peers.py
 *
 * dkim_driver RSA.pem ED25519.pem: each request is a line "VERB NOW MESSAGE_OCTETS ZONE_OCTETS" and these octets; the
 * zone is written as tests/unit/fake_zone.h reads it. The answers: "verify" and "arc" a line of results, "sign" a number
 * of octets and the fields of both keys, for d=example.com with the selectors rsa and ed.
 */
#include <openssl/evp.h>

#include "../unit/fake_zone.h"
#include "check/arc.h"
#include "check/dkim_sign.h"
#include "check/dkim_verify.h"
#include "mail/header.h"
#include "os/key_pair.h"

enum { MESSAGE_MAX = 1 << 24 };

static void feed(struct dkim_body *body, struct str message)
{
    struct str rest = str_skip(message, header_size(message));
    uint32_t seed = (uint32_t)message.n;
    while (rest.n > 0) {
        seed = seed * 1664525U + 1013904223U;
        struct str piece = str_head(rest, 1 + (seed >> 20));
        dkim_body_feed(body, piece);
        rest = str_skip(rest, piece.n);
    }
    dkim_body_end(body);
}

static void verify(struct str message, struct asker *asker, int64_t now_s)
{
    const struct dkim_verify_options options = {.now_s = now_s, .may_pass_partial = true};
    struct dkim_body *body = dkim_body_make();
    struct str section = str_head(message, header_size(message));
    struct dkim_verifier *v = dkim_verify_begin(section, body, &options);
    feed(body, message);
    dkim_verify_fetch(v, asker);
    dkim_verify_finish(v, NULL);
    for (size_t i = 0; i < dkim_verify_count(v); i++) {
        const struct dkim_verdict *d = dkim_verify_verdict(v, i);
        printf("%s%s %s", i > 0 ? "|" : "", dkim_result_name(d->result), d->reason);
    }
    printf("\n");
    dkim_verify_free(v);
    dkim_body_free(body);
}

static void verify_arc(struct str message, struct asker *asker, int64_t now_s)
{
    struct dkim_body *body = dkim_body_make();
    struct str section = str_head(message, header_size(message));
    struct arc_verifier *v = arc_verify_begin(section, body, now_s);
    feed(body, message);
    arc_verify_fetch(v, asker);
    const struct arc_verdict *verdict = arc_verify_finish(v, NULL);
    printf("%s %s\n", arc_result_name(verdict->result), verdict->reason);
    arc_verify_free(v);
    dkim_body_free(body);
}

static void sign(struct str message, const struct dkim_sign_key keys[2], int64_t now_s)
{
    const struct dkim_sign_options options = {
        .domain = STR("example.com"), .now_s = now_s, .keys = keys, .key_count = 2};
    struct dkim_body *body = dkim_body_make();
    struct buf out = buf_make(MESSAGE_MAX);
    struct dkim_signer *s =
        dkim_sign_begin(str_head(message, header_size(message)), body, &options);
    feed(body, message);
    if (s && !dkim_sign_finish(s, &out))
        abort();
    printf("%zu\n", out.used);
    fwrite(out.data ? out.data : "", 1, out.used, stdout);
    dkim_sign_free(s);
    dkim_body_free(body);
    buf_free(&out);
}

static EVP_PKEY *load(const char *path)
{
    static char pem[KEY_PAIR_PEM_MAX];
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(pem, 1, sizeof pem, file) : 0;
    EVP_PKEY *key = key_pair_read(str_make(pem, n));
    if (file)
        fclose(file);
    if (!key)
        fprintf(stderr, "%s: no key\n", path);
    return key;
}

static char *take(size_t n)
{
    char *text = malloc(n + 1);
    if (!text || fread(text, 1, n, stdin) != n)
        abort();
    text[n] = '\0';
    return text;
}

static void answer(const char *verb, int64_t now_s, struct str message, char *zone_text,
                   const struct dkim_sign_key keys[2])
{
    struct fake_zone *zone = calloc(1, sizeof *zone);
    struct arena arena = arena_make(1 << 24);
    struct asker asker = {fake_answer, zone, &arena, 100};
    zone->text = zone_text;
    if (strcmp(verb, "verify") == 0)
        verify(message, &asker, now_s);
    else if (strcmp(verb, "arc") == 0)
        verify_arc(message, &asker, now_s);
    else
        sign(message, keys, now_s);
    fflush(stdout);
    arena_free(&arena);
    free(zone);
}

int main(int argc, char **argv)
{
    char verb[10];
    long long now_s;
    size_t message_n, zone_n;
    if (argc != 3)
        return 2;
    const struct dkim_sign_key keys[2] = {{load(argv[1]), STR("rsa")}, {load(argv[2]), STR("ed")}};
    if (!keys[0].key || !keys[1].key)
        return 1;
    while (scanf("%9s %lld %zu %zu", verb, &now_s, &message_n, &zone_n) == 4 && getchar() == '\n') {
        char *message = take(message_n), *zone = take(zone_n);
        answer(verb, now_s, str_make(message, message_n), zone, keys);
        free(message);
        free(zone);
    }
    EVP_PKEY_free(keys[0].key);
    EVP_PKEY_free(keys[1].key);
    return 0;
}
