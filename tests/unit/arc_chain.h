/* SPDX-License-Identifier: ISC */
/*
 * arc_chain.h - messages with chains of ARC sets, for tests
 */
#ifndef TESTS_UNIT_ARC_CHAIN_H
#define TESTS_UNIT_ARC_CHAIN_H

#include <stdio.h>

#include "dkim_letter.h"

/* What a set says; NULL: what a good one says. %d is the instance. */
struct chain_set {
    const char *results, *message, *seal; /* fields; empty: none */
};

/* The fields of ARC in the section, oldest set first, in each results, message and seal, as a seal covers them. */
static void chain_hash(struct str section, struct str last, struct str left_out,
                       unsigned char hash[DKIM_HASH_SIZE])
{
    static const char *const names[] = {"ARC-Authentication-Results", "ARC-Message-Signature",
                                        "ARC-Seal"};
    struct buf text = buf_make(1 << 22);
    for (int instance = 1; instance <= 51; instance++)
        for (int part = 0; part < 3; part++) {
            char tag[16];
            struct header_iterator i = header_iterate(section);
            struct header_field field;
            snprintf(tag, sizeof tag, " i=%d;", instance);
            while (header_next(&i, &field))
                if (str_equal(field.name, str_from(names[part])) &&
                    str_starts(field.value, str_from(tag)))
                    assert(dkim_canon_field(DKIM_RELAXED, field.whole, &text) &&
                           buf_append(&text, STR("\r\n")));
        }
    assert(dkim_canon_without(DKIM_RELAXED, last, left_out, &text));
    assert(EVP_Digest(text.data, text.used, hash, NULL, EVP_sha256(), NULL) == 1);
    buf_free(&text);
}

static void chain_seal(struct buf *section, const char *template, EVP_PKEY *key)
{
    struct buf field = buf_make(1 << 16), signature = buf_make(1024), out = buf_make(1 << 20);
    static struct tag_list list;
    unsigned char hash[DKIM_HASH_SIZE];
    assert(buf_append(&field, str_from(template)));
    struct str own = buf_str(&field);
    if (strstr(template, " b=@") && tag_list_parse(letter_value(str_head(own, own.n - 2)), &list)) {
        chain_hash(buf_str(section), own, tag_list_find(&list, "b")->whole, hash);
        assert(dkim_key_sign(key, hash, &signature));
        letter_fill(&field, " b=", buf_str(&signature));
    }
    assert(buf_append(&out, buf_str(&field)) && buf_append(&out, buf_str(section)));
    buf_free(section);
    buf_free(&field);
    buf_free(&signature);
    *section = out;
}

static void chain_prepend(struct buf *section, const char *field)
{
    struct buf out = buf_make(1 << 20);
    assert(buf_append(&out, str_from(field)) && buf_append(&out, buf_str(section)));
    buf_free(section);
    *section = out;
}

/* Puts a set in front of the section, by the sealer "s%d.example" with selector "ed". */
static void chain_add(struct buf *section, int instance, const struct chain_set *set,
                      struct str body, EVP_PKEY *key)
{
    char results[100], message[200], seal[120];
    snprintf(results, sizeof results, "ARC-Authentication-Results: i=%d; mx.example; dkim=pass\r\n",
             instance);
    snprintf(message, sizeof message,
             "ARC-Message-Signature: i=%d; a=ed25519-sha256; c=relaxed/relaxed; d=s%d.example;\r\n"
             " s=ed; h=From:Subject; bh=@; b=@\r\n",
             instance, instance);
    snprintf(seal, sizeof seal,
             "ARC-Seal: i=%d; a=ed25519-sha256; cv=%s; d=s%d.example; s=ed; t=1; b=@\r\n", instance,
             instance == 1 ? "none" : "pass", instance);
    chain_prepend(section, set && set->results ? set->results : results);
    const char *chosen = set && set->message ? set->message : message;
    if (*chosen)
        letter_sign(section, chosen, body, key);
    chosen = set && set->seal ? set->seal : seal;
    if (*chosen)
        chain_seal(section, chosen, key);
}

#endif
