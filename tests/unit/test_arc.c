/* SPDX-License-Identifier: ISC */
/* Chains (RFC 8617): those that pass, and a row for each rule that makes one fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arc_chain.h"
#include "check/arc.h"
#include "fake_zone.h"

enum { NOW = 1700000000 };

#define FROM "From: Joe <joe@example.com>\r\n"
#define BODY "Hi.\r\n"
#define KEY  "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static EVP_PKEY *key;
static char zone_text[16000];

static int make_zone(void **state)
{
    (void)state;
    size_t used = 0;
    key = letter_key_ed25519();
    for (int i = 1; i <= 51; i++)
        used += (size_t)snprintf(zone_text + used, sizeof zone_text - used,
                                 "ed._domainkey.s%d.example TXT " KEY "\n", i);
    return 0;
}

static int free_key(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    return 0;
}

/* "result", "pass OLDEST" when that is not all of them, or "fail INSTANCE reason". */
static unsigned verify(struct str section, struct str body, const char *zone_rows, char out[200])
{
    struct fake_zone *zone = calloc(1, sizeof *zone);
    struct arena arena = arena_make(1 << 22);
    struct asker asker = {fake_answer, zone, &arena, 40};
    struct dkim_body *b = dkim_body_make();
    struct arc_verifier *v = arc_verify_begin(section, b, NOW);
    zone->text = zone_rows;
    dkim_body_feed(b, body);
    dkim_body_end(b);
    arc_verify_fetch(v, &asker);
    const struct arc_verdict *verdict = arc_verify_finish(v, NULL);
    if (verdict->result == ARC_FAIL)
        snprintf(out, 200, "fail %zu %s%s", verdict->instance, verdict->reason,
                 verdict->is_temporary ? " (temporary)" : "");
    else if (verdict->oldest_pass > 0)
        snprintf(out, 200, "%s %zu", arc_result_name(verdict->result), verdict->oldest_pass);
    else
        snprintf(out, 200, "%s", arc_result_name(verdict->result));
    arc_verify_free(v);
    dkim_body_free(b);
    arena_free(&arena);
    unsigned asked = zone->asked;
    free(zone);
    return asked;
}

/* A chain of so many sets, of which one may say something else. */
static struct buf make(int count, int special, const struct chain_set *set)
{
    struct buf section = buf_make(1 << 20);
    assert_true(buf_append(&section, STR(FROM)));
    for (int i = 1; i <= count; i++)
        chain_add(&section, i, i == special ? set : NULL, STR(BODY), key);
    return section;
}

static void expect(struct buf section, const char *body, const char *expected)
{
    char seen[200];
    verify(buf_str(&section), str_from(body), zone_text, seen);
    assert_string_equal(seen, expected);
    buf_free(&section);
}

static void test_chains_that_pass(void **state)
{
    (void)state;
    expect(make(0, 0, NULL), BODY, "none");
    expect(make(1, 0, NULL), BODY, "pass");
    expect(make(2, 0, NULL), BODY, "pass");
    expect(make(20, 0, NULL), BODY, "pass");
}

/* The hash of an empty body. */
#define OTHER_BODY "bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

/* The message was changed behind that set, its signature is too old, or it is none. */
static void test_older_message_signatures(void **state)
{
    (void)state;
    static const struct {
        const char *domain, *tags;
    } rows[] = {
        {"s", OTHER_BODY "; b=@"}, {"s", "bh=@; b=AAAA"}, {"s", "bh=@; x=1600000000; b=@"},
        {"s", "l=1; bh=@; b=@"},   {"no", "bh=@; b=@"},   {"s", "gibberish"},
    };
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++)
        for (int at = 1; at <= 3; at++) {
            char text[300], expected[40];
            struct chain_set set = {.message = text};
            snprintf(text, sizeof text,
                     "ARC-Message-Signature: i=%d; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
                     " d=%s%d.example; s=ed; h=From; %s\r\n",
                     at, rows[k].domain, at, rows[k].tags);
            snprintf(expected, sizeof expected, "pass %d", at + 1);
            expect(make(4, at, &set), BODY, expected);
        }
}

/* Few keys are asked for to that end, beside those of the seals: questions are for what decides. */
static void test_keys_of_older_message_signatures(void **state)
{
    (void)state;
    char seen[200], message[300];
    struct buf section = buf_make(1 << 20);
    struct chain_set set = {.message = message};
    assert_true(buf_append(&section, STR(FROM)));
    for (int i = 1; i <= 10; i++) {
        snprintf(
            message, sizeof message,
            "ARC-Message-Signature: i=%d; a=ed25519-sha256; c=relaxed/relaxed; d=s%d.example;\r\n"
            " s=ed; h=From; bh=@; b=@\r\n",
            i, i + 20);
        chain_add(&section, i, &set, STR(BODY), key);
    }
    unsigned asked = verify(buf_str(&section), STR(BODY), zone_text, seen);
    assert_int_equal(asked, 10 + 1 + ARC_OLDER_ASKED_MAX);
    assert_string_equal(seen, "pass 6");
    buf_free(&section);
}

static void test_the_longest_chain(void **state)
{
    (void)state;
    char seen[200];
    struct buf section = buf_make(1 << 20);
    struct chain_set set;
    char message[300], seal[300];
    assert_true(buf_append(&section, STR(FROM)));
    /* All by one sealer, so that there are questions enough. */
    for (int i = 1; i <= 51; i++) {
        if (i == 51) {
            unsigned asked = verify(buf_str(&section), STR(BODY), zone_text, seen);
            assert_int_equal(asked, 1);
            assert_string_equal(seen, "pass");
        }
        snprintf(message, sizeof message,
                 "ARC-Message-Signature: i=%d; a=ed25519-sha256; d=s1.example; s=ed; h=From; bh=@; "
                 "b=@\r\n",
                 i);
        snprintf(seal, sizeof seal,
                 "ARC-Seal: i=%d; a=ed25519-sha256; cv=%s; d=s1.example; s=ed; b=@\r\n", i,
                 i == 1 ? "none" : "pass");
        set = (struct chain_set){.message = message, .seal = seal};
        chain_add(&section, i, &set, STR(BODY), key);
    }
    expect(section, BODY, "fail 0 a field has no instance from 1 to 50");
}

static void test_fifty_sets_pass(void **state)
{
    (void)state;
    struct buf section = buf_make(1 << 20);
    struct arena arena = arena_make(1 << 22);
    struct fake_zone *zone = calloc(1, sizeof *zone);
    struct asker asker = {fake_answer, zone, &arena, 50};
    struct dkim_body *b = dkim_body_make();
    zone->text = zone_text;
    assert_true(buf_append(&section, STR(FROM)));
    for (int i = 1; i <= 50; i++)
        chain_add(&section, i, NULL, STR(BODY), key);
    struct arc_verifier *v = arc_verify_begin(buf_str(&section), b, NOW);
    dkim_body_feed(b, STR(BODY));
    dkim_body_end(b);
    arc_verify_fetch(v, &asker);
    const struct arc_verdict *verdict = arc_verify_finish(v, NULL);
    assert_int_equal(verdict->result, ARC_PASS);
    assert_int_equal(verdict->count, 50);
    assert_int_equal(zone->asked, 50);
    for (size_t i = 0; i < verdict->count; i++) {
        char name[40];
        snprintf(name, sizeof name, "s%zu.example", i + 1);
        assert_true(str_equal(verdict->sealer[i], str_from(name)));
    }
    arc_verify_free(v);
    dkim_body_free(b);
    arena_free(&arena);
    free(zone);
    buf_free(&section);
}

static void test_what_the_chain_looks_like(void **state)
{
    (void)state;
#define AMS(tags)                                                                                  \
    "ARC-Message-Signature: i=2; a=ed25519-sha256; d=s2.example; s=ed; " tags "; b=@\r\n"
#define AS(tags) "ARC-Seal: " tags "; b=@\r\n"
#define BY2      "; a=ed25519-sha256; d=s2.example; s=ed"
    static const struct {
        struct chain_set set; /* the second of three */
        const char *expected;
    } rows[] = {
        {{.results = ""}, "fail 2 a field is missing"},
        {{.message = ""}, "fail 2 a field is missing"},
        {{.seal = ""}, "fail 2 a field is missing"},
        {{.results = "ARC-Authentication-Results: i=3; x\r\n"}, "fail 3 a field is there twice"},
        {{.results = "ARC-Authentication-Results: mx.example; i=2\r\n"},
         "fail 0 a field has no instance from 1 to 50"},
        {{.results = "ARC-Authentication-Results: i=0; x\r\n"},
         "fail 0 a field has no instance from 1 to 50"},
        {{.results = "ARC-Authentication-Results: i=51; x\r\n"},
         "fail 0 a field has no instance from 1 to 50"},
        {{.results = "ARC-Authentication-Results: i=002; x\r\n"},
         "fail 0 a field has no instance from 1 to 50"},
        {{.results = "ARC-Authentication-Results: i=+2; x\r\n"},
         "fail 0 a field has no instance from 1 to 50"},
        {{.seal = AS("i=2; cv=none" BY2)}, "fail 2 cv= is not what it must be there"},
        {{.seal = AS("i=2; cv=fail" BY2)}, "fail 2 the sealer found that the chain had failed"},
        {{.seal = AS("i=2; cv=PASS" BY2)}, "fail 2 cv= is not what it must be there"},
        {{.seal = AS("i=2" BY2)}, "fail 2 cv= is not what it must be there"},
        {{.seal = AS("i=2; cv=pass; h=From" BY2)}, "fail 2 the seal has a tag h="},
        {{.seal = AS("i=2; cv=pass; d=s2.example; s=ed")}, "fail 2 a= is missing"},
        {{.seal = AS("i=2; cv=pass; a=rsa-sha1; d=s2.example; s=ed")},
         "fail 2 rsa-sha1 is not relied on (RFC 8301)"},
        {{.seal = AS("i=2; cv=pass; a=ed25519-sha256; s=ed")}, "fail 2 d= or s= is missing"},
        {{.seal = AS("i=2; cv=pass; a=ed25519-sha256; d=s2.example; s=none")},
         "fail 2 there is no key"},
        {{.seal = AS("cv=pass" BY2)}, "fail 0 a field has no instance from 1 to 50"},
        {{.seal = "ARC-Seal: i=2; cv=pass" BY2 "; b=YWJj\r\n"},
         "fail 2 the signature is not of these header fields"},
        /* Only the newest message signature counts; older ones say how far back the message holds. */
        {{.message = AMS("h=From; bh=YWJj")}, "pass 3"},
        {{.message = AMS("h=Subject")}, "pass 3"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(make(3, 2, &rows[i].set), BODY, rows[i].expected);
}

static void test_the_newest_set(void **state)
{
    (void)state;
    static const struct {
        struct chain_set set; /* the second of two */
        const char *expected;
    } rows[] = {
        {{.message = AMS("h=From; bh=@")}, "pass"},
        {{.message = AMS("c=simple; h=From:DKIM-Signature; v=1; x=1800000000; bh=@")}, "pass"},
        {{.message = AMS("h=From; l=5; bh=@")}, "pass"},
        {{.message = AMS("h=From; l=4; bh=@")}, "fail 2 a part of the body is not signed (l=)"},
        {{.message = AMS("h=From; bh=YWJj")}, "fail 2 the body is not what was signed"},
        {{.message = AMS("h=Subject; bh=@")}, "fail 2 From is not signed"},
        {{.message = AMS("h=From:arc-seal; bh=@")}, "fail 2 an ARC-Seal is signed"},
        {{.message = AMS("h=From:ARC-Message-Signature; bh=@")}, "pass"},
        {{.message = AMS("h=From:ARC-Authentication-Results; bh=@")}, "pass"},
        {{.message = AMS("h=From; x=1; bh=@")}, "fail 2 the signature has expired"},
        {{.message = AMS("bh=@")}, "fail 2 h= is missing"},
        {{.seal = AS("i=2; cv=fail" BY2)}, "fail 2 the sealer found that the chain had failed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(make(2, 2, &rows[i].set), BODY, rows[i].expected);
    static const struct chain_set first = {
        .seal = "ARC-Seal: i=1; cv=pass; a=ed25519-sha256; d=s1.example; s=ed; b=@\r\n"};
    expect(make(1, 1, &first), BODY, "fail 1 cv= is not what it must be there");
    static const struct chain_set second_only = {.results =
                                                     "ARC-Authentication-Results: i=2; x\r\n",
                                                 .message = AMS("h=From; bh=@"),
                                                 .seal = AS("i=2; cv=pass" BY2)};
    expect(make(1, 1, &second_only), BODY, "fail 1 a field is missing");
}

/* The section with one text in it replaced by another. */
static struct buf replace(struct buf section, const char *from, const char *to)
{
    struct buf out = buf_make(1 << 20);
    size_t at = str_find(buf_str(&section), str_from(from));
    assert_true(at < section.used);
    assert_true(buf_append(&out, str_head(buf_str(&section), at)) &&
                buf_append(&out, str_from(to)) &&
                buf_append(&out, str_skip(buf_str(&section), at + strlen(from))));
    buf_free(&section);
    return out;
}

static void test_changes_of_the_message(void **state)
{
    (void)state;
#define OTHER "the signature is not of these header fields"
    expect(make(2, 0, NULL), "Ha.\r\n", "fail 2 the body is not what was signed");
    expect(make(2, 0, NULL), BODY "\r\n", "pass");
    expect(replace(make(2, 0, NULL), "Joe", "Jim"), BODY, "fail 2 " OTHER);
    expect(replace(make(2, 0, NULL), "From: Joe", "Subject: x\r\nFrom: Joe"), BODY,
           "fail 2 " OTHER);
    expect(replace(make(2, 0, NULL), "From: Joe", "X-Any: x\r\nFROM:  Joe"), BODY, "pass");
    expect(replace(make(2, 0, NULL), "i=1; mx.example; dkim=pass", "i=1; mx.example; dkim=fail"),
           BODY, "fail 1 " OTHER);
    expect(replace(make(2, 0, NULL), "i=2; mx.example", "i=2; mx.example.net"), BODY,
           "fail 2 " OTHER);
    expect(replace(make(3, 0, NULL), "cv=none; d=s1.example", "cv=none;  d=s1.example"), BODY,
           "pass");
    expect(replace(make(3, 0, NULL), "cv=none; d=s1.example", "cv=none; d=s2.example"), BODY,
           "fail 1 " OTHER);
    /* The message was changed between the first sealer and the second: that is what chains are for. */
    struct buf section = replace(make(1, 0, NULL), "From: Joe", "Subject: [list]\r\nFrom: Joe");
    chain_add(&section, 2, NULL, STR("Changed.\r\n"), key);
    expect(section, "Changed.\r\n", "pass 2");
}

static void test_what_the_dns_does(void **state)
{
    (void)state;
    char seen[200];
    struct buf section = make(2, 0, NULL);
    verify(buf_str(&section), STR(BODY), "", seen);
    assert_string_equal(seen, "fail 2 there is no key");
    verify(buf_str(&section), STR(BODY),
           "ed._domainkey.s1.example FAIL\ned._domainkey.s2.example TXT " KEY, seen);
    assert_string_equal(seen, "fail 1 the key cannot be had now (temporary)");
    verify(buf_str(&section), STR(BODY),
           "ed._domainkey.s1.example TXT " KEY
           "\ned._domainkey.s2.example TXT v=DKIM1; k=ed25519; p=",
           seen);
    assert_string_equal(seen, "fail 2 the key has been revoked");
    assert_int_equal(verify(buf_str(&section), STR(BODY), zone_text, seen), 2);
    assert_string_equal(seen, "pass");
    buf_free(&section);
    section = replace(make(2, 0, NULL), "cv=pass", "cv=fail");
    assert_int_equal(verify(buf_str(&section), STR(BODY), zone_text, seen), 0);
    buf_free(&section);
}

static void test_sizes_are_bounded(void **state)
{
    (void)state;
    struct buf section = make(1, 0, NULL);
    for (int i = 0; i < 2000; i++)
        assert_true(buf_append(&section, STR("a: b\r\n")));
    expect(section, BODY, "fail 0 the header section is too large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_older_message_signatures),
        cmocka_unit_test(test_keys_of_older_message_signatures),
        cmocka_unit_test(test_chains_that_pass),
        cmocka_unit_test(test_the_longest_chain),
        cmocka_unit_test(test_fifty_sets_pass),
        cmocka_unit_test(test_what_the_chain_looks_like),
        cmocka_unit_test(test_the_newest_set),
        cmocka_unit_test(test_changes_of_the_message),
        cmocka_unit_test(test_what_the_dns_does),
        cmocka_unit_test(test_sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, make_zone, free_key);
}
