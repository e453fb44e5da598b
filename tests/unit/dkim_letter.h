/* SPDX-License-Identifier: ISC */
/*
 * dkim_letter.h - messages with signatures made from a template, for tests
 *
 * A template is a field with "@" for bh= and for b=: both are filled in, so that a signature is right but for what the
 * template makes wrong. Keys are made once: "ed" is RFC 8032's first, RSA ones are new.
 */
#ifndef TESTS_UNIT_DKIM_LETTER_H
#define TESTS_UNIT_DKIM_LETTER_H

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/encode.h"
#include "base/num.h"
#include "check/dkim_body.h"
#include "check/dkim_fields.h"
#include "check/dkim_key.h"
#include "check/tag_list.h"

static inline EVP_PKEY *letter_key_ed25519(void)
{
    static const unsigned char seed[] =
        "\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4"
        "\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    assert(key);
    return key;
}

static inline struct str letter_value(struct str field)
{
    size_t colon = str_index(field, ':');
    return str_skip(field, colon + 1);
}

static inline bool letter_is_relaxed(const struct tag_list *list, bool is_body)
{
    const struct tag *c = tag_list_find(list, "c");
    struct str header = STR(""), body = STR("");
    if (c)
        str_cut(c->value, '/', &header, &body);
    return str_equal(is_body ? body : header, STR("relaxed"));
}

/* out gets the text with the first "@" that stands behind mark replaced. */
static inline void letter_fill(struct buf *text, const char *mark, struct str octets)
{
    struct buf filled = buf_make(1 << 20);
    size_t at = str_find(buf_str(text), str_from(mark));
    assert(at < text->used);
    at += strlen(mark);
    assert(buf_append(&filled, str_head(buf_str(text), at)) && encode_base64(&filled, octets) &&
           buf_append(&filled, str_skip(buf_str(text), at + 1)));
    buf_free(text);
    *text = filled;
}

static inline void letter_hash_body(struct buf *field, struct str body)
{
    static struct tag_list list;
    uint64_t octets, length = DKIM_BODY_WHOLE;
    struct dkim_body *b = dkim_body_make();
    if (tag_list_parse(letter_value(str_head(buf_str(field), field->used - 2)), &list)) {
        const struct tag *l = tag_list_find(&list, "l");
        uint64_t n;
        if (l && num_parse(l->value, 1 << 20, &n))
            length = n;
    }
    int want =
        dkim_body_want(b, letter_is_relaxed(&list, true) ? DKIM_RELAXED : DKIM_SIMPLE, length);
    dkim_body_feed(b, body);
    dkim_body_end(b);
    struct str hash = dkim_body_hash(b, want, &octets);
    letter_fill(field, "bh=", hash.n > 0 ? hash : STR("01234567890123456789012345678901"));
    dkim_body_free(b);
}

/* The field of the template (from its name to its CRLF) over the section and body, in front of the section. One that is
 * no list of tags stays unsigned. */
static inline void letter_sign(struct buf *section, const char *template, struct str body,
                               EVP_PKEY *key)
{
    struct buf field = buf_make(1 << 20), out = buf_make(1 << 20), signature = buf_make(1024);
    struct arena arena = arena_make(DKIM_FIELDS_ROOM);
    struct dkim_fields fields;
    static struct tag_list list;
    unsigned char hash[DKIM_HASH_SIZE];
    assert(buf_append(&field, str_from(template)));
    if (strstr(template, "bh=@"))
        letter_hash_body(&field, body);
    struct str own = buf_str(&field);
    if (strstr(template, " b=@") && tag_list_parse(letter_value(str_head(own, own.n - 2)), &list)) {
        assert(dkim_fields_read(buf_str(section), &arena, &fields));
        const struct tag *h = tag_list_find(&list, "h"), *b = tag_list_find(&list, "b");
        struct dkim_choice choice = {letter_is_relaxed(&list, false) ? DKIM_RELAXED : DKIM_SIMPLE,
                                     h ? h->value : STR_NONE, own, b->whole};
        dkim_fields_hash(&fields, &choice, hash);
        assert(dkim_key_sign(key, hash, &signature));
        letter_fill(&field, " b=", buf_str(&signature));
        arena_free(&arena);
    }
    assert(buf_append(&out, buf_str(&field)) && buf_append(&out, buf_str(section)));
    buf_free(section);
    buf_free(&field);
    buf_free(&signature);
    *section = out;
}

#endif
