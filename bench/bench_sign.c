/* SPDX-License-Identifier: ISC */
/*
 * bench_sign.c - what signatures of messages cost
 *
 * bench_sign rsa|ed25519 [SECONDS [THREADS]]: each thread signs one message of 4 KiB after the other, body hash and
 * fields and all. Prints messages a second, of all threads together.
 */
#include "base/num.h"
#include "check/dkim_sign.h"
#include "os/clock.h"
#include "os/key_pair.h"
#include "os/thread.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY_OCTETS = 3600, THREADS_MAX = 64 };

struct signer {
    struct thread thread;
    EVP_PKEY *key;
    int64_t end_ns;
    uint64_t count;
};

static const char section[] = "From: <source@bench.test>\r\nTo: undisclosed-recipients:;\r\n"
                              "Subject: load\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
                              "Message-ID: <load@bench.test>\r\n\r\n";

static bool sign_one(EVP_PKEY *key, struct str text, struct buf *out)
{
    struct dkim_sign_key with = {.key = key, .selector = STR("bench")};
    struct dkim_sign_options options = {
        .domain = STR("bench.test"), .now_s = 1767225600, .keys = &with, .key_count = 1};
    struct dkim_body *body = dkim_body_make();
    struct dkim_signer *s = dkim_sign_begin(str_from(section), body, &options);
    dkim_body_feed(body, text);
    dkim_body_end(body);
    out->used = 0;
    bool is_signed = s && dkim_sign_finish(s, out);
    dkim_sign_free(s);
    dkim_body_free(body);
    return is_signed;
}

static void work(void *arg)
{
    struct signer *s = arg;
    struct buf body = buf_make(BODY_OCTETS), out = buf_make(DKIM_SIGN_FIELD_MAX);
    while (
        buf_append(&body, STR("The quick brown fox jumps over the lazy dog, again and again\r\n")))
        ;
    while (clock_now_ns() < s->end_ns) {
        if (!sign_one(s->key, buf_str(&body), &out)) {
            fputs("bench_sign: cannot sign\n", stderr);
            exit(1);
        }
        s->count++;
    }
    buf_free(&body);
    buf_free(&out);
}

static uint64_t number(const char *text, uint64_t most)
{
    uint64_t value = 0;
    if (!num_parse(str_from(text), most, &value) || value == 0) {
        fputs("usage: bench_sign rsa|ed25519 [SECONDS [THREADS]]\n", stderr);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    uint64_t seconds = argc > 2 ? number(argv[2], 3600) : 2;
    size_t threads = argc > 3 ? (size_t)number(argv[3], THREADS_MAX) : 1;
    bool is_rsa = argc < 2 || str_equal(str_from(argv[1]), STR("rsa"));
    EVP_PKEY *key = key_pair_make(is_rsa ? DKIM_KEY_RSA : DKIM_KEY_ED25519);
    static struct signer signer[THREADS_MAX];
    int64_t begin_ns = clock_now_ns();
    for (size_t i = 0; i < threads; i++) {
        signer[i].key = key;
        signer[i].end_ns = begin_ns + (int64_t)seconds * 1000000000;
        thread_start(&signer[i].thread, "sign", work, &signer[i]);
    }
    uint64_t count = 0;
    for (size_t i = 0; i < threads; i++) {
        thread_join(&signer[i].thread);
        count += signer[i].count;
    }
    printf("%.0f\n", (double)count * 1e9 / (double)(clock_now_ns() - begin_ns));
    EVP_PKEY_free(key);
    return 0;
}
